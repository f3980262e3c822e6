"""The records behind a score, read once: in canonical order, with the draws and measurements that metrics share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import CoverageError
from raybench.metrics.bootstrap import Units, units_of
from raybench.metrics.columns import keys_of
from raybench.metrics.coverage import Coverage, once_for_ids
from raybench.metrics.influence import MovedSums, jackknife_groups, jackknife_influence, unit_sums
from raybench.metrics.metric import Contribution, Metric, Options, TableMetric
from raybench.metrics.permutation import SwappedSums
from raybench.metrics.state import Sums

__all__ = ["Evidence", "canonical"]


def canonical(records: pa.Table) -> pa.Table:
    """The records sorted by id, so that neither shards nor their order can show."""
    order = _order(records.column("id"))
    return (records if order is None else records.take(order)).combine_chunks()


@once_for_ids
def _order(ids: pa.Array | pa.ChunkedArray) -> pa.Array | None:
    """The places of the ids in ascending order; None where they are in it."""
    places = pc.sort_indices(ids)
    return None if bool(np.array_equal(places.to_numpy(), np.arange(len(ids)))) else places


class Evidence:
    """Records in canonical order; every draw, measurement and grouping of them is made at most once."""

    def __init__(self, read: Callable[[], pa.Table], scored: Coverage, *, seed: int, group: str | None) -> None:
        table = read()
        seen = Coverage.of(keys_of(table, "id"))
        if seen != scored:
            raise CoverageError(f"the {seen.n} records are not the {scored.n} examples that the states have seen")
        self.table = canonical(table)
        self._seed = seed
        self._group = group
        self._drawn: Units | None = None
        self._units_N: np.ndarray | None = None
        self._groups_N: np.ndarray | None = None
        self._made: dict[object, Any] = {}

    def contributions(self, metric: Metric, options: Options) -> dict[str, Contribution]:
        """What each record adds to the metric's measure."""

        def make() -> dict[str, Contribution]:
            measure = metric.measure
            return measure.contributions(self.table if measure.centre is None else measure.centre(self.table), options)

        read = {name: options[name] for name in metric.measure.options}
        return self._once(metric.measure.contributions, read, make)

    def resample(self, metric: Metric, options: Options) -> Sums:
        """The sums of the metric's measure in 1,000 Poisson replicates."""
        read = {name: options[name] for name in metric.measure.options}
        what = (metric.measure.contributions, "replicates")
        return self._once(what, read, lambda: self.units().replicate(self.contributions(metric, options)))

    def unit_tables(self, metric: Metric, options: Options) -> dict[str, np.ndarray]:
        """The dense sums of each unit that is drawn together, by contribution, [U, K]."""
        unit_N = self._units()
        found = {}
        for name, contribution in self.contributions(metric, options).items():
            assert isinstance(contribution, np.ndarray)
            columns = contribution.reshape(len(contribution), -1).astype(np.float64).T
            found[name] = np.stack([np.bincount(unit_N, weights=column_N) for column_N in columns], axis=1)
        return found

    def measured(self, metric: TableMetric, options: Options) -> Any:
        return self._once(metric.measure, options, lambda: metric.measure(self.table, options))

    def influence(self, metric: Metric | TableMetric, options: Options, value: float) -> tuple[np.ndarray, np.ndarray]:
        """The influence of each record on the value, and the unit (example, cluster, group) it is summed by."""
        if metric.influence is not None:
            return metric.influence(self.table, options), self._units()
        if isinstance(metric, Metric):
            formula = metric.value
            return self._moved(metric, options).influence(lambda sums: formula(sums, options)), self._units()
        if self._groups_N is None:
            self._groups_N = jackknife_groups(self.table, self._group)
        groups_N = self._groups_N

        def leave_out() -> list[Any]:
            if metric.part is not None:
                whole = self.measured(metric, options)
                return [metric.part(whole, groups_N != g) for g in range(int(groups_N.max()) + 1)]
            parts = [self.table.filter(pa.array(groups_N != g)) for g in range(int(groups_N.max()) + 1)]
            return [metric.measure(part, options) if has_value(metric, part, options) else None for part in parts]

        measured = self._once((metric.measure, "without a group"), options, leave_out)
        without_G = np.array([np.nan if part is None else metric.value(part, options) for part in measured])
        return jackknife_influence(value, without_G, groups_N), groups_N

    def mean_influence(self, metric: Metric, options: Options) -> np.ndarray:
        """The influence of each unit on the mean that the metric is made of, [U]."""
        contributions = self.contributions(metric, options)
        summed_N, counted_N = (np.asarray(contributions[name], dtype=np.float64) for name in metric.mean_of)
        total = counted_N.sum()
        return unit_sums((summed_N - summed_N.sum() / total * counted_N) / total, self._units())

    def class_influence(self, metric: Metric, options: Options) -> tuple[np.ndarray, np.ndarray]:
        """The influence of each record on the value of each class, [N, C], and the unit it is summed by."""
        assert metric.per_class is not None
        formula = metric.per_class
        return self._moved(metric, options).influence(lambda sums: formula(sums, options)[0]), self._units()

    def _moved(self, metric: Metric, options: Options) -> MovedSums:
        read = {name: options[name] for name in metric.measure.options}
        what = (metric.measure.contributions, "moved")
        found: MovedSums = self._once(what, read, lambda: MovedSums(self.contributions(metric, options)))
        return found

    def swapped(self, other: Evidence, metric: Metric, options: Options) -> SwappedSums:
        """The sums of the metric's measure as two models, this and the other, swap units."""
        read = {name: options[name] for name in metric.measure.options}
        what = (metric.measure.contributions, "swapped with", other)

        def make() -> SwappedSums:
            ours, theirs = (side.contributions(metric, options) for side in (self, other))
            return SwappedSums(ours, theirs, self.units())

        found: SwappedSums = self._once(what, read, make)
        return found

    def flipped(self, unit_N: np.ndarray) -> Units:
        """What is flipped in a test of influences: the drawn units, or the groups that were left out."""
        groups_N = self._groups_N
        if unit_N is not groups_N:
            return self.units()
        return Units(np.arange(int(unit_N.max()) + 1, dtype=np.uint64), unit_N, self._seed)

    def _units(self) -> np.ndarray:
        """The unit (example or cluster) of each row, numbered in the order of their hashes."""
        if self._units_N is None:
            _, self._units_N = units_of(self.table.column(self._group or "id"))
        return self._units_N

    def linear_replicates(self, metric: Metric | TableMetric, options: Options, value: float) -> np.ndarray:
        """The value moved by the drawn weights times the influences, [R]: a bootstrap to first order."""
        influence_N, _ = self.influence(metric, options, value)
        units = self.units()
        per_unit_U = np.bincount(units.unit_N, weights=influence_N, minlength=units.keys_U.size)
        return value + (units.weights() - 1) @ per_unit_U

    def units(self) -> Units:
        """What is drawn in every resampling of these records."""
        if self._drawn is None:
            self._drawn = Units.of(self.table, seed=self._seed, group=self._group)
        return self._drawn

    def _once(self, what: object, options: Options, make: Callable[[], Any]) -> Any:
        key = (what, tuple((name, repr(options[name])) for name in sorted(options)))
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def has_value(metric: TableMetric, table: pa.Table, options: Options) -> bool:
    return metric.count(table, options) > 0 and metric.problem(table, options) is None
