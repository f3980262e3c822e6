"""Numbers and categories as one matrix, as classic models read it, kept as arrays.

Numbers: an empty cell is the median of the training rows, then standard deviations from their mean. Categories: one
column for each of the 100 commonest of the training rows; all others, empty ones too, are zeros. (scikit-learn's
SimpleImputer, StandardScaler, OneHotEncoder.)
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa

from raybench.core.errors import IncompatibleError
from raybench.recipes.baselines.baseline import Arrays

__all__ = ["fit_encoder", "record_features"]

_MOST_CATEGORIES = 100


def fit_encoder(rows: pa.Table, name: str) -> dict[str, np.ndarray]:
    """`encoder`: JSON as bytes; IncompatibleError, which begins with the baseline's name, where all cells are empty."""
    encoder = []
    struct = rows.column("features").combine_chunks()
    for place, field in enumerate(struct.type):
        cells = struct.field(place)
        if pa.types.is_floating(field.type):
            values = _numbers(cells)
            median = float(np.nanmedian(values)) if not np.isnan(values).all() else 0.0
            filled = np.where(np.isnan(values), median, values)
            encoder.append(
                {"name": field.name, "median": median, "mean": float(filled.mean()), "std": float(filled.std()) or 1.0}
            )
        else:
            counts = Counter(value for value in cells.to_pylist() if value is not None)
            commonest = sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_CATEGORIES]
            encoder.append({"name": field.name, "categories": sorted(commonest)})
    if not any(column.get("categories", True) for column in encoder):
        raise IncompatibleError(f"{name}: every cell of the training rows is empty")
    return {"encoder": np.frombuffer(json.dumps(encoder).encode(), dtype=np.uint8)}


def record_features(arrays: Arrays, rows: pa.Table) -> np.ndarray:
    """float64 [N, D]."""
    struct = rows.column("features").combine_chunks()
    parts = []
    for column in json.loads(arrays["encoder"].tobytes()):
        cells = struct.field(column["name"])
        if "categories" in column:
            places = {value: place for place, value in enumerate(column["categories"])}
            part = np.zeros((rows.num_rows, len(places)))
            known = [(row, places[value]) for row, value in enumerate(cells.to_pylist()) if value in places]
            if known:
                part[tuple(np.array(known).T)] = 1.0
        else:
            values = _numbers(cells)
            part = ((np.where(np.isnan(values), column["median"], values) - column["mean"]) / column["std"])[:, None]
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _numbers(cells: pa.Array) -> np.ndarray:
    values: np.ndarray = cells.to_numpy(zero_copy_only=False).astype(np.float64)
    return values
