"""`unigram` and `interpolated-ngram`: what a language model must foretell a text better than, by counts of bytes.

Bytes, so that no text has an unknown word and the probabilities of all texts sum to one: their bits a byte stand beside
those of any model.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays

__all__ = ["InterpolatedNgram", "Unigram"]

_BASE = 257  # a byte's value + 1; 0 stands before the text


class Unigram:
    """Each byte by its share of the training texts."""

    tasks: tuple[str, ...] = ("causal-lm", "masked-lm")
    version = 1
    order = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        symbols, is_text, _ = _symbols(rows, self.order)
        arrays = {}
        for order, keys in enumerate(_keys(symbols, self.order), 1):
            arrays[f"keys_{order}"], counts = np.unique(keys[is_text], return_counts=True)
            arrays[f"counts_{order}"] = counts.astype(np.int32)
        return arrays

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        """−ln p of each text, float64 [rows]; of masked-lm also how many of its bytes are the likeliest, [rows, 2]."""
        symbols, is_text, owner = _symbols(rows, self.order)
        own, actual = owner[is_text], symbols[is_text]
        keys = [key[is_text] for key in _keys(symbols, self.order)]
        probability = self._probability(arrays, keys)
        nll = np.bincount(own, weights=-np.log(probability), minlength=rows.num_rows)
        if dataset.task != "masked-lm":
            return nll
        right = np.ones(len(actual), dtype=bool)
        for symbol in arrays["keys_1"].tolist():  # a byte that training has not is never the likeliest
            other = self._probability(arrays, [key - actual + symbol for key in keys])
            right &= np.where(actual == symbol, True, other < probability)
        return np.stack([nll, np.bincount(own, weights=right, minlength=rows.num_rows)], axis=1)

    def _probability(self, arrays: Arrays, keys: list[np.ndarray]) -> np.ndarray:
        probability = np.full(len(keys[0]), 1 / 256)
        for order, key in enumerate(keys, 1):
            probability = _interpolated(arrays[f"keys_{order}"], arrays[f"counts_{order}"], key, probability)
        return probability


class InterpolatedNgram(Unigram):
    """Each byte from the five before it, the orders interpolated by Witten and Bell's rule (1991)."""

    order = 6


def _symbols(rows: pa.Table, order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All texts one after the other, each behind `order` zeros: symbols, which are text, and whose they are."""
    texts = [np.frombuffer(text.encode(), dtype=np.uint8) for text in rows.column("text").to_pylist()]
    parts = [np.concatenate([np.zeros(order, np.int64), text.astype(np.int64) + 1]) for text in texts]
    symbols = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return symbols, symbols > 0, owner


def _keys(symbols: np.ndarray, most: int) -> list[np.ndarray]:
    """For each order up to `most` the last symbols up to each place as one number, the very last as its last digit."""
    keys, key = [], np.zeros(len(symbols), dtype=np.int64)
    for back in range(most):
        earlier = np.concatenate([np.zeros(back, np.int64), symbols[: len(symbols) - back]])
        key = key + earlier * _BASE**back
        keys.append(key)
    return keys


def _interpolated(known: np.ndarray, counts: np.ndarray, asked: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """(n(history, byte) + t(history) · lower) / (n(history) + t(history)); t counts the bytes seen after a history."""
    if not len(known):
        return lower
    histories, starts = np.unique(known // _BASE, return_index=True)
    seen = np.add.reduceat(counts.astype(np.int64), starts)
    kinds = np.diff(np.append(starts, len(known)))
    n_byte = np.where(_has(known, asked), counts[_place(known, asked)], 0)
    there, place = _has(histories, asked // _BASE), _place(histories, asked // _BASE)
    n, t = seen[place], kinds[place]
    return np.where(there, (n_byte + t * lower) / (n + t), lower)


def _place(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(known, asked), len(known) - 1)


def _has(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    found: np.ndarray = known[_place(known, asked)] == asked
    return found
