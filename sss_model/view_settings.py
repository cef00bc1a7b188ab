"""How far views are augmented, as a recipe says it."""

from __future__ import annotations

from pydantic import Field

from sss_model.section import Fraction, Section


class Views(Section):
    """How far augmentation goes. The weak view moves a slice, the strong views recolour the weak one."""

    rotation_degrees: float = Field(ge=0, le=180)
    scale: float = Field(ge=0, lt=1)
    """Zoom is drawn from ``1 - scale`` to ``1 / (1 - scale)``."""
    shift: float = Fraction
    """Translation as a share of the field of view."""
    flips: bool
    bulge: float = Field(ge=0, lt=1)
    """How far a spot in the view swells or shrinks: by what share its pixels move towards its middle, or away."""
    contrast: float = Field(ge=0, lt=1)
    brightness: float = Field(ge=0)
    """In standard deviations of the volume, as intensities are standardised."""
    gamma: float = Field(ge=0, lt=1)
    noise: float = Field(ge=0)
    """Largest standard deviation of added noise, in standard deviations of the volume."""
    cutmix: float = Fraction
    """Probability that a strong view receives a box from its partner."""
    cutmix_labelled: float = Fraction
    """Probability that this partner is a labelled slice, whose label comes along, instead of an unlabelled one."""
