"""How candidates on one dataset are ordered: by a metric, or by several with weights.

    criterion = Criterion.of("2 macro_f1 + 1 ece", {"macro_f1": True, "ece": False})
    criterion.values([{"macro_f1": 0.9, "ece": 0.02}, {"macro_f1": 0.8, "ece": 0.01}])    # [1.33, 1.67]

Several metrics are votes: each ranks the candidates (ties share the mean of their ranks), and the weighted mean of a
candidate's ranks orders them, Borda's count as over datasets. So units, ranges and directions do not matter, and no
exchange rate of F1 against milliseconds is made up; the price is that a small difference counts as a large one and
that who else is compared can matter (Colombo et al. 2022, arXiv:2202.03799, argue the trade for benchmarks). That a
difference may be chance is in the intervals: in every bootstrap draw all metrics see the same examples, rank, and vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from raybench.job.rank_by import weights_of

__all__ = ["Criterion", "quality"]

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`rank_by` as it is written, its `weights` by metric, and of each whether higher is better."""

    rank_by: str
    weights: Mapping[str, float]
    higher: Mapping[str, bool]

    @classmethod
    def of(cls, rank_by: str, higher_is_better: Mapping[str, bool]) -> Criterion:
        """A metric without a direction is better when higher."""
        weights = weights_of(rank_by)
        higher = {name: higher_is_better.get(name, True) for name in weights}
        return cls(rank_by=rank_by, weights=weights, higher=higher)

    @property
    def metric(self) -> str | None:
        """The metric that orders alone; None where several vote."""
        return self.rank_by if len(self.weights) == 1 else None

    @property
    def higher_is_better(self) -> bool:
        """Of `values`: a mean rank is better when lower."""
        return self.metric is not None and self.higher[self.metric]

    def values(self, scores_K: Sequence[Mapping[str, float]]) -> list[float]:
        """What orders K candidates, of whose metrics each has a value: the metric's, or weighted mean ranks."""
        table = {name: np.array([[scores[name]] for scores in scores_K], dtype=float) for name in self.weights}
        return [float(value) for value in self._joined(table)[:, 0]] if scores_K else []

    def order(self, scores: Mapping[Key, Mapping[str, float]]) -> list[Key]:
        """Candidates by their `values`, the best first, equal ones as they come."""
        values = dict(zip(scores, self.values(list(scores.values())), strict=True))
        return sorted(values, key=lambda one: -values[one] if self.higher_is_better else values[one])

    def draws(self, replicates_K: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray | None:
        """The same in each of R bootstrap draws, [K, R]; None where a candidate lacks those of a metric."""
        if not replicates_K or not all(name in drawn for drawn in replicates_K for name in self.weights):
            return None
        return self._joined({name: np.stack([drawn[name] for drawn in replicates_K]) for name in self.weights})

    def _joined(self, values_KR: Mapping[str, np.ndarray]) -> np.ndarray:
        if self.metric is not None:
            return values_KR[self.metric]
        from scipy.stats import rankdata

        total = sum(self.weights.values())
        ranks = (
            weight / total * rankdata(-values_KR[name] if self.higher[name] else values_KR[name], axis=0)
            for name, weight in self.weights.items()
        )
        return np.sum(list(ranks), axis=0)


def quality(row: Mapping[str, Any], higher_is_better: Mapping[str, bool]) -> float | None:
    """What ordered a row of the ranking on its dataset, signed so that more is better; None: it has no such value."""
    criterion = Criterion.of(row["rank_by"], higher_is_better)
    value = row.get(criterion.metric or "mean_rank")
    if value is None:
        return None
    return float(value if criterion.higher_is_better else -value)
