"""A metric that is fed batch by batch, as in a training loop; nothing waits for the device until it is computed.

    from raybench import metrics
    running = metrics.state(["macro_f1", "log_loss"])
    for batch in loader:
        running.update(target=batch.labels, logits=model(batch))      # or prediction=…, score=…, any column
    running.compute()["macro_f1"]                                     # Score(value=…, low=…, high=…, n=…)

Tensors are copied where they are, and go to the host in one piece when they are asked for or fill 64 MiB; of logits
with integer targets only what metrics read of them is kept. What is wrong with a value is therefore told by `compute`.
`merge` gives a state of several (of processes, say) and leaves them alone; a state pickles. Rows without `id` are
numbered as they come.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from raybench.core import Score
from raybench.core.errors import MergeError, MetricError
from raybench.metrics.alone import apart, asked, columns_read, in_words_of, options_of, scores_of
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.from_scores import SCORES
from raybench.metrics.given import Given, table_of
from raybench.metrics.held import Held, hold, to_host
from raybench.metrics.scoring import NO_EXAMPLES

__all__ = ["RunningState", "state"]

_FLUSH_BYTES = 1 << 26


def state(
    names: str | Sequence[str], config: Mapping[str, Any] | None = None, *, seed: int = 0, **options: Any
) -> RunningState:
    """An empty state of one metric, whose `compute` gives a score, or of several, whose `compute` gives a dict of them.

    Options are those of `evaluate`, as a dict or by name.
    """
    wanted = asked(names)
    checked = options_of(wanted, config)
    given, columns = apart(wanted, options, checked)
    if columns:
        raise MetricError(f"{next(iter(columns))!r} is a column; give columns to `update`, and options here")
    return RunningState(names, {**checked, **given}, seed=seed)


class RunningState:
    """Batches seen so far: those still where they were made, and the records of all before them."""

    def __init__(self, names: str | Sequence[str], config: Mapping[str, Any], *, seed: int) -> None:
        self._names = names if isinstance(names, str) else tuple(names)
        self._wanted = asked(names)
        self._read = {column for metric in self._wanted.values() for column in columns_read(metric)}
        self._config = dict(config)
        self._seed = seed
        self.reset()

    def __repr__(self) -> str:
        return f"state({self._names!r}, n={self.n})"

    @property
    def n(self) -> int:
        """The number of rows given so far."""
        return sum(table.num_rows for table in self._tables) + sum(batch.num_rows for batch in self._pending)

    def reset(self) -> None:
        """Forget all rows."""
        self._tables: list[pa.Table] = []
        self._pending: list[Held] = []
        self._pending_bytes = 0
        self._columns: frozenset[str] | None = None  # that every update has
        self._labels: list[Any] | None = None
        self._own = ""  # drawn at the first update, so that a state copied before it is two
        self._origins: frozenset[str] = frozenset()

    def update(self, records: Any = None, *others: Any, **columns: Any) -> None:
        """Add the rows of one batch: columns by name, or a table as `evaluate` takes it."""
        if others:
            raise MetricError("a batch is given by name, in any order: update(target=…, prediction=…)")
        options, columns = apart(self._wanted, columns, self._config)
        if options:
            raise MetricError(
                f"{next(iter(options))!r} is an option; give it to `metrics.state`, and columns to `update`"
            )
        if records is not None:
            given = table_of(records)
            self._labels = self._labels or given.labels
            twice = columns.keys() & set(given.table.column_names)
            if twice:
                raise MetricError(f"column {min(twice)!r} is given by name and in the table; expected it once")
            columns = {**{name: given.table.column(name) for name in given.table.column_names}, **columns}
        self._require_the_same(columns)
        fuse = "targets" not in self._read and not self._read & set(SCORES)
        ignored = self._config.get("ignore_index", IGNORE_INDEX)
        batch = hold(columns, fuse=fuse, ignored=ignored, read=self._read)
        if batch.num_classes:
            self._require_labels(batch.num_classes)
        self._columns = frozenset(columns)
        self._own = self._own or uuid.uuid4().hex
        self._pending.append(batch)
        self._pending_bytes += batch.num_bytes
        if self._pending_bytes >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Take what is on the device to the host, in one copy."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        for _, batches in groupby(pending, key=lambda batch: batch.form):
            self._tables.append(to_host(list(batches), self._read, first_row=self.n))

    def merge(self, *others: RunningState) -> RunningState:
        """A state of the rows of all, in this order; refuses another configuration and rows that are there already."""
        merged = RunningState(self._names, self._config, seed=self._seed)
        for part in (self, *others):
            if not isinstance(part, RunningState):
                raise MergeError(f"a state cannot be merged with a {type(part).__name__}; expected another state")
            if (part._names, part._config, part._seed) != (self._names, self._config, self._seed):
                raise MergeError(
                    f"a state of {self._names!r} with options {self._config} cannot be merged with one of "
                    f"{part._names!r} with options {part._config}: give all the same"
                )
            origins = part._origins | ({part._own} if part._own else set())
            if origins & merged._origins:
                raise MergeError("the same rows were to be merged twice; a state counts once")
            part.flush()
            merged._origins |= origins
            merged._labels = merged._labels or part._labels
            if part._columns is not None:
                merged._require_the_same(dict.fromkeys(part._columns))
                merged._columns = part._columns
            merged._tables += part._tables
        if merged._tables and "id" in merged._tables[0].column_names:
            _require_distinct(merged._tables)
        return merged

    def compute(self) -> Score | dict[str, Score]:
        """The score, or the scores by name, of all rows so far; more may follow."""
        self.flush()
        if not self._tables:
            found = dict.fromkeys(self._wanted, Score(value=None, n=0, reason=NO_EXAMPLES))
        else:
            given = Given(_joined(self._tables), self._labels)
            scores = scores_of(self._wanted, given, self._config, seed=self._seed)
            names = self._columns or frozenset()
            found = {name: in_words_of(score, names, self._read - names) for name, score in scores.items()}
        return found[self._names] if isinstance(self._names, str) else found

    def __getstate__(self) -> dict[str, Any]:
        self.flush()
        return {name: value for name, value in vars(self).items() if name not in ("_wanted", "_read")}

    def __setstate__(self, held: dict[str, Any]) -> None:
        self.__init__(held["_names"], held["_config"], seed=held["_seed"])  # type: ignore[misc]
        vars(self).update(held)

    def _require_the_same(self, columns: Mapping[str, Any]) -> None:
        if not columns:
            raise MetricError("there are no columns; give them by name: update(target=…, prediction=…)")
        if self._columns is not None and self._columns != columns.keys():
            odd = min(self._columns ^ columns.keys())
            side = "lacks" if odd in self._columns else "has, unlike those before it,"
            raise MetricError(f"this batch {side} column {odd!r}; expected the same columns in every update")

    def _require_labels(self, num_classes: int) -> None:
        """One label a class of the scores; without names these are numbers."""
        labels = self._config.get("labels") or self._labels or list(range(num_classes))
        if len(labels) != num_classes:
            raise MetricError(f"the scores have {num_classes} entries a row; expected {len(labels)}, one a label")
        self._labels = self._labels or labels


def _joined(tables: list[pa.Table]) -> pa.Table:
    names = tables[0].column_names
    try:
        return pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")
    except pa.ArrowException as error:
        for name in names:
            kinds = sorted({str(table.schema.field(name).type) for table in tables})
            if len(kinds) > 1:
                said = " and ".join(kinds)
                raise MetricError(f"column {name!r} is {said} in different updates; expected one kind") from error
        raise MetricError(f"the updates cannot be joined: {error}") from error


def _require_distinct(tables: list[pa.Table]) -> None:
    """MergeError for an id that two of the merged states have."""
    seen: set[Any] = set()
    for table in tables:
        ids = table.column("id").to_pylist()
        twice = seen.intersection(ids)
        if twice:
            raise MergeError(f"example id {min(map(str, twice))!r} was to be merged twice; an example counts once")
        seen.update(ids)
