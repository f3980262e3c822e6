"""Races by a metric of all records, such as F1 or AUC: asymptotic bounds at each look, from influences.

At a look a metric's value of the first examples differs between two models by a sum of influences, one an example
(`metrics/influence.py`), which is near normal: a difference is surely above 0 where it exceeds Student's quantile times
its standard error, on as many degrees of freedom as the influences' fourth moments leave. A race of K with `keep` kept
and L looks asks each pair at alpha / (keep · (K − 1) · L), the union bound (as `race_by_mean.py` argues), and says
`asymptotic`: it holds as far as the normal approximation does, not for any number of examples as betting does.
Examples are drawn without replacement, so after n of N the variance is that of a sample times 1 − n / N.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pyarrow as pa

from raybench.metrics import MetricSet
from raybench.metrics.draw_order import looks
from raybench.metrics.influence import spread_of
from raybench.metrics.worth import Worth, mean_worth, worth_of
from raybench.planning.races import PlannedRace
from raybench.results.race_judge import Judge, Verdict

__all__ = ["ByInfluence", "judge_worths", "level_of"]


def level_of(*, num_contestants: int, keep: int, alpha: float, num_looks: int) -> float:
    """The one-sided level of a pair at a look."""
    return alpha / (keep * (num_contestants - 1) * max(1, num_looks - 1))


def judge_worths(
    worths: Sequence[Worth | None], *, keep: int, level: float, share: float, higher_is_better: bool
) -> list[Verdict]:
    """Of those still in a race the ones to stop, after a `share` of all examples; None has no value yet."""
    sign = 1.0 if higher_is_better else -1.0
    known = {place: worth for place, worth in enumerate(worths) if worth is not None}
    order = sorted(known, key=lambda place: -sign * known[place].value)
    leaders, others = order[:keep], order[keep:]
    if len(leaders) < keep:
        return []
    found = []
    for place in others:
        margins = [_least_gap(known[leader], known[place], sign=sign, level=level, share=share) for leader in leaders]
        if min(margins) > 0:
            found.append(Verdict(place, leaders[0], margins[0]))
    return sorted(found)


def _least_gap(better: Worth, worse: Worth, *, sign: float, level: float, share: float) -> float:
    from scipy.special import stdtrit

    spread = spread_of(better.influence_U - worse.influence_U)
    if spread is None:
        return 0.0
    variance = (spread.variance + better.edge + worse.edge) * (1 - share)
    return sign * (better.value - worse.value) + float(stdtrit(spread.df, level)) * sqrt(variance)


class ByInfluence(Judge):
    """Values are tables of records, with the columns that the metric reads."""

    sure = "asymptotic"

    def __init__(self, rules: PlannedRace, num_examples: int, metrics: MetricSet) -> None:
        self._rules, self._num_examples = rules, num_examples
        self._metrics = MetricSet((rules.metric,), metrics.config)  # records have the columns of what ranks alone
        self._parts: dict[str, list[pa.Table]] = {id_: [] for one in rules.contestants for id_ in one.trial_ids}

    def learn(self, trial_id: str, places: np.ndarray, values: np.ndarray | pa.Table) -> None:
        assert isinstance(values, pa.Table)
        self._parts[trial_id].append(values.append_column(_PLACE, pa.array(places, pa.int64())))

    def verdicts(self, contestants: Sequence[tuple[str, ...]], upto: int) -> list[Verdict]:
        rules = self._rules
        level = level_of(
            num_contestants=len(rules.contestants),
            keep=rules.keep,
            alpha=rules.alpha,
            num_looks=len(looks(self._num_examples)),
        )
        worths = [mean_worth([self._worth(one, upto) for one in trial_ids]) for trial_ids in contestants]
        share = upto / self._num_examples
        return judge_worths(worths, keep=rules.keep, level=level, share=share, higher_is_better=rules.higher_is_better)

    def _worth(self, trial_id: str, upto: int) -> Worth | None:
        table = pa.concat_tables(self._parts[trial_id]).combine_chunks()
        self._parts[trial_id] = [table]
        places, first = np.unique(table.column(_PLACE).to_numpy(), return_index=True)  # what came twice counts once
        rows = table.take(pa.array(first[places < upto])).drop_columns(_PLACE)
        return worth_of(self._metrics, self._rules.metric, rows)


_PLACE = "place in the draw"
