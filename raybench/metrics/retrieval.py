"""NDCG, MRR, mean average precision, hit rate, recall and precision at k, one record a query.

Documents with equal scores have no order, so each figure is its expectation over the orders of the ties (McSherry and
Najork 2008), never that of the input. A query without a relevant document is skipped, or counts as 0 or as 1, as
`empty_queries` says ("skip", "zero", "one"). `cutoff` None ranks all documents. NDCG's gain is the relevance itself.
Average precision at k divides by all R relevant documents, as trec_eval's map_cut does, and not by min(R, k).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import lists_of, same_lengths
from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Metric, Options

__all__ = [
    "HIT_RATE",
    "MEAN_AVERAGE_PRECISION",
    "MRR",
    "NDCG",
    "PRECISION_AT",
    "RECALL_AT",
    "average_precision_of_query",
    "hit_of_query",
    "ndcg_of_query",
    "reciprocal_rank_of_query",
]

_EMPTY = {"skip": np.nan, "zero": 0.0, "one": 1.0}
_LARGEST = 1e300  # of a relevance: their discounted sum stays a number
Query = Callable[[np.ndarray, np.ndarray, int], float]


def _ties(scores_D: np.ndarray) -> list[np.ndarray]:
    """The documents of each score, best first."""
    order = np.argsort(-scores_D, kind="stable")
    ordered = scores_D[order]
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1  # no difference: that of equal infinities is NaN
    return np.split(order, starts)


def ndcg_of_query(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    discount = 1 / np.log2(np.arange(2, relevance_D.size + 2))
    discount[cutoff:] = 0
    gained, place = 0.0, 0
    for tie in _ties(scores_D):
        gained += float(relevance_D[tie].mean() * discount[place : place + tie.size].sum())
        place += tie.size
    return gained / float((np.sort(relevance_D)[::-1] * discount).sum())


def reciprocal_rank_of_query(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    place = 0
    for tie in _ties(scores_D):
        relevant = int((relevance_D[tie] > 0).sum())
        if relevant:
            # P(first relevant at i) of a random order: none before, then one
            value, none_before = 0.0, 1.0
            for i in range(tie.size - relevant + 1):
                here = none_before * relevant / (tie.size - i)
                value += here / (place + i + 1) if place + i < cutoff else 0.0
                none_before -= here
            return value
        place += tie.size
    return 0.0


def average_precision_of_query(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    found, place, total = 0, 0, 0.0
    for tie in _ties(scores_D):
        relevant, size = int((relevance_D[tie] > 0).sum()), tie.size
        for i in range(min(size, max(0, cutoff - place))):
            others = i * (relevant - 1) / (size - 1) if size > 1 else 0.0
            total += relevant / size * (found + 1 + others) / (place + i + 1)
        found, place = found + relevant, place + size
    return total / found  # all relevant documents, as trec_eval's map_cut divides; not min(R, k)


def _expected_relevant(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    expected, place = 0.0, 0
    for tie in _ties(scores_D):
        taken = min(tie.size, max(0, cutoff - place))
        expected += float((relevance_D[tie] > 0).mean()) * taken
        place += tie.size
    return expected


def _recall_of_query(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    return _expected_relevant(relevance_D, scores_D, cutoff) / int((relevance_D > 0).sum())


def _precision_of_query(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    return _expected_relevant(relevance_D, scores_D, cutoff) / cutoff


def hit_of_query(relevance_D: np.ndarray, scores_D: np.ndarray, cutoff: int) -> float:
    place, missed = 0, 1.0
    for tie in _ties(scores_D):
        relevant, taken = int((relevance_D[tie] > 0).sum()), min(tie.size, max(0, cutoff - place))
        for i in range(taken):  # no relevant document among those drawn from the tie
            missed *= max(0, tie.size - relevant - i) / (tie.size - i)
        place += tie.size
    return 1 - missed


def _rows(query: Query) -> Callable[[pa.Table, Options], tuple[np.ndarray, np.ndarray]]:
    def rows(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
        relevance = lists_of(records, "relevance", low=0.0, high=_LARGEST, nan=False)
        scores = lists_of(records, "scores")
        same_lengths(records, ("documents", "scores"), relevance, scores)
        values = np.full(records.num_rows, _EMPTY[options["empty_queries"]])
        kept = np.full(records.num_rows, options["empty_queries"] != "skip")
        for n in range(records.num_rows):
            relevance_D, scores_D = relevance.row(n).astype(np.float64), scores.row(n).astype(np.float64)
            if (relevance_D > 0).any():
                kept[n] = True
                cutoff = options["cutoff"] or scores_D.size
                values[n] = np.nan if np.isnan(scores_D).any() else query(relevance_D, scores_D, cutoff)
        return values, kept

    return rows


def _of_queries(name: str, query: Query, source: str, cutoff: int | None = None) -> Metric:
    columns = ("relevance", "scores")
    return Metric(
        measure=mean_measure(
            name, columns, _rows(query), {"cutoff": cutoff, "empty_queries": "skip"}, reads={"x": "scores"}
        ),
        value=mean,
        interval="mean",
        parameter="cutoff",
        higher_is_better=True,
        source=source,
    )


_TIES = "ties: McSherry and Najork 2008, doi:10.1007/978-3-540-78646-7_38"
NDCG = _of_queries("ndcg", ndcg_of_query, f"Järvelin and Kekäläinen 2002, doi:10.1145/582415.582418; {_TIES}")
MRR = _of_queries("mrr", reciprocal_rank_of_query, f"Voorhees 1999; {_TIES}")
MEAN_AVERAGE_PRECISION = _of_queries("map", average_precision_of_query, f"trec_eval map, map_cut; {_TIES}")
HIT_RATE = _of_queries("hit rate", hit_of_query, f"expectation over ties; {_TIES}", cutoff=10)
RECALL_AT = _of_queries("recall at", _recall_of_query, f"expectation over ties; {_TIES}", cutoff=10)
PRECISION_AT = _of_queries("precision at", _precision_of_query, f"expectation over ties; {_TIES}", cutoff=10)
