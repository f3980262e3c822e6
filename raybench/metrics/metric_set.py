"""The metrics of a run: which record columns they need, the states of a shard, the scores of merged states.

    metrics = MetricSet(["accuracy", "macro_f1", "log_loss"], {"labels": ["business", "sport"]})
    total = metrics.empty().merge(*(metrics.states(shard) for shard in shards))
    metrics.compute(total, records=lambda: table, seed=0)["macro_f1"]      # Score(value=…, low=…, high=…, n=…)

`evaluate` (alone.py) does it in one go for what one has in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from raybench.core import Score
from raybench.core.errors import MetricError
from raybench.core.suggestion import did_you_mean
from raybench.metrics.catalog import find
from raybench.metrics.columns import keys_of
from raybench.metrics.coverage import Coverage
from raybench.metrics.description import info_of
from raybench.metrics.metric import Info, Measure, Metric, Options, TableMetric, declared_options, resolve_options
from raybench.metrics.options import check_options
from raybench.metrics.scoring import Scorer
from raybench.metrics.shared import Shared
from raybench.metrics.state_set import StateSet
from raybench.metrics.weights import weighted

__all__ = ["MetricSet"]

Records = Callable[[], pa.Table]


class MetricSet:
    """Metrics by name with one configuration; every metric reads of it the options it declares."""

    def __init__(self, names: Sequence[str], config: Mapping[str, Any]) -> None:
        if isinstance(names, str):
            raise MetricError(f"metrics are a list of names, not the string {names!r}")
        found = {name: find(name) for name in names}
        declared = {name: declared_options(metric) for name, (metric, _) in found.items()}
        self.names = tuple(found)
        self.config = check_options(config, {option for options in declared.values() for option in options})
        column = self.config.get("weight")
        self._metrics = {
            name: metric if column is None else weighted(name, metric, column) for name, (metric, _) in found.items()
        }
        declared = {name: declared_options(metric) for name, metric in self._metrics.items()}
        self._options = {
            name: resolve_options(name, declared[name], {**self.config, **bound}) for name, (_, bound) in found.items()
        }
        self._shared = Shared()
        self._keys = {
            name: f"{metric.measure.name}:{metric.measure.config(self._options[name])}"
            for name, metric in self._metrics.items()
            if isinstance(metric, Metric)
        }

    @property
    def group(self) -> str | None:
        """The column whose equal values are drawn together (document, query, speaker), if any."""
        return self.config.get("group")

    @property
    def columns(self) -> frozenset[str]:
        """The record columns that the metrics need, with `id`."""
        needed = {column for name in self.names for column in self._columns(name)}
        return frozenset(needed | {"id"} | ({self.group} if self.group else set()))

    def info(self, name: str) -> Info:
        return info_of(name, self._metrics[name], self._options[name])

    def metric(self, name: str) -> tuple[Metric | TableMetric, Options]:
        """A metric and the options it reads."""
        return self._metrics[name], self._options[name]

    def empty(self) -> StateSet:
        """The identity of merging."""
        return StateSet()

    def states(self, records: pa.Table) -> StateSet:
        """The states of these records; refuses a missing column and an id that occurs twice."""
        if not isinstance(records, pa.Table):
            raise MetricError(f"records are a {type(records).__name__}; expected a pyarrow Table")
        missing = self.columns - set(records.column_names)
        if missing:
            wanting = [name for name in self.names if missing & set(self._columns(name))]
            raise MetricError(
                f"records lack column {sorted(missing)[0]!r}"
                + (f", needed by {wanting[0]!r}" if wanting else "")
                + did_you_mean(sorted(missing)[0], records.column_names, noun="they have")
            )
        if self.group is not None:
            keys_of(records, self.group)
        coverage = Coverage.of(keys_of(records, "id"))
        states = {key: measure.state(records, options) for key, (measure, options) in self._measures().items()}
        return StateSet(states=states, coverage=coverage)

    def compute(self, states: StateSet, records: Records | None = None, *, seed: int = 0) -> dict[str, Score]:
        """The score of each metric; `records` is called at most once, and only if a value or an interval needs it."""
        scorer = self.scorer(states, records, seed=seed)
        return {name: self.score(name, scorer) for name in self.names}

    def scorer(self, states: StateSet, records: Records | None = None, *, seed: int = 0) -> Scorer:
        return Scorer(states, records, seed=seed, group=self.group, shared=self._shared)

    def score(self, name: str, scorer: Scorer) -> Score:
        metric, options = self.metric(name)
        if isinstance(metric, TableMetric):
            return scorer.table_score(metric, options)
        return scorer.score(metric, options, self._keys[name])

    def covers(self, states: StateSet) -> bool:
        """Whether these states hold all that the metrics sum, measured with this configuration."""
        return set(self._keys.values()) <= states.states.keys()

    def _columns(self, name: str) -> tuple[str, ...]:
        metric = self._metrics[name]
        columns = metric.measure.columns if isinstance(metric, Metric) else metric.columns
        return columns(self._options[name]) if callable(columns) else columns

    def _measures(self) -> dict[str, tuple[Measure, Options]]:
        return {
            self._keys[name]: (metric.measure, self._options[name])
            for name, metric in self._metrics.items()
            if isinstance(metric, Metric)
        }
