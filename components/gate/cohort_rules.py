"""What must hold for a training to have enough to learn from, and an evaluation enough to test on."""

from __future__ import annotations

from components.gate.rule import Group, Rule, no_row_of
from sss_model.config import Config

_TOO_FEW = """
SELECT * FROM (
  SELECT count(DISTINCT patient) AS patients,
    coalesce(replace(group_concat(DISTINCT patient), ',', ', '), 'none') AS names FROM {{batch}}
  WHERE split = '{split}' AND labelled
) WHERE patients < {wanted}
"""
# Where nothing is labelled, the rules above say so.
_NOT_DRAWN = """
SELECT structure, scans FROM {{batch}}, (SELECT count(*) AS scans FROM cases WHERE {where})
WHERE scans > 0 AND structure NOT IN (
  SELECT structure FROM structures JOIN cases USING ("case") WHERE voxels > 0 AND {where}
)
"""


def cohort_rules(config: Config) -> Group:
    """Enough patients, and every structure among them."""
    limits = config.validation
    labelled = max(config.data.labelled or 0, limits.min_labelled_patients)
    return Group(
        "Enough to learn and to test",
        (
            _enough(
                "enough_labelled",
                "Enough training patients have labels",
                ("train", "training", labelled),
                "Label more patients, or lower data.labelled or validation.min_labelled_patients in the recipe.",
                "min_labelled_patients",
            ),
            _enough(
                "enough_to_choose",
                "A patient with labels is there to choose the best model by",
                ("val", "validation", 1),
                "Move a labelled patient from train to val in splits.csv.",
            ),
            _enough(
                "enough_to_test",
                "Enough test patients have labels",
                ("test", "test", limits.min_test_patients),
                "Label more test patients, or lower validation.min_test_patients in the recipe.",
                "min_test_patients",
            ),
            _drawn(
                "structures_to_learn",
                "Every structure is drawn in the labelled training scans",
                ("lends", "the labelled training scans"),
                "Raise data.labelled in the recipe, or change label_order in splits.csv.",
            ),
            _drawn(
                "structures_to_choose",
                "Every structure is drawn in the validation scans",
                ("labelled AND split = 'val'", "the validation scans"),
                "Move a patient who has the structure from train to val in splits.csv.",
            ),
            _drawn(
                "structures_to_test",
                "Every structure is drawn in the test scans",
                ("labelled AND split = 'test'", "the test scans"),
                "Move a patient who has the structure to the test set in splits.csv.",
            ),
        ),
    )


def _enough(name: str, title: str, what: tuple[str, str, int], way_out: str, threshold: str = "") -> Rule:
    split, side, wanted = what
    query = _TOO_FEW.format(split=split, wanted=wanted)
    sentence = f"{side} patients with labels: {{patients}} ({{names}}); the recipe asks for {wanted}"
    return Rule(name, title, "cases", no_row_of(query), sentence, way_out, threshold)


def _drawn(name: str, title: str, where: tuple[str, str], way_out: str) -> Rule:
    condition, words = where
    sentence = f"{{structure}}: no voxel in {words} ({{scans}} with a label)"
    return Rule(name, title, "classes", no_row_of(_NOT_DRAWN.format(where=condition)), sentence, way_out)
