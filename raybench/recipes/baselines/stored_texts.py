"""Texts among a checkpoint's arrays: one buffer of bytes and where each begins."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from raybench.recipes.baselines.baseline import Arrays

__all__ = ["load_texts", "store_texts"]


def store_texts(name: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """`<name>` uint8 and `<name>_offsets` int64 [N + 1]."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in encoded], dtype=np.int64)]).astype(np.int64)
    return {name: np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}_offsets": offsets}


def load_texts(arrays: Arrays, name: str) -> list[str]:
    """What `store_texts` was given."""
    data, bounds = arrays[name].tobytes(), arrays[f"{name}_offsets"].tolist()
    return [data[a:b].decode("utf-8", "surrogatepass") for a, b in itertools.pairwise(bounds)]
