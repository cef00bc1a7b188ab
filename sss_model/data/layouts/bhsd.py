"""BHSD: CT of the head with intracranial haemorrhage of five kinds, 192 scans with labels and 1980 without.

Source: Wu et al., "BHSD: A 3D Multi-Class Brain Hemorrhage Segmentation Dataset", MLMI 2023, arXiv 2308.11298.
"""

from __future__ import annotations

import re
from pathlib import Path

from sss_model.data.inventory import Inventory, Scan, files_below
from sss_model.errors import InputError

TEST_CASES = frozenset(
    """
    0237f3c9_40015688b9 029ebbea_563afa0901 02b882cc_a4892e60ae 02f779fb_c4d7f33559
    041e6601_1fa1d20bba 0492041f_b4fcf2f799 07365cde_8e661b8f07 0b10cbee_f91d6a7cd2
    10beb45f_7184e80f09 1653b22b_c35cd0de73 18747540_1eb1de9633 1879071b_4b8e1377e7
    199b0a56_09e623e993 19d26713_9f54cdc920 268b38fe_d747ae3ffb 2931ca43_2a2b28e0ab
    2e21c3f3_bc8f99a0cc 3343ddf2_fddff2e9c1 39bdd84b_a318f304e4 39e94772_f1a5ef6a24
    3bda60be_067209cc9a 3be7cc35_cf2643c5a8 3dab46e7_e837f87e46 4681a956_5b133aa2c0
    46cd34ad_3003623499 4a16396b_1f3e0c2c5c 4e227c9c_d8607fa88e 5117f9bf_14d96feecf
    55742eb7_7d5ad548ca 56faaf6f_dd8f688dff 58d2ebfa_76487f508f 5910d129_094eb98167
    5adb32dc_35dd6d3d56 5ca2154a_d4984e0dcc 63862d24_24f0f2ff02 66a9a60e_3a4f389a07
    693f2d48_06a88c0e8b 6bb6dd02_dd6370b417 6c70bf18_3915fd7d41 6c85adda_86bc0ab248
    75448f16_780b14c9d7 77cd921b_e0d0a5f299 7860208e_f68c193b69 790acb3f_c294f81468
    7d5594ff_cb535d3e8b 7db5845a_0c7cd6982b 7f065b1e_4c02f6eaaf 80b8d734_f599f2d14b
    811a274b_fa1c9402fb 82cfc6a8_da93401499 83a07ec6_ef148a90ed 85f42dd5_a0ef1a9eaf
    87e60d98_0c2d2758ae 8e8df8c0_857231e0c6 90b88b8b_8d39c61ccd 92ef7cc4_b0c4006e93
    96cd5341_41b80bd3ec 981d95a4_ec08553ddc 997f19cf_8fc04eb1f5 9a8ad2df_0ec627c99a
    9dce269b_4191982e02 9e0eaeeb_be5b5b11eb 9ed18606_8cfe740d83 a40e10b0_18c55dad14
    a429fd9a_2eabc43f3d a72de500_87b2b4fc60 a768755c_3541b002ac ab1ba874_0c1c9bf0ae
    acaa9bd1_02fe96388e b14c7e8b_fe3a6804e3 b1d5d5e8_4cfa36b63f b367130b_debc60a9ba
    b80aec97_2aa91505e6 b92014da_a9310805a0 b972b07f_b5ace7f563 c488fbef_ae4af6dd21
    c5479170_6cc8f5463a c91d516c_2d2f3d2953 c9d6fdc6_7f09be285d cdaa21cb_a5f7ae30f1
    cf8f428f_61ec5a3e22 d02f2ee1_a732858fcd d29d246b_6121b401e7 d2deede6_799247e354
    d8e67d7d_c182bd8176 d9675573_02237f7694 dd3d7720_6a88b9c0eb df3f0a7d_fbcdf807a8
    df935041_32b8592d2c e566ef9b_439ce9720b ea687366_452c5f1f8c eac5718d_5a2b7690df
    eb093f57_0e2b33b4c9 f1a342da_13d6f969d2 f335b6db_d180629430 faa3c13d_c31106b8dc
    """.split()  # noqa: SIM905
)
"""The official test cases, PATIENT_STUDY, as BHSD's dataset.json lists them (github.com/White65534/BHSD).

The other 96 labelled cases are the training set.
"""


LABELS = {"background": 0, "EDH": 1, "IPH": 2, "IVH": 3, "SAH": 4, "SDH": 5}
LICENCE = (
    "BHSD's own page says NC-ND: no commercial use, and not to be modified into another data set; copies on Hugging "
    "Face say MIT. Take the strict one: don't pass the imported folder on"
)
CITATION = (
    "B. Wu, Y. Xie, Z. Zhang, J. Ge, K. Yaxley, S. Bahadir, Q. Wu, Y. Liu, M.-S. To, BHSD: A 3D Multi-class Brain "
    "Hemorrhage Segmentation Dataset, Machine Learning in Medical Imaging 2023, 147-156, "
    "doi 10.1007/978-3-031-45673-2_15"
)
_MASKS = {"ground truths", "ground_truths", "labelstr", "labelsts", "labels", "masks"}
_NAME = re.compile(r"(ID_[0-9a-f]+)_(ID_[0-9a-f]+?)(?:_0000)?\.nii\.gz")


def inventory(source: Path) -> Inventory:
    """List the scans, by their official names ``ID_PATIENT_ID_STUDY.nii.gz``, wherever they lie.

    A file below ``ground truths`` (or ``labelsTr``, ``labelsTs``) is the label of the scan of the same name. The
    official test cases are the test set, validation patients are drawn from the others.

    Raises:
        InputError: no such files, a label without its scan, or no label at all.
    """
    named = [(match, path) for path in files_below(source) if (match := _NAME.fullmatch(path.name))]
    labels = {_case(match): path for match, path in named if path.parent.name.lower() in _MASKS}
    images = [(match, path) for match, path in named if path.parent.name.lower() not in _MASKS]
    if not images or not labels:
        raise InputError(
            f"{source}: {len(images)} scans and {len(labels)} labels; expected BHSD's "
            "label_192/images/ID_…_ID_….nii.gz, its label_192/ground truths and, unlabelled, unlabel_1980"
        )
    orphans = sorted(labels.keys() - {_case(match) for match, _ in images})
    if orphans:
        raise InputError(f"{labels[orphans[0]]}: a label without a scan; expected {orphans[0]}.nii.gz among the images")
    scans = [_scan(match, path, labels.get(_case(match))) for match, path in images]
    splits = {scan.patient: scan.split for scan in sorted(scans, key=lambda scan: scan.label is not None)}
    return Inventory(
        labels=LABELS,
        scans=tuple(_with_patient(scan, splits[scan.patient]) for scan in scans),
        channel="CT",
        file_ending=".nii.gz",
        licence=LICENCE,
        citation=CITATION,
        notes=tuple(_notes(scans)),
    )


def _scan(match: re.Match[str], image: Path, label: Path | None) -> Scan:
    official = "test" if label and f"{match[1][3:]}_{match[2][3:]}" in TEST_CASES else ""
    return Scan(_case(match), match[1], "", image, label, official)


def _with_patient(scan: Scan, split: str) -> Scan:
    """A test patient may have further studies among the unlabelled scans: all get one split."""
    return Scan(scan.case, scan.patient, scan.group, scan.image, scan.label, split)


def _notes(scans: list[Scan]) -> list[str]:
    labelled = sum(scan.label is not None for scan in scans)
    tests = sum(scan.split == "test" for scan in scans)
    whole = (labelled, len(scans) - labelled, tests) == (192, 1980, 96)
    if whole:
        return []
    return [
        f"{labelled} of 192 labelled scans ({tests} of the 96 official test cases) and {len(scans) - labelled} of 1980 "
        "unlabelled ones were found."
    ]


def _case(match: re.Match[str]) -> str:
    return f"{match[1]}_{match[2]}"
