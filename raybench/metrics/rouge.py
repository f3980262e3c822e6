"""ROUGE-1, ROUGE-2 and ROUGE-L: the mean over records of the F1 with the best reference.

Words are runs of a–z and 0–9 in lower case, as in the reference implementation, without stemming.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import place_of
from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Metric, Options
from raybench.metrics.text import pairs_of

__all__ = ["ROUGE_1", "ROUGE_2", "ROUGE_L", "f1_of_counts"]

_WORD = re.compile(r"[a-z0-9]+")
_SOURCE = "Lin 2004, https://aclanthology.org/W04-1013; words [a-z0-9]+ in lower case, no stemming, best reference"


def f1_of_counts(hits: int, predicted: int, true: int) -> float:
    return 2 * hits / (predicted + true) if predicted + true else 0.0


def _ngram_f1(order: int) -> Callable[[list[str], list[str]], float]:
    def ngrams(words: list[str]) -> Counter[tuple[str, ...]]:
        return Counter(zip(*(words[k:] for k in range(order)), strict=False))

    def f1(hypothesis: list[str], reference: list[str]) -> float:
        ours, theirs = ngrams(hypothesis), ngrams(reference)
        return f1_of_counts((ours & theirs).total(), ours.total(), theirs.total())

    return f1


def _longest_common_f1(hypothesis: list[str], reference: list[str]) -> float:
    from rapidfuzz.distance import LCSseq

    return f1_of_counts(LCSseq.similarity(hypothesis, reference), len(hypothesis), len(reference))


def _rouge(name: str, f1: Callable[[list[str], list[str]], float]) -> Metric:
    def rows(records: pa.Table, options: Options) -> np.ndarray:
        values = np.zeros(records.num_rows)
        for row, (hypothesis, references) in enumerate(pairs_of(records)):
            if not references:
                raise MetricError(f"{place_of(records, row)} has no reference; {name} needs one at least")
            words = _WORD.findall(hypothesis.lower())
            values[row] = max(f1(words, _WORD.findall(reference.lower())) for reference in references)
        return values

    return Metric(
        measure=mean_measure(name, ("hypothesis", "references"), rows),
        value=mean,
        interval="mean",
        higher_is_better=True,
        source=_SOURCE,
    )


ROUGE_1, ROUGE_2, ROUGE_L = (
    _rouge("rouge1", _ngram_f1(1)),
    _rouge("rouge2", _ngram_f1(2)),
    _rouge("rougeL", _longest_common_f1),
)
