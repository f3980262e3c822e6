"""Top-k accuracy from `rank`: how many classes outrank the target.

Ties at the edge go to the lower class index: of equal logits the classes before the target outrank it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import class_targets, integers_of, refuse
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio

__all__ = ["TOP_K_ACCURACY"]


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    _, kept = class_targets(records, options["labels"], options["ignore_index"])
    rank = integers_of(records, "rank", low=0)
    labels = options["labels"]
    if labels is not None and rank.size and int(rank.max()) > len(labels):
        refuse(records, "rank", int(rank.argmax()), int(rank.max()), f"at most {len(labels)}, behind all classes")
    hit = (rank < options["top_k"]) & kept
    return {"n": kept.astype(np.int64), "ignored": (~kept).astype(np.int64), "hits": hit.astype(np.int64)}


TOP_K_ACCURACY = Metric(
    measure=Measure(
        name="top_k",
        weights=True,
        columns=("target", "rank"),
        options={"top_k": 5, "labels": None, "ignore_index": IGNORE_INDEX},
        contributions=_contributions,
    ),
    value=lambda sums, options: ratio(sums["hits"], sums["n"]),
    proportion=lambda sums, options: (sums["hits"], sums["n"]),
    trial_each=True,
    interval="wilson",
    parameter="top_k",
    higher_is_better=True,
    source="https://scikit-learn.org/stable/modules/model_evaluation.html#top-k-accuracy-score",
)
