"""Short forms in which keys of a job file may be written, and how an editor's completion is told of them.

A name in place of a mapping, one value in place of a list, auto in place of a number: read before pydantic checks.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from raybench.job.limits import Limit
from raybench.job.perturbations import PERTURBATIONS
from raybench.job.rank_by import read_rank_by

__all__ = [
    "FILES_BY_SPLIT",
    "LIST_OF_TEXTS",
    "METRIC_OR_WEIGHTS",
    "NAME_OR_MAPPING",
    "PERTURBATIONS_WANTED",
    "auto_or",
    "read_criterion",
    "read_files",
    "read_limits",
    "read_method",
    "read_rungs",
]


def read_method(value: Any) -> Any:
    if not isinstance(value, (str, dict, BaseModel)):
        raise ValueError("want a method's name or {name: …, hyperparameter: …}")
    return {"name": value} if isinstance(value, str) else value


def read_files(value: Any) -> Any:
    if isinstance(value, (str, list)):
        value = {"train": value}
    if not isinstance(value, dict):
        return value
    return {split: (files,) if isinstance(files, str) else files for split, files in value.items()}


def read_limits(value: Any) -> Any:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        raise ValueError("want a list of limits such as 'latency_p95_ms <= 20'")
    return tuple(Limit.read(one) if isinstance(one, str) else one for one in given)


def read_criterion(value: Any) -> Any:
    return read_rank_by(value) if isinstance(value, (str, dict)) else value


def read_rungs(value: Any) -> Any:
    if value == "auto":
        return value
    numbers = isinstance(value, (list, tuple)) and all(type(one) is int and one >= 1 for one in value)
    if not numbers or not value or list(value) != sorted(set(value)):
        raise ValueError("want auto or the epochs after which fits are compared, fewest first, such as [1, 3]")
    return tuple(value)


def auto_or(kind: type, minimum: float, wanted: str, *, maximum: float = math.inf) -> BeforeValidator:
    def check(value: Any) -> Any:
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if value != "auto" and not (number and minimum <= value <= maximum and math.isfinite(value)):
            raise ValueError(f"want auto or {wanted}")
        return value

    return BeforeValidator(check)


NAME_OR_MAPPING = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        ]
    }
)
METRIC_OR_WEIGHTS = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
            {"type": "null"},
        ]
    }
)
_STRENGTH = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
PERTURBATIONS_WANTED = WithJsonSchema(
    {
        "anyOf": [
            {"enum": list(PERTURBATIONS)},
            {"type": "array", "items": {"enum": list(PERTURBATIONS)}},
            {"type": "object", "properties": dict.fromkeys(PERTURBATIONS, _STRENGTH), "additionalProperties": False},
        ]
    }
)
LIST_OF_TEXTS = WithJsonSchema({"type": "array", "items": {"type": "string"}})
_FILES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
FILES_BY_SPLIT = WithJsonSchema({"anyOf": [*_FILES["anyOf"], {"type": "object", "additionalProperties": _FILES}]})
