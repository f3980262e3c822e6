"""A metric over the runs of a store: one series a candidate's configuration and dataset of a job.

    found = history(store, metric=None, last=30)
    found[0].points, found[0].nights

Read from the runs' rankings alone. A run that did again what another had done has the same id and is one night, that
of its last writing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from raybench.core.errors import MetricError, StoreError
from raybench.core.suggestion import did_you_mean
from raybench.job.rank_by import weights_of
from raybench.results.matching import Cell
from raybench.results.stored import RESCORED, finished_runs, written_at
from raybench.store import Store
from raybench.store.parquet import Skipped

__all__ = ["Night", "Point", "Series", "history"]


class Night(NamedTuple):
    """A run, and when it was written."""

    run_id: str
    written_at: str


class Point(NamedTuple):
    """What a night says of a cell; `value` is None where it did not end well."""

    value: float | None
    low: float | None
    high: float | None
    weights: str
    data: str

    @property
    def width(self) -> float:
        """Of the interval; 0 where there is none."""
        return self.high - self.low if self.low is not None and self.high is not None else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """`points` has a place for every night of the job; None where the cell was not in it."""

    job: str
    cell: Cell
    metric: str
    nights: Sequence[Night]
    points: Sequence[Point | None]


def history(store: Store, *, metric: str | None, last: int, skipped: Skipped) -> list[Series]:
    """By job, dataset and candidate, in the order of the newest ranking, over each job's `last` nights.

    `metric` is that of every series; None: what ranks each dataset in the newest night that has it.
    """
    by_job: dict[str, list[tuple[Night, list[dict[str, Any]]]]] = {}
    for run in finished_runs(store):
        if run.run_id.startswith(RESCORED):
            continue
        try:
            table = run.read_table("ranking").to_pylist()
            rows = [row for row in table if row["dataset"] != "*" and row.get("split") != "validation"]
        except (FileNotFoundError, pa.ArrowException, KeyError) as error:
            skipped(run.path("ranking.parquet"), f"torn or no table of raybench ({error})")
            continue
        by_job.setdefault(run.run_id.rpartition("-")[0], []).append((Night(run.run_id, written_at(run)), rows))
    if not by_job:
        raise StoreError(f"store {store.files.url}: holds no finished run")
    found = [one for job, nights in by_job.items() for one in _of_job(job, nights[-last:], metric)]
    if not found:
        assert metric is not None
        known = {
            name for nights in by_job.values() for _, rows in nights for row in rows for name in row
            if f"{name}_low" in row
        }  # fmt: skip
        raise MetricError(f"store {store.files.url}: no ranking has metric {metric!r}{did_you_mean(metric, known)}")
    return found


def _of_job(job: str, nights: Sequence[tuple[Night, list[dict[str, Any]]]], metric: str | None) -> list[Series]:
    cells: dict[Cell, list[str]] = {}
    newest: dict[tuple[str, str], Cell] = {}
    several = {key for _, rows in nights for key, count in Counter(map(_candidate, rows)).items() if count > 1}

    def cell_of(row: dict[str, Any]) -> Cell:
        """Of a candidate that never has two configurations on a dataset the newest one, whatever it was then."""
        key = _candidate(row)
        return _cell(row) if key in several else newest.setdefault(key, _cell(row))

    for _, rows in reversed(nights):
        for row in rows:
            ranked_by = metric if metric is not None else row.get("rank_by")
            names = [name for name in weights_of(ranked_by or "") if f"{name}_low" in row]
            if names:
                cells.setdefault(cell_of(row), names)
    tables = [{cell_of(row): row for row in rows} for _, rows in nights]
    return [
        Series(
            job=job,
            cell=cell,
            metric=name,
            nights=[night for night, _ in nights],
            points=[_point(table.get(cell), name) for table in tables],
        )
        for cell, names in sorted(cells.items(), key=lambda one: one[0].dataset)
        for name in names
    ]


def _candidate(row: dict[str, Any]) -> tuple[str, str]:
    return row["candidate"], row["dataset"]


def _cell(row: dict[str, Any]) -> Cell:
    return Cell(row["candidate"], row["method"], row["hyperparameters"], row["dataset"])


def _point(row: dict[str, Any] | None, metric: str) -> Point | None:
    if row is None:
        return None
    value, low, high = (row.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    return Point(value, low, high, row.get("weights_fingerprint") or "", row.get("data_fingerprint") or "")
