"""Question answering: exact match and word F1 with the best reference, unanswerable questions included.

A question without references is unanswerable: an empty answer scores 1, any other 0 (SQuAD 2.0). `transform` says
what is compared (text.py); exact match is a proportion and has Wilson's interval.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio
from raybench.metrics.rouge import f1_of_counts
from raybench.metrics.text import pairs_of, transform

__all__ = ["EXACT_MATCH", "QA_F1"]

_COLUMNS = ("hypothesis", "references")
_SOURCE = "Rajpurkar, Jia and Liang 2018, arXiv:1806.03822"


def _normalised(records: pa.Table, options: Options) -> list[tuple[str, list[str]]]:
    name = options["transform"]
    return [
        (transform(hypothesis, name), [transform(reference, name) for reference in references] or [""])
        for hypothesis, references in pairs_of(records)
    ]


def _exact(records: pa.Table, options: Options) -> dict[str, Contribution]:
    hits = [hypothesis in references for hypothesis, references in _normalised(records, options)]
    return {"n": np.ones(records.num_rows, dtype=np.int64), "hits": np.array(hits, dtype=np.int64)}


def _word_f1(records: pa.Table, options: Options) -> np.ndarray:
    return np.array(
        [max(_f1(h, r) for r in references) for h, references in _normalised(records, options)], dtype=float
    )


def _f1(hypothesis: str, reference: str) -> float:
    ours, theirs = Counter(hypothesis.split()), Counter(reference.split())
    if not ours or not theirs:
        return float(ours == theirs)
    return f1_of_counts((ours & theirs).total(), ours.total(), theirs.total())


EXACT_MATCH = Metric(
    measure=Measure(
        name="exact match", weights=True, columns=_COLUMNS, options={"transform": "squad"}, contributions=_exact
    ),
    value=lambda sums, options: ratio(sums["hits"], sums["n"]),
    proportion=lambda sums, options: (sums["hits"], sums["n"]),
    interval="wilson",
    higher_is_better=True,
    source=_SOURCE,
)
QA_F1 = Metric(
    measure=mean_measure("word f1", _COLUMNS, _word_f1, {"transform": "squad"}),
    value=mean,
    interval="mean",
    higher_is_better=True,
    source=_SOURCE,
)
