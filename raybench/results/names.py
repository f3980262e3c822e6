"""What a row of the ranking is called: its candidate, and the hyperparameters that tell its configurations apart.

names(rows)        # ["minilm learning_rate=0.01", "minilm learning_rate=0.1", "majority"]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["names"]


def names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One name a row; rows have `candidate` and `hyperparameters` (JSON)."""
    given = [json.loads(row["hyperparameters"]) for row in rows]
    values: dict[str, dict[str, set[str]]] = {}
    for row, hyperparameters in zip(rows, given, strict=True):
        for key, value in hyperparameters.items():
            values.setdefault(row["candidate"], {}).setdefault(key, set()).add(json.dumps(value))
    varying = {name: sorted(key for key, seen in keys.items() if len(seen) > 1) for name, keys in values.items()}
    return [
        " ".join([row["candidate"], *(f"{key}={own[key]}" for key in varying.get(row["candidate"], ()) if key in own)])
        for row, own in zip(rows, given, strict=True)
    ]
