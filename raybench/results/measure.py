"""A trial that ended well, measured from its state and records: its scores, those of slices, replicates for its rank.

    how = Measuring.of(dataset)                                     # what actors are told once
    measurer = Measurer(how, dataset.loaded.splits["test"], files, skipped)
    (measured,) = measurer.measure([row])

The same row and records give the same bits, whoever measures. The actors of a run do it, each the trials that it scored
as far as it can, since it still holds their records; what none of them did is left to whoever publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Score, slice_column
from raybench.core.errors import StoreError
from raybench.job.rank_by import weights_of
from raybench.metrics import Metric, MetricSet, StateSet
from raybench.metrics.bounded import example_values, is_bounded_mean
from raybench.metrics.draw_order import draw_keys
from raybench.metrics.scoring import Scorer
from raybench.metrics.thresholds import Picked, pick_threshold
from raybench.planning.datasets import PlannedDataset
from raybench.results.slices import slice_scores
from raybench.store.files import Files
from raybench.store.held_records import HeldRecords
from raybench.store.parquet import Skipped
from raybench.store.records import read_records
from raybench.store.trials import TrialRow

__all__ = ["Drawn", "Measured", "Measurer", "Measuring", "replicates_of"]


class Drawn(NamedTuple):
    """What examples are worth to whom races: their draw keys, uint64 [N], and values, float64 [N], or their records."""

    keys: np.ndarray
    values: np.ndarray | pa.Table

    def to_bytes(self) -> bytes:
        values = self.values if isinstance(self.values, pa.Table) else pa.table({_VALUE: self.values})
        sink = pa.BufferOutputStream()
        table = values.append_column(_KEY, pa.array(self.keys))
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, data: bytes) -> Drawn:
        table = pa.ipc.open_stream(data).read_all()
        keys, values = table.column(_KEY).to_numpy(), table.drop_columns(_KEY)
        return cls(keys, values.column(_VALUE).to_numpy() if values.column_names == [_VALUE] else values)


_KEY, _VALUE = "draw key", "value"
_TOGETHER = 1 << 13  # records of trials that are measured side by side: what is made of them is in memory at once


class Measured(NamedTuple):
    """What the tables say of a trial beside its row."""

    scores: Mapping[str, Score]
    slices: Mapping[str, Mapping[str, Score]]
    replicates: Mapping[str, np.ndarray]
    picked: Picked | None = None  # of validation rows, where a threshold is


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """What is measured on a dataset."""

    metrics: tuple[str, ...]
    metric_config: Mapping[str, Any]
    ranked: tuple[str, ...]  # the metrics that rank
    slices: tuple[str, ...]
    measures: str  # the hash of what is measured
    picks: str  # the metric by which a threshold is picked on these rows; "": none is
    anew: bool  # of the records, whatever the states hold: a user's code may have changed since
    draw_seed: int | None = None  # where candidates race

    @classmethod
    def of(cls, dataset: PlannedDataset) -> Measuring:
        return cls(
            metrics=dataset.metrics,
            metric_config=dataset.metric_config,
            ranked=tuple(weights_of(dataset.rank_by)),
            slices=tuple(dataset.spec.slices),
            measures=dataset.measures,
            picks=dataset.threshold_by if dataset.scored == "validation" else "",
            anew=bool(dataset.metric_code),
            draw_seed=dataset.draw_seed,
        )

    def metric_set(self) -> MetricSet:
        return MetricSet(self.metrics, self.metric_config)

    def columns(self, metric_set: MetricSet) -> list[str] | None:
        """Those of the records that are read; None: all of them, where a threshold or a user's code may read others."""
        return None if self.picks or self.anew else sorted(metric_set.columns)

    def drawn(self, records: pa.Table) -> Drawn:
        """What a race needs of these records."""
        assert self.draw_seed is not None
        (ranked,) = self.ranked
        metrics, keys = MetricSet((ranked,), self.metric_config), draw_keys(records.column("id"), seed=self.draw_seed)
        metric, options = metrics.metric(ranked)
        if is_bounded_mean(metric):
            assert isinstance(metric, Metric)
            return Drawn(keys, example_values(metric, options, records))
        return Drawn(keys, records.select(sorted(metrics.columns)))


class Measurer:
    """Measures trials of one dataset; `test` are the rows of the split, `held` records that need not be read."""

    def __init__(
        self, how: Measuring, test: pa.Table, files: Files, skipped: Skipped, held: HeldRecords | None = None
    ) -> None:
        self._how, self._test, self._files, self._skipped, self._held = how, test, files, skipped, held
        self._metrics = how.metric_set()

    def measure(self, rows: Sequence[TrialRow]) -> list[Measured]:
        """StoreError where records are missing."""
        measured: list[Measured] = []
        together: list[TrialRow] = []
        num_records = 0
        for row in rows:
            if num_records + row.num_examples > _TOGETHER:
                measured += self._measure(together)
                together, num_records = [], 0
            together.append(row)
            num_records += row.num_examples
        return measured + self._measure(together)

    def _measure(self, rows: Sequence[TrialRow]) -> list[Measured]:
        # each metric of all trials, then the next: code that has just run is in the processor's cache
        how, metric_set = self._how, self._metrics
        states = [StateSet.from_bytes(row.states) for row in rows]
        records = [cache(partial(self._records, row)) for row in rows]
        # Metrics that were not measured then: the records have them.
        known = [
            one if metric_set.covers(one) and not how.anew else metric_set.states(read())
            for one, read in zip(states, records, strict=True)
        ]
        scorers = [metric_set.scorer(one, read) for one, read in zip(known, records, strict=True)]
        by_metric = {name: [metric_set.score(name, scorer) for scorer in scorers] for name in metric_set.names}
        scores = [{name: of_all[place] for name, of_all in by_metric.items()} for place in range(len(rows))]
        replicates = [replicates_of(metric_set, how.ranked, scorer) for scorer in scorers]
        slices = [self._slices(read) for read in records]
        picked = [pick_threshold(read(), how.picks, how.metric_config) if how.picks else None for read in records]
        return [Measured(*parts) for parts in zip(scores, slices, replicates, picked, strict=True)]

    def _slices(self, read: Callable[[], pa.Table]) -> dict[str, dict[str, Score]]:
        return slice_scores(self._metrics, read(), self._slice_columns(read())) if self._how.slices else {}

    def _slice_columns(self, records: pa.Table) -> dict[str, pa.ChunkedArray]:
        """The slice columns of the test rows, in the order of the records: a job may name new ones after scoring."""
        places = pc.index_in(records.column("id"), self._test.column("id").combine_chunks())
        return {name: self._test.column(slice_column(name)).take(places) for name in self._how.slices}

    def _records(self, row: TrialRow) -> pa.Table:
        held = self._held.take(row) if self._held is not None else None
        if held is not None:
            return held
        torn: dict[str, str] = {}
        columns = self._how.columns(self._metrics)
        table = read_records(self._files, row.trial_id, row.basis, torn.__setitem__, columns)
        for path, reason in torn.items():
            self._skipped(path, reason)
        if table is None or table.num_rows != row.num_examples:
            first = f"remove {', '.join(torn)}, which cannot be read, and " if torn else ""
            url = self._files.url
            raise StoreError(f"store {url}: records of trial {row.trial_id} are missing; {first}run the job again")
        return table


def replicates_of(metric_set: MetricSet, metrics: Iterable[str], scorer: Scorer) -> dict[str, np.ndarray]:
    """By metric its bootstrap values [R], where they can be had."""
    drawn = {name: scorer.replicates(*metric_set.metric(name)) for name in metrics}
    return {name: values for name, values in drawn.items() if values is not None}
