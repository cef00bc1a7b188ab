"""All rules of the gate, in the order of a report."""

from __future__ import annotations

from components.gate.cohort_rules import cohort_rules
from components.gate.label_rules import anatomy_rules, label_rules
from components.gate.patient_rules import duplicate_rules, file_rules, patient_rules
from components.gate.rule import Group
from components.gate.volume_rules import geometry_rules, intensity_rules
from sss_model.config import Config


def rules_for(config: Config) -> list[Group]:
    """Those that the recipe asks for: a threshold that is null has no rule."""
    limits = config.validation
    return [
        patient_rules(),
        duplicate_rules(limits),
        file_rules(),
        geometry_rules(limits),
        intensity_rules(limits),
        label_rules(limits),
        anatomy_rules(limits),
        cohort_rules(config),
    ]
