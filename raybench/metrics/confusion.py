"""Confusion counts: how often each target class got each prediction; the state of accuracy, F1, MCC, kappa.

Cells are [C, C + 1]: the last column counts predictions that are no class (outside [0, C), as after NaN logits);
they are wrong. A target equal to `ignore_index` drops its row, also where that index is a class; another target
outside [0, C) is an error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import class_targets, column_of, integers_of
from raybench.metrics.metric import REQUIRED, Contribution, Measure, OneHot, Options, totals_of
from raybench.metrics.state import Cells, State, Sums

__all__ = ["CONFUSION", "IGNORE_INDEX", "ConfusionCounter", "Marginals", "count_cells", "marginals"]

IGNORE_INDEX = -100
_CHUNK = 1 << 15  # rows a pass: the fused index stays in the cache
_MOST_CELLS, _FEW = 256, 8  # cells, and those a place, that are added one by one


class Marginals(NamedTuple):
    """Sums of the cells, [R, C]: right predictions, predictions, targets; and all of them, [R]."""

    tp_RC: np.ndarray
    predicted_RC: np.ndarray
    true_RC: np.ndarray
    total_R: np.ndarray


def marginals(sums: Sums, num_classes: int) -> Marginals:
    """The marginals of `cells`, walking the filled cells only; made once, as a dozen metrics read them."""
    if num_classes not in sums.made:
        sums.made[num_classes] = _marginals(sums, num_classes)
    found: Marginals = sums.made[num_classes]
    return found


def _marginals(sums: Sums, num_classes: int) -> Marginals:
    cells = sums.fields["cells"]
    row, column = np.divmod(cells.keys, num_classes + 1)
    values_RK = cells.values_RK
    hit = row == column
    return Marginals(
        tp_RC=_scatter(values_RK[:, hit], row[hit], num_classes),
        predicted_RC=_scatter(values_RK, column, num_classes + 1)[:, :num_classes],
        true_RC=_scatter(values_RK, row, num_classes),
        total_R=sums["n"],
    )


def _scatter(values_RK: np.ndarray, places_K: np.ndarray, size: int) -> np.ndarray:
    """The sum of the columns of each place, [R, size], in the dtype of the values."""
    out = np.zeros((values_RK.shape[0], size), dtype=values_RK.dtype)
    if not places_K.size:
        return out
    columns = _columns_of_places(places_K) if places_K.size <= _MOST_CELLS else {}
    if columns and max(map(len, columns.values())) <= _FEW:
        values_KR = np.ascontiguousarray(values_RK.T)
        for place, rows in columns.items():
            out[:, place] = _in_reduceat_order(values_KR, rows)
        return out
    order = np.argsort(places_K, kind="stable")
    sorted_places = places_K[order]
    starts = np.flatnonzero(np.diff(sorted_places, prepend=-1))
    out[:, sorted_places[starts]] = np.add.reduceat(values_RK[:, order], starts, axis=1)
    return out


def _columns_of_places(places_K: np.ndarray) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for column, place in enumerate(places_K.tolist()):
        found.setdefault(place, []).append(column)
    return found


def _in_reduceat_order(values_KR: np.ndarray, rows: list[int]) -> np.ndarray:
    """The sum of up to `_FEW` rows, to the bit as `np.add.reduceat` adds them: the first to the sum of the others."""
    first, *others = rows
    if not others:
        return values_KR[first]
    total = values_KR[others[0]]
    for row in others[1:]:
        total = total + values_KR[row]
    return values_KR[first] + total


def count_cells(target: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Confusion counts [C, C] of integer arrays [N] whose values are all in [0, C), int64.

    The index is fused in one preallocated buffer that stays in the cache; narrow integer input is read as it is.
    """
    size = num_classes * num_classes
    counts = np.zeros(size, dtype=np.int64)
    small = size <= 1 << 14
    step = _CHUNK if small else max(_CHUNK, size * 4)
    buffer = np.empty(min(step, target.size), dtype=np.intp)
    for start in range(0, target.size, step):
        index = buffer[: min(step, target.size - start)]
        np.multiply(target[start : start + step], num_classes, out=index, dtype=np.intp, casting="unsafe")
        np.add(index, prediction[start : start + step], out=index, casting="unsafe")
        counts += np.bincount(index, minlength=size)
    return counts.reshape(num_classes, num_classes)


class ConfusionCounter:
    """Counts of many small batches in one kept buffer: `cells` [C, C + 1], the last column for what is no class."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.cells = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
        self._flat = self.cells.reshape(-1)

    def update(self, target: np.ndarray, prediction: np.ndarray) -> None:
        """Add a batch [B]; its targets must be classes. Costs by the rows of the batch, not by the classes."""
        inside = np.minimum(prediction.astype(np.uint64), self.num_classes).astype(np.intp)  # a negative one is huge
        np.add.at(self._flat, target * (self.num_classes + 1) + inside, 1)

    def state(self, options: Options) -> State:
        """The state of all batches so far, as CONFUSION makes it."""
        n = self.cells.sum()
        fields = {
            "n": Cells.from_dense(n[None], size=None),
            "ignored": Cells.from_dense([0], size=None),
            "invalid": Cells.from_dense(self.cells[:, -1:].sum(axis=0), size=None),
            "cells": Cells.from_dense(self._flat.copy(), size=self._flat.size),
        }
        return State(measure=CONFUSION.name, config=CONFUSION.config(options), fields=fields)


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    num_classes = len(options["labels"])
    target, kept = class_targets(records, options["labels"], options["ignore_index"])
    prediction = integers_of(records, "prediction")
    invalid = (prediction < 0) | (prediction >= num_classes)
    codes = target * (num_classes + 1) + np.where(invalid, num_classes, prediction)
    return {
        "n": kept.astype(np.int64),
        "ignored": (~kept).astype(np.int64),
        "invalid": (invalid & kept).astype(np.int64),
        "cells": OneHot(np.where(kept, codes, -1), num_classes * (num_classes + 1)),
    }


def _totals(records: pa.Table, options: Options) -> dict[str, Cells]:
    """The same sums; where every target and prediction is a class, counted without a temporary of their length."""
    num_classes, num_rows = len(options["labels"]), records.num_rows
    target, prediction = column_of(records, "target"), column_of(records, "prediction")
    plain = num_rows and all(pa.types.is_integer(column.type) for column in (target, prediction))
    plain = plain and 8 * num_rows > num_classes**2
    if plain and not 0 <= options["ignore_index"] < num_classes:
        pair = target.to_numpy(), prediction.to_numpy()
        if all(int(labels.min()) >= 0 and int(labels.max()) < num_classes for labels in pair):
            cells = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
            cells[:, :-1] = count_cells(*pair, num_classes)
            none = Cells.from_dense([0], size=None)
            return {
                "n": Cells.from_dense([num_rows], size=None),
                "ignored": none,
                "invalid": none,
                "cells": Cells.from_dense(cells.reshape(-1), size=cells.size),
            }
    return totals_of(_contributions(records, options))


CONFUSION = Measure(
    name="confusion",
    weights=True,
    columns=("target", "prediction"),
    options={"labels": REQUIRED, "ignore_index": IGNORE_INDEX},
    contributions=_contributions,
    totals=_totals,
)
