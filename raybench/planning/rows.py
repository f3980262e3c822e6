"""A dataset's rows as its task sees them, and what is found out of them; found out once on a machine, then remembered.

loaded, statistics = planned_rows(spec, task, job.directory, sources, later)
loaded.fingerprint, loaded.num_rows        # known
loaded.splits["test"]                      # read now, if it was remembered, and held against the fingerprint
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from raybench.core.errors import DataError, RaybenchError, summary
from raybench.core.identity import content_hash
from raybench.core.remembered import forget, keep, recall
from raybench.core.stamps import installed_stamp
from raybench.data import LoadedDataset, load_dataset
from raybench.data.labels import refuse_strangers
from raybench.data.later import LaterSplits
from raybench.data.origin import origin
from raybench.data.shared_sources import SharedSources
from raybench.job import DatasetSpec
from raybench.tasks.task import Task

__all__ = ["PlannedRows", "planned_rows", "rows_as_read"]

T = TypeVar("T")
_KIND = "rows"


class PlannedRows(NamedTuple):
    """The rows with all notes on them, and the task's statistics of the training targets."""

    loaded: LoadedDataset
    statistics: Mapping[str, float]


def planned_rows(
    spec: DatasetSpec, task: Task, directory: Path, sources: SharedSources, later: SharedSources
) -> PlannedRows:
    """DataError, one line that begins with the dataset's name, where there is nothing to be learned or scored.

    What is remembered is read, when somebody asks for it, from the sources of `later`.
    """
    key = _key(spec, task, directory)
    if key is not None and (known := recall(_KIND, key)) is not None:
        sources.pass_over(spec)
        later.expect(spec)
        return _remembered(known, key, spec, task, directory, later)
    read = _read(spec, task, directory, sources)
    if key is not None and key == _key(spec, task, directory):  # else its files were written meanwhile
        loaded = read.loaded
        found = {
            "labels": list(loaded.labels),
            "fingerprint": loaded.fingerprint,
            "notes": list(loaded.notes),
            "rows": [[name, count] for name, count in loaded.num_rows.items()],  # in their order
            "statistics": [[name, value] for name, value in read.statistics.items()],
        }
        keep(_KIND, key, found)
    return read


def _key(spec: DatasetSpec, task: Task, directory: Path) -> Any:
    """All that the rows hang on; None where that is not known."""
    installed = installed_stamp()
    if installed is None or ":" in spec.task or _opens(task):  # code of the user's own, another model
        return None
    found = origin(spec, task.columns)
    return None if found is None else [installed, spec.model_dump(mode="json"), str(directory), found]


def _opens(task: Task) -> bool:
    try:
        return bool(task.opened())
    except RaybenchError:  # whoever reads the rows says why, with their place
        return True


def _remembered(
    known: Mapping[str, Any], key: Any, spec: DatasetSpec, task: Task, directory: Path, later: SharedSources
) -> PlannedRows:
    def read() -> Mapping[str, Any]:
        found = _read(spec, task, directory, later).loaded
        if found.fingerprint != known["fingerprint"]:
            forget(_KIND, key)
            raise DataError(f"dataset {spec.name}: its rows have changed meanwhile; run the same command again")
        return found.splits

    loaded = LoadedDataset(
        name=spec.name,
        splits=LaterSplits(dict(known["rows"]), read),
        labels=tuple(known["labels"]),
        fingerprint=known["fingerprint"],
        notes=tuple(known["notes"]),
    )
    return PlannedRows(loaded, dict(known["statistics"]))


def _read(spec: DatasetSpec, task: Task, directory: Path, sources: SharedSources) -> PlannedRows:
    return rows_as_read(spec, task, load_dataset(spec, task.columns, directory, sources=sources))


def rows_as_read(
    spec: DatasetSpec, task: Task, loaded: LoadedDataset, original: LoadedDataset | None = None
) -> PlannedRows:
    """What the task makes and says of rows; of a dataset that is like another the labels are the other's."""
    labels = _said(spec, lambda: task.label_names(loaded.splits, loaded.labels))
    if original is not None:
        refuse_strangers(pa.chunked_array([labels], pa.string()), original.labels, original.name)
        labels = original.labels
    loaded = replace(loaded, labels=labels)
    notes = [f"{spec.name}: {note}" for note in _said(spec, lambda: task.review(loaded.splits, loaded.labels))]
    if opened := task.opened():
        loaded = replace(loaded, fingerprint=content_hash([loaded.fingerprint, opened]))
    splits = {n: rows if n == "train" else task.scored_rows(rows) for n, rows in loaded.splits.items()}
    loaded = replace(loaded, splits=splits, notes=(*loaded.notes, *notes))
    if (reason := task.check_labels(loaded.labels)) is not None:
        raise DataError(f"dataset {spec.name}: {reason}")
    return PlannedRows(loaded, task.statistics(splits["train"]) if "train" in splits else {})


def _said(spec: DatasetSpec, ask: Callable[[], T]) -> T:
    """What the task has to say of the rows."""
    try:
        return ask()
    except DataError as error:
        raise DataError(f"dataset {spec.name}: {error}", key=error.key) from error
    except Exception as error:  # of a task of the user's own
        raise DataError(f"dataset {spec.name}: {summary(error)}") from error
