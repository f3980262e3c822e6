"""What all parts of a job file are made of: a frozen model that takes no unknown key, names and counts."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Count", "Name", "Spec"]

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f*]+$")]
Count = Annotated[int, Field(ge=1)]


class Spec(BaseModel):
    """A part of a job file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())
