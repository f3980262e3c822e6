"""What records are worth by a metric: its value and, by example, how it hangs on each of them.

worth = worth_of(metrics, "macro_f1", records)
spread_of(worth.influence_U - other.influence_U)     # of the difference of two models on the same examples
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.influence import edge_variance, unit_sums
from raybench.metrics.metric import Metric, TableMetric
from raybench.metrics.metric_set import MetricSet
from raybench.metrics.scoring import Scorer

__all__ = ["Worth", "has_influence", "mean_worth", "worth_of"]


class Worth(NamedTuple):
    """`influence_U` is that of each unit that is drawn together, in an order of their ids; `edge` what they do not show
    of the value's variance (`influence.edge_variance`)."""

    value: float
    influence_U: np.ndarray
    edge: float


def has_influence(metric: Metric | TableMetric) -> bool:
    """Whether influences tell how the value of some records differs from that of all, and which way is better.

    They do not where few records make a value too large (average precision, FID) or it has an interval of its own for
    chance being most of it (ECE, MCE).
    """
    if metric.higher_is_better is None or metric.bias is not None:
        return False
    return metric.ends is None if isinstance(metric, Metric) else metric.influence is not None


def worth_of(metrics: MetricSet, name: str, records: pa.Table) -> Worth | None:
    """None where these records leave the metric without a value, or one that no influence is known of."""
    scorer = Scorer(metrics.states(records), lambda: records, seed=0, group=metrics.group, intervals=False)
    score, (metric, options) = metrics.score(name, scorer), metrics.metric(name)
    evidence = scorer.evidence()
    if score.value is None or not isfinite(score.value) or evidence is None:
        return None
    influence_N, unit_N = evidence.influence(metric, options, score.value)
    influence_U = unit_sums(influence_N, unit_N)
    if not np.isfinite(influence_U).all():
        return None
    edge = 0.0
    if isinstance(metric, Metric) and metric.macro and metric.per_class is not None:
        sums = metric.measure.state(evidence.table, options).sums()
        values_C, counts_C = (np.asarray(part[0], dtype=np.float64) for part in metric.per_class(sums, options))
        edge = edge_variance(values_C, counts_C, metric.range)
    return Worth(score.value, influence_U, edge)


def mean_worth(worths: Sequence[Worth | None]) -> Worth | None:
    """That of a configuration of several seeds, on the same examples."""
    known = [one for one in worths if one is not None]
    if len(known) < len(worths):
        return None
    return Worth(
        float(np.mean([one.value for one in known])),
        np.mean([one.influence_U for one in known], axis=0),
        float(np.mean([one.edge for one in known])),
    )
