"""Perplexity a token, a word and a byte, and bits a byte: one exact sum of nll over three integer denominators.

A token's perplexity depends on the tokenizer; a word's and a byte's do not, so those compare models. Where exp would
overflow the perplexity is infinite, and `token_nll` still has the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import integers_of, numbers_of
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio
from raybench.metrics.state import Sums

__all__ = ["BITS_PER_BYTE", "BYTE_PERPLEXITY", "PERPLEXITY", "TOKEN_NLL", "WORD_PERPLEXITY"]


def _measure(unit: str) -> Measure:
    """Only what the metric reads is asked for, so a record without words may still be scored by the token."""

    def contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
        count = integers_of(records, unit, low=0)
        return {"n": (count > 0).astype(np.int64), "nll": numbers_of(records, "nll", low=0.0), "count": count}

    return Measure(name=f"nll by {unit}", columns=("nll", unit), contributions=contributions)


def _mean_nll(sums: Sums, options: Options) -> np.ndarray:
    return ratio(sums["nll"], sums["count"])


def _exponential(sums: Sums, options: Options) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.exp(_mean_nll(sums, options))


def _per(unit: str, value: Callable[[Sums, Options], np.ndarray], name: str, low: float) -> Metric:
    return Metric(
        measure=_measure(unit),
        value=value,
        interval="mean",
        mean_of=("nll", "count"),
        higher_is_better=False,
        unit=name,
        range=(low, inf),
        source="Jelinek, Mercer, Bahl and Baker 1977, doi:10.1121/1.2016299",
    )


PERPLEXITY = _per("num_tokens", _exponential, "choices a token", 0.0)
WORD_PERPLEXITY = _per("num_words", _exponential, "choices a word", 0.0)
BYTE_PERPLEXITY = _per("num_bytes", _exponential, "choices a byte", 0.0)
BITS_PER_BYTE = _per("num_bytes", lambda sums, options: _mean_nll(sums, options) / log(2), "bits a byte", 0.0)
TOKEN_NLL = _per("num_tokens", _mean_nll, "nats a token", 0.0)
