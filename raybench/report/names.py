"""How tables name configurations and write numbers.

told_apart = varying(rows)                     # {"frozen": {"weight_decay"}}
configuration_name(rows[0], told_apart)        # "frozen weight_decay=0.01"
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["configuration_name", "number_text", "varying"]


def varying(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Of each candidate with several configurations, the hyperparameters that tell them apart."""
    values: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        for key, value in json.loads(row["hyperparameters"]).items():
            values.setdefault(row["candidate"], {}).setdefault(key, set()).add(json.dumps(value))
    return {name: {key for key, seen in keys.items() if len(seen) > 1} for name, keys in values.items()}


def configuration_name(row: Mapping[str, Any], told_apart: Mapping[str, set[str]]) -> str:
    keys = sorted(told_apart.get(row["candidate"], ()))
    hyperparameters = json.loads(row["hyperparameters"])
    return " ".join([row["candidate"], *(f"{key}={hyperparameters[key]}" for key in keys if key in hyperparameters)])


def number_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"
