"""From merged states to scores: the exact value, its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import Score
from raybench.core.errors import MetricError
from raybench.core.identity import seed_from
from raybench.metrics.bootstrap import corrected_percentiles
from raybench.metrics.evidence import Evidence, has_value
from raybench.metrics.influence import influence_interval, unit_sums
from raybench.metrics.intervals import draw_cells, mean_interval, wilson
from raybench.metrics.metric import Metric, Options, TableMetric
from raybench.metrics.state import Field, State, Sums
from raybench.metrics.state_set import StateSet

__all__ = ["Scorer"]

NO_EXAMPLES = "no examples"

_ROUNDING = 1e-9
Ends = tuple[float, float] | None


class _Draws(NamedTuple):
    """Replicates of sums, and of how many units they are draws."""

    sums: Sums
    num_units: int


class Scorer:
    """Scores several metrics of the same states; records, sums and replicates are made once and shared."""

    def __init__(
        self, states: StateSet, records: Callable[[], pa.Table] | None, *, seed: int, group: str | None
    ) -> None:
        self._states = states
        self._read = records
        self._group = group
        self._cell_seed = seed_from(seed, states.coverage.fingerprint)
        self._seed = seed_from(seed)
        self._found: Evidence | None = None
        self._sums: dict[str, Sums] = {}
        self._cells: dict[str, Sums] = {}

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
        if key not in self._sums:
            self._sums[key] = state.sums()
        sums = self._sums[key]
        value = _unrounded(float(metric.value(sums, options)[0]), metric.range)
        if np.isnan(value):
            classes = self._classes(metric, options, sums, None)
            return Score(value=None, n=n, reason=_nan_reason(state, metric), per_class=classes)
        draws = self._draws(metric, options, state, key)
        ends: Ends = None
        if draws is not None:
            ends = corrected_percentiles(value, metric.value(draws.sums, options), draws.num_units)
        elif metric.influence is not None:
            ends = self._influence_interval(metric, options, value, n)
        elif self._group is None and metric.interval == "wilson":
            assert metric.proportion is not None
            successes, trials = (int(part[0]) for part in metric.proportion(sums, options))
            ends = wilson(successes, trials)
        elif self._group is None and metric.interval == "mean":
            ends = self._mean_interval(metric, options, sums)
        low, high = _within(ends, metric.range)
        return Score(value=value, low=low, high=high, n=n, per_class=self._classes(metric, options, sums, draws))

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
        trials = n if metric.trials is None else metric.trials(evidence.table, options)
        low, high = _within(self._influence_interval(metric, options, value, trials), metric.range)
        return Score(value=value, low=low, high=high, n=n)

    def replicates(self, metric: Metric | TableMetric, options: Options) -> np.ndarray | None:
        """Values of a metric under Poisson resampling of the records, [R]; None where it has no value."""
        evidence = self.evidence()
        if evidence is None or evidence.table.num_rows == 0:
            return None
        if isinstance(metric, Metric):
            if metric.influence is None:
                return metric.value(evidence.resample(metric, options), options)
            value = float(metric.value(metric.measure.state(evidence.table, options).sums(), options)[0])
        elif has_value(metric, evidence.table, options):
            value = float(metric.value(evidence.measured(metric, options), options))
        else:
            return None
        return evidence.linear_replicates(metric, options, value)

    def _draws(self, metric: Metric, options: Options, state: State, key: str) -> _Draws | None:
        """Replicates of the sums where the interval is made of them."""
        if metric.influence is not None:
            return None
        if self._group is None and metric.interval == "cells":
            if key not in self._cells:
                self._cells[key] = draw_cells(state, seed=self._cell_seed)
            return _Draws(self._cells[key], state.n)
        if self._group is None and metric.interval != "bootstrap":
            return None
        evidence = self.evidence()
        return None if evidence is None else _Draws(evidence.resample(metric, options), evidence.units().keys_U.size)

    def _influence_interval(self, metric: Metric | TableMetric, options: Options, value: float, trials: int) -> Ends:
        evidence = self.evidence()
        if evidence is None:
            return None
        influence_N, unit_N = evidence.influence(metric, options, value)
        return influence_interval(value, unit_sums(influence_N, unit_N), metric.range, trials)

    def evidence(self) -> Evidence | None:
        """The records behind the scores, if there are any."""
        if self._found is None and self._read is not None:
            self._found = Evidence(self._read, self._states.coverage, seed=self._seed, group=self._group)
        return self._found

    @staticmethod
    def _mean_interval(metric: Metric, options: Options, sums: Sums) -> tuple[float, float] | None:
        """The interval of the mean, carried through the metric's formula and kept inside its range."""
        interval = mean_interval(sums, positive=metric.range == (0.0, inf))
        if interval is None:
            return None
        place = np.zeros(1, dtype=np.int64)
        n = float(sums["n"][0])
        ends = []
        for mean in interval:
            mean = min(max(mean, 0.0), np.inf) if metric.range[0] >= 0 else mean
            moved = Sums({"n": Field(place, np.array([[n]]), None), "x": Field(place, np.array([[mean * n]]), None)})
            ends.append(min(max(float(metric.value(moved, options)[0]), metric.range[0]), metric.range[1]))
        return min(ends), max(ends)

    @staticmethod
    def _classes(metric: Metric, options: Options, sums: Sums, draws: _Draws | None) -> dict[str, Score]:
        if metric.per_class is None:
            return {}
        values_C, counts_C = (part[0] for part in metric.per_class(sums, options))
        drawn_RC = metric.per_class(draws.sums, options)[0] if draws is not None else None
        scores = {}
        for place, name in enumerate(metric.classes(options)):
            n = int(counts_C[place])
            if np.isnan(values_C[place]):
                scores[str(name)] = Score(value=None, n=n, reason=metric.undefined_class)
                continue
            value, interval = float(values_C[place]), None
            if draws is not None and drawn_RC is not None:
                interval = corrected_percentiles(value, drawn_RC[:, place], draws.num_units)
            low, high = _within(interval, metric.range)
            scores[str(name)] = Score(value=value, low=low, high=high, n=n)
        return scores


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
