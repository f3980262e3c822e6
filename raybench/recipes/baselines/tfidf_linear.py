"""A linear model on TF-IDF of a row's text or pair of texts: what several baselines share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.tfidf import fit_tfidf, open_tfidf

__all__ = ["linear_outputs", "text_features"]


def text_features(rows: pa.Table, baseline: str) -> tuple[Any, dict[str, np.ndarray]]:
    """The training rows' features, sparse [N, words], and the arrays that `linear_outputs` asks for beside the model's.

    Raises:
        IncompatibleError: there is no word in any text.
    """
    return fit_tfidf(_texts(rows), baseline)


def linear_outputs(arrays: Arrays, rows: pa.Table) -> np.ndarray:
    """float32 [N, C] by `weight` [words, C] and `bias` [C]."""
    outputs = open_tfidf(arrays).transform(_texts(rows)) @ arrays["weight"] + arrays["bias"]
    return np.asarray(outputs, dtype=np.float32)


def _texts(rows: pa.Table) -> list[str]:
    texts: list[str] = rows.column("text").to_pylist()
    if "text_pair" not in rows.column_names:
        return texts
    return [f"{a} {b}" for a, b in zip(texts, rows.column("text_pair").to_pylist(), strict=True)]
