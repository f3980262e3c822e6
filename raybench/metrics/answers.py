"""Question answering: exact match and word F1 with the best reference, unanswerable questions included.

A question without references is unanswerable: an empty answer scores 1, any other 0 (SQuAD 2.0). `transform` says
what is compared (text.py); exact match is a proportion and has Wilson's interval. Questions with and without an answer
are also measured apart, as SQuAD 2.0's evaluation does (HasAns, NoAns).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio
from raybench.metrics.rouge import f1_of_counts
from raybench.metrics.text import pairs_of, transform

__all__ = ["ANSWERABLE_EXACT_MATCH", "ANSWERABLE_F1", "EXACT_MATCH", "QA_F1", "UNANSWERABLE_ACCURACY"]

_COLUMNS = ("hypothesis", "references")
_SOURCE = "Rajpurkar, Jia and Liang 2018, arXiv:1806.03822"


def _normalised(records: pa.Table, options: Options) -> list[tuple[str, list[str]]]:
    name = options["transform"]
    return [
        (transform(hypothesis, name), [transform(reference, name) for reference in references] or [""])
        for hypothesis, references in pairs_of(records)
    ]


def _exact(records: pa.Table, options: Options) -> dict[str, Contribution]:
    return {"n": np.ones(records.num_rows, dtype=np.int64), "hits": _hits(records, options)}


def _hits(records: pa.Table, options: Options) -> np.ndarray:
    found = [hypothesis in references for hypothesis, references in _normalised(records, options)]
    return np.array(found, dtype=np.int64)


def _word_f1(records: pa.Table, options: Options) -> np.ndarray:
    return np.array(
        [max(_f1(h, r) for r in references) for h, references in _normalised(records, options)], dtype=float
    )


def _answerable(records: pa.Table) -> np.ndarray:
    return np.array([bool(references) for _, references in pairs_of(records)], dtype=bool)


def _answerable_f1(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
    return _word_f1(records, options), _answerable(records)


def _exact_apart(records: pa.Table, options: Options) -> dict[str, Contribution]:
    hits, answerable = _hits(records, options), _answerable(records)
    return {
        "n": np.ones(records.num_rows, dtype=np.int64),
        "answerable": answerable.astype(np.int64),
        "answerable_hits": np.where(answerable, hits, 0),
        "unanswerable": (~answerable).astype(np.int64),
        "unanswerable_hits": np.where(answerable, 0, hits),
    }


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
    trial_each=True,
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
ANSWERABLE_F1 = Metric(
    measure=mean_measure("word f1 of answerable questions", _COLUMNS, _answerable_f1, {"transform": "squad"}),
    value=mean,
    interval="mean",
    higher_is_better=True,
    source=_SOURCE,
)
_APART = Measure(name="exact match apart", columns=_COLUMNS, options={"transform": "squad"}, contributions=_exact_apart)


def _share_of(kind: str) -> Metric:
    return Metric(
        measure=_APART,
        value=lambda sums, options: ratio(sums[f"{kind}_hits"], sums[kind]),
        proportion=lambda sums, options: (sums[f"{kind}_hits"], sums[kind]),
        interval="wilson",
        higher_is_better=True,
        source=_SOURCE,
        undefined=f"no question is {kind}",
    )


ANSWERABLE_EXACT_MATCH, UNANSWERABLE_ACCURACY = _share_of("answerable"), _share_of("unanswerable")
