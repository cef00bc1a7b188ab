"""What all sections of a recipe have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

Fraction = Field(ge=0, le=1)


class Section(BaseModel):
    """Typed, frozen settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
