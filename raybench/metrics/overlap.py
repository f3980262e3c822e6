"""BLEU, chrF and TER from merged statistics; sacrebleu counts each segment, the formulas are over the sums.

Never a mean of segments' or shards' scores. The signature (tokenizer, case, version) is part of the state's
configuration, so what sacrebleu counted differently does not merge; `MetricSet.info(name).source` shows it.
Segments may have different numbers of references, at least one. An empty hypothesis counts towards the lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import place_of
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio, to_float
from raybench.metrics.state import Sums
from raybench.metrics.text import pairs_of

__all__ = ["BLEU", "CHRF", "CHRF_PLUS_PLUS", "TER"]

_ORDERS = 4
_BETA_SQUARED = 4  # chrF2: recall counts twice


def _counter(kind: str, options: Options) -> Any:
    """sacrebleu's metric, which counts."""
    from sacrebleu import metrics as sacrebleu

    if kind == "bleu":
        return sacrebleu.BLEU(lowercase=options["lowercase"], tokenize=options["tokenize"], force=True)
    if kind == "ter":
        return sacrebleu.TER(case_sensitive=not options["lowercase"])
    return sacrebleu.CHRF(lowercase=options["lowercase"], word_order=2 if kind == "chrf++" else 0)


def _signature(kind: str) -> Callable[[Options], str]:
    def signature(options: Options) -> str:
        counter = _counter(kind, options)
        counter.num_refs = -1  # the number of references may vary and is in the records
        return f"sacrebleu {kind} {counter.get_signature()}"

    return signature


def _measure(kind: str, width: int, options: Options) -> Measure:
    def contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
        pairs = pairs_of(records)
        for row, (_, references) in enumerate(pairs):
            if not references:
                raise MetricError(f"{place_of(records, row)} has no reference; {kind} needs one at least")
        statistics_NW = np.zeros((len(pairs), width))
        if pairs:
            most = max(len(references) for _, references in pairs)
            streams = [[texts[k] if k < len(texts) else None for _, texts in pairs] for k in range(most)]
            statistics_NW[:] = _counter(kind, options)._extract_corpus_statistics([text for text, _ in pairs], streams)
        found = statistics_NW if kind == "ter" else statistics_NW.astype(np.int64)
        return {"n": np.ones(len(pairs), dtype=np.int64), "statistics": found}

    return Measure(
        name=kind,
        columns=("hypothesis", "references"),
        options=options,
        contributions=contributions,
        signature=_signature(kind),
    )


def _bleu(sums: Sums, options: Options) -> np.ndarray:
    """Papineni et al. (2002) with sacrebleu's exponential smoothing: orders without a match count 1/2, 1/4, …"""
    statistics = to_float(sums["statistics"])
    lengths, reference_lengths = statistics[:, 0], statistics[:, 1]
    matches, totals = statistics[:, 2 : 2 + _ORDERS], statistics[:, 2 + _ORDERS :]
    missed = np.cumsum(matches == 0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(matches == 0, np.exp2(-missed) / totals, matches / totals)
        penalty = np.where(lengths < reference_lengths, np.exp(1 - reference_lengths / lengths), 1.0)
        score = 100 * penalty * np.exp(np.log(precisions).sum(axis=1) / _ORDERS)
    return np.where((matches.sum(axis=1) == 0) | (totals == 0).any(axis=1), 0.0, score)


def _chrf(sums: Sums, options: Options) -> np.ndarray:
    """Popović (2015): F2 of precision and recall, averaged over the orders that both sides have."""
    statistics = to_float(sums["statistics"])
    hypothesis, reference, match = (statistics[:, k::3] for k in range(3))
    both = (hypothesis > 0) & (reference > 0)
    orders = both.sum(axis=1)
    precision = np.where(both, match / np.where(both, hypothesis, 1), 0).sum(axis=1) / np.maximum(orders, 1)
    recall = np.where(both, match / np.where(both, reference, 1), 0).sum(axis=1) / np.maximum(orders, 1)
    weighted = _BETA_SQUARED * precision + recall
    return np.where(
        weighted > 0, 100 * (1 + _BETA_SQUARED) * precision * recall / np.where(weighted > 0, weighted, 1), 0
    )


def _ter(sums: Sums, options: Options) -> np.ndarray:
    edits, lengths = sums["statistics"][:, 0], sums["statistics"][:, 1]
    return np.where(lengths == 0, np.where(edits > 0, 100.0, 0.0), 100 * np.nan_to_num(ratio(edits, lengths)))


def _overlap(kind: str, width: int, value: Callable[[Sums, Options], np.ndarray], options: Options) -> Metric:
    return Metric(
        measure=_measure(kind, width, options),
        value=value,
        higher_is_better=kind != "ter",
        unit="points of 100" if kind != "ter" else "edits a 100 reference words",
        range=(0.0, 100.0) if kind != "ter" else (0.0, np.inf),
        whole=100.0 if kind == "ter" else None,
        source=_signature(kind),
    )


BLEU = _overlap("bleu", 2 + 2 * _ORDERS, _bleu, {"lowercase": False, "tokenize": "13a"})
CHRF = _overlap("chrf", 18, _chrf, {"lowercase": False})
CHRF_PLUS_PLUS = _overlap("chrf++", 24, _chrf, {"lowercase": False})
TER = _overlap("ter", 2, _ter, {"lowercase": True})
