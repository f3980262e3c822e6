"""From merged states to scores: the exact value, its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import Score
from raybench.core.errors import MetricError
from raybench.core.identity import seed_from
from raybench.metrics.cells import CellDraws
from raybench.metrics.evidence import Evidence, has_value
from raybench.metrics.influence import edge_variance, spread_of, unit_sums
from raybench.metrics.intervals import interval_of, mean_spread, wilson
from raybench.metrics.metric import Ends, Metric, Options, TableMetric, to_float
from raybench.metrics.shared import Shared, counts_of, digest_of
from raybench.metrics.state import Field, State, Sums
from raybench.metrics.state_set import StateSet

__all__ = ["Scorer"]

NO_EXAMPLES = "no examples"

_ROUNDING = 1e-9
_MOST_SHARED = 1 << 16  # records of which it is worth while to see whether others are the same


class Scorer:
    """Scores several metrics of the same states; records, sums and replicates are made once and shared."""

    def __init__(
        self,
        states: StateSet,
        records: Callable[[], pa.Table] | None,
        *,
        seed: int,
        group: str | None,
        intervals: bool = True,  # a comparison asks for values alone
        shared: Shared | None = None,  # by scorers of the same metrics with the same options
    ) -> None:
        self._states = states
        self._read = records
        self._group = group
        self._intervals = intervals
        self._shared = shared if shared is not None else Shared()
        self._cell_seed = seed_from(seed, states.coverage.fingerprint)
        self._seed = seed_from(seed)
        self._found: Evidence | None = None
        self._sums: dict[str, Sums] = {}
        self._cells: dict[str, CellDraws] = {}

    def score(self, metric: Metric, options: Options, key: str) -> Score:
        state = self._states.states.get(key)
        if state is None and (self._states.states or self._states.coverage.n):
            raise MetricError(
                f"these states hold no {metric.measure.name!r} with the options at hand: they were measured "
                "for other metrics or with another configuration; measure the records anew"
            )
        n = state.n if state is not None else 0
        if state is None or n == 0:
            return Score(value=None, n=n, reason=_nothing(state))
        counts = counts_of(state) if self._group is None and metric.of_counts else None
        if counts is None:
            return self._score(metric, options, key, state)
        known = (id(metric), id(options), key, self._cell_seed, self._intervals, counts)
        return self._shared.once(known, lambda: self._score(metric, options, key, state))

    def _score(self, metric: Metric, options: Options, key: str, state: State) -> Score:
        n = state.n
        if key not in self._sums:
            self._sums[key] = state.sums()
        sums = self._sums[key]
        value = _unrounded(float(metric.value(sums, options)[0]), metric.range)
        if np.isnan(value):
            classes = self._classes(metric, options, sums, (state, key))
            return Score(value=None, n=n, reason=_nan_reason(state, metric), per_class=classes)
        if not self._intervals:
            return Score(value=value, n=n)
        low, high = _within(self._ends(metric, options, value, state, key), metric.range)
        classes = self._classes(metric, options, sums, (state, key))
        return Score(value=value, low=low, high=high, n=n, per_class=classes)

    def table_score(self, metric: TableMetric, options: Options) -> Score:
        n = self._states.coverage.n
        if n == 0:
            return Score(value=None, n=0, reason=NO_EXAMPLES)
        evidence = self.evidence()
        if evidence is None:
            return Score(value=None, n=n, reason="needs the records, and none were given")
        n = metric.count(evidence.table, options)
        if not has_value(metric, evidence.table, options):
            return Score(value=None, n=n, reason=metric.problem(evidence.table, options) if n else NO_EXAMPLES)
        value = _unrounded(float(metric.value(evidence.measured(metric, options), options)), metric.range)
        if np.isnan(value):
            return Score(value=None, n=n, reason=metric.undefined)
        if not self._intervals:
            return Score(value=value, n=n)
        trials = n if metric.trials is None else metric.trials(evidence.table, options)
        influence_N, unit_N = evidence.influence(metric, options, value)
        spread = spread_of(unit_sums(influence_N, unit_N))
        if spread is None:
            return Score(value=value, n=n)
        variance, df = spread.variance, spread.df
        if metric.moderated is not None:
            variance, df = metric.moderated(evidence.table, options, value, variance), df + 2
        per_row = spread.num_units / n if self._group is not None else 1.0
        bias = metric.bias(evidence.table, options) if metric.bias is not None and variance > 0 else 0.0
        ends = _biased_ends(value, bias, variance=variance, df=df, bounds=metric.range, trials=trials * per_row)
        low, high = _within(ends, metric.range)
        return Score(value=value, low=low, high=high, n=n)

    def replicates(self, metric: Metric | TableMetric, options: Options) -> np.ndarray | None:
        """Values of a metric under Poisson resampling of the records, [R]; None where it has no value.

        Draws depend on (seed, id), so those of other models on the same examples are paired with them.
        """
        evidence = self.evidence()
        if evidence is None or evidence.table.num_rows == 0:
            return None
        if isinstance(metric, Metric):
            if metric.influence is None:
                return self._resampled(evidence, metric, options)
            value = float(metric.value(metric.measure.state(evidence.table, options).sums(), options)[0])
        elif has_value(metric, evidence.table, options):
            value = float(metric.value(evidence.measured(metric, options), options))
        else:
            return None
        return evidence.linear_replicates(metric, options, value)

    def _resampled(self, evidence: Evidence, metric: Metric, options: Options) -> np.ndarray:
        def make() -> np.ndarray:
            values_R = metric.value(evidence.resample(metric, options), options)
            values_R.flags.writeable = False
            return values_R

        if self._group is not None or evidence.table.num_rows > _MOST_SHARED:
            return make()
        content = digest_of(evidence.contributions(metric, options))
        seen = self._states.coverage.fingerprint
        return self._shared.once((id(metric), id(options), self._seed, seen, content), make)

    def _ends(self, metric: Metric, options: Options, value: float, state: State, key: str) -> Ends:
        """The interval by the metric's method; where rows are grouped, by the influence of each group."""
        sums = self._sums[key]
        if np.isinf(value):
            return None
        if metric.ends is not None:
            if self._group is None:
                return metric.ends(sums, options, None)
            evidence = self.evidence()
            return None if evidence is None else metric.ends(sums, options, evidence.unit_tables(metric, options))
        if self._group is None and metric.interval == "cells":
            return self._cell_draws(state, key).ends(value, lambda drawn: metric.value(drawn, options))
        successes, trials = float(state.n), float(state.n)
        if metric.proportion is not None:
            successes, trials = (float(part[0]) for part in metric.proportion(sums, options))
        if self._group is None and metric.interval == "wilson":
            return wilson(successes, trials)
        if metric.interval == "mean":
            return self._mean_ends(metric, options, sums, state.n)
        evidence = self.evidence()
        if evidence is None:
            return None
        influence_N, unit_N = evidence.influence(metric, options, value)
        spread = spread_of(unit_sums(influence_N, unit_N))
        if spread is None:
            return None
        variance = spread.variance
        if metric.macro and metric.per_class is not None:
            values_C, counts_C = (np.asarray(part[0], dtype=np.float64) for part in metric.per_class(sums, options))
            variance += edge_variance(values_C, counts_C, metric.range)
        return _biased_ends(
            value,
            metric.bias(sums, options) if metric.bias is not None else 0.0,
            variance=variance,
            df=spread.df,
            bounds=metric.range,
            trials=trials * spread.num_units / max(1, evidence.table.num_rows),
            whole=metric.whole,
        )

    def _cell_draws(self, state: State, key: str) -> CellDraws:
        if key not in self._cells:
            self._cells[key] = CellDraws.of(state, seed=self._cell_seed)
        return self._cells[key]

    def evidence(self) -> Evidence | None:
        """The records behind the scores, if there are any."""
        if self._found is None and self._read is not None:
            self._found = Evidence(self._read, self._states.coverage, seed=self._seed, group=self._group)
        return self._found

    def _mean_ends(self, metric: Metric, options: Options, sums: Sums, n: int) -> Ends:
        """The interval of the mean that the metric is made of, carried through its formula."""
        if self._group is None and "xx" in sums.fields:
            spread = mean_spread(sums)
        else:
            evidence = self.evidence()
            spread = None if evidence is None else spread_of(evidence.mean_influence(metric, options))
        if spread is None:
            return None
        summed, counted = (sums[name][0] for name in metric.mean_of)
        interval = interval_of(
            float(summed / counted),
            variance=spread.variance,
            df=spread.df,
            bounds=metric.range,
            trials=n if self._group is None else spread.num_units,
            skewness=spread.skewness,
        )
        if interval is None:
            return None
        place, count = np.zeros(1, dtype=np.int64), float(counted)
        moved = dict(zip(metric.mean_of, ([end * count for end in interval], [count, count]), strict=True))
        fields = {name: Field(place, np.array(numbers)[:, None], None) for name, numbers in moved.items()}
        ends = metric.value(Sums(fields), options).tolist()
        return min(ends), max(ends)

    def _classes(self, metric: Metric, options: Options, sums: Sums, origin: tuple[State, str]) -> dict[str, Score]:
        """The score of each class."""
        if metric.per_class is None:
            return {}
        per_class = metric.per_class
        values_C, counts_C = (part[0] for part in per_class(sums, options))
        if "examples" in origin[0].fields:  # weighted: how many records of mean weight
            counts_C = np.rint(to_float(counts_C * origin[0].n / sums["n"][0]))
        values_C = values_C.astype(np.float64)
        ends = self._class_ends(metric, options, values_C, counts_C, origin)
        scores = {}
        known = zip(metric.classes(options), values_C.tolist(), counts_C.tolist(), ends, strict=True)
        for name, value, count, both in known:
            n = int(count)
            if isnan(value):
                scores[str(name)] = Score(value=None, n=n, reason=metric.undefined_class)
                continue
            low, high = _within(both, metric.range)
            scores[str(name)] = Score(value=value, low=low, high=high, n=n)
        return scores

    def _class_ends(
        self, metric: Metric, options: Options, values_C: np.ndarray, counts_C: np.ndarray, origin: tuple[State, str]
    ) -> list[Ends]:
        assert metric.per_class is not None
        per_class = metric.per_class
        if self._group is None and metric.interval == "cells":
            return self._cell_draws(*origin).all_ends(values_C, lambda drawn: per_class(drawn, options)[0])
        if self._group is None and metric.class_proportion:
            pairs = zip(values_C.tolist(), counts_C.tolist(), strict=True)
            return [wilson(value * count, float(count)) for value, count in pairs]
        evidence = self.evidence()
        if evidence is None:
            return [None] * values_C.size
        influence_NC, unit_N = evidence.class_influence(metric, options)
        ends: list[Ends] = []
        for c, value in enumerate(values_C):
            spread = spread_of(unit_sums(influence_NC[:, c], unit_N))
            if spread is None or np.isnan(value):
                ends.append(None)
                continue
            trials = float(counts_C[c]) * spread.num_units / max(1, evidence.table.num_rows)
            variance, df = spread.variance, spread.df
            ends.append(interval_of(float(value), variance=variance, df=df, bounds=metric.range, trials=trials))
        return ends


def _biased_ends(value: float, bias: float, *, bounds: tuple[float, float], **known: Any) -> Ends:
    """Each end of the value that is less good for it: as it is, or without what it is expected to be too large by."""
    ends = interval_of(value, bounds=bounds, **known)
    if ends is None or bias <= 0:
        return ends
    if value - bias <= bounds[0]:
        return bounds[0], ends[1]
    without = interval_of(value - bias, bounds=bounds, **known)
    return ends if without is None else (min(ends[0], without[0]), max(ends[1], without[1]))


def _unrounded(value: float, bounds: tuple[float, float]) -> float:
    """The value, where rounding alone put it outside its range at the end of it; a formula's fault stays to be seen."""
    low, high = bounds
    if low - _ROUNDING <= value < low:
        return low
    return high if high < value <= high + _ROUNDING else value


def _within(ends: Ends, bounds: tuple[float, float]) -> tuple[float, float] | tuple[None, None]:
    """An interval cut to the range of its metric."""
    if ends is None:
        return None, None
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in ends)
    return low, high


def _nothing(state: State | None) -> str:
    ignored = state.fields.get("ignored") if state is not None else None
    if ignored is not None and ignored.keys.size:
        return f"{NO_EXAMPLES}: all {int(ignored.values[0])} are ignored"
    return NO_EXAMPLES


def _nan_reason(state: State, metric: Metric) -> str:
    for name, cells in state.fields.items():
        if name.endswith(".nan") and cells.keys.size:
            contribution = name.removesuffix(".nan")
            column = metric.measure.reads.get(contribution, contribution)
            return f"{int(cells.values.max())} of {state.n} records have NaN for '{column}'"
    if any(name.endswith(("inf", "-inf")) and cells.keys.size for name, cells in state.fields.items()):
        return "the records hold numbers without end, whose difference is not defined"
    return metric.undefined
