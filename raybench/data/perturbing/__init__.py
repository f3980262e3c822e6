"""Test rows as they come in the wild: with slips of the keys, in capitals, noisy, blurred, muffled.

    test, is_changed = perturb_rows(test, {"typos": 0.1}, columns)

What is done to a row hangs on its id, its column, the perturbation and its strength alone: never on other rows or their
order, so the same examples are perturbed alike for every candidate, in every part and on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from raybench.core import Column
from raybench.core.identity import seed_from
from raybench.data.perturbing.pictures import PICTURES, perturbed_pictures
from raybench.data.perturbing.sounds import SOUNDS, perturbed_sounds
from raybench.data.perturbing.texts import TEXTS, perturbed_cells
from raybench.job.perturbations import PERTURBATIONS

__all__ = ["draws", "perturb_rows"]


def perturb_rows(
    test: pa.Table, perturb: Mapping[str, float], columns: Iterable[Column]
) -> tuple[pa.Table, np.ndarray]:
    """The rows with their perturbable inputs changed, and which of them are others than they were, bool [N]."""
    ids = test["id"].to_pylist()
    is_changed = np.zeros(len(ids), bool)
    for column in columns:
        if not column.is_perturbed or column.name not in test.column_names:
            continue
        cells = test[column.name].combine_chunks()
        before = cells.to_pylist()
        for name, strength in perturb.items():
            kind = "text" if column.kind == "texts" else column.kind
            rngs = (draws(name, strength, one, column.name) for one in ids)
            if kind not in PERTURBATIONS[name].kinds:
                continue
            if kind == "text":
                cells = perturbed_cells(cells, TEXTS[name], strength, rngs)
            elif kind == "image":
                cells = perturbed_pictures(cells, PICTURES[name], strength, rngs)
            else:
                cells = perturbed_sounds(cells, SOUNDS[name], strength, rngs)
        is_changed |= np.array([a != b for a, b in zip(before, cells.to_pylist(), strict=True)], bool)
        test = test.set_column(test.column_names.index(column.name), column.name, cells)
    return test, is_changed


def draws(name: str, strength: float, example: str, column: str) -> np.random.Generator:
    """What a perturbation draws of one example."""
    return np.random.default_rng(seed_from("perturb", name, repr(strength), example, column))
