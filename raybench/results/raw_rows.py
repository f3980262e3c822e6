"""The rows behind the records: read again from the job's source, found by the ids that records hold.

    source = source_of(run, "bbc-100")                       # of the run's own job.yaml; or of_job(job, "bbc-100")
    rows = source.rows(fingerprint, split="test")            # pa.Table: id, text, label (names, not numbers)
    by_id(rows, ["3f…", "a0…"])                              # these rows, in this order

A store holds ids, targets and predictions, never the rows. They are the same rows only as long as their fingerprint is;
when it is not, or the source is gone, a DataError says so in one line. A store may come from somebody else: its job's
sources are read, but code that it names beside the job is run only where the user gave the job file (`of_job`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from raybench.core import Column
from raybench.core.errors import DataError, JobError
from raybench.data import LoadedDataset, load_dataset
from raybench.data.kinds import LABEL_KINDS, is_list
from raybench.job import DatasetSpec, Job
from raybench.job.completion import complete_dataset
from raybench.job.likeness import with_originals
from raybench.job.source_map import read_yaml
from raybench.store.runs import JOB_DIRECTORY, RunDirectory
from raybench.tasks.catalog import get_task

__all__ = ["RowSource", "by_id", "datasets_of", "of_job", "source_of"]

_OWN_SOURCES = "raybench.data.packaged:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """Where a dataset's rows come from; `trusted`: the user named the job, so code beside it may be run."""

    spec: DatasetSpec
    directory: Path
    trusted: bool

    def rows(self, fingerprint: str, split: str = "test") -> pa.Table:
        """The split's rows: `id`, the task's columns (labels by their names), `slice_…`, in the order of a run.

        DataError: the source is private or cannot be read here, has other rows than the run had, or no such split.
        """
        if self.spec.private:
            raise DataError(f"dataset {self.spec.name}: is private, as its job says: its rows are shown nowhere")
        if not self.trusted and _is_code(self.spec, self.directory):
            raise DataError(
                f"dataset {self.spec.name}: its source {self.spec.source!r} is code, which is run only where the job "
                "file itself is given"
            )
        try:
            columns = get_task(self.spec.task, self.spec.task_config).columns
        except JobError as error:
            raise DataError(f"dataset {self.spec.name}: {error}") from error
        loaded = load_dataset(self.spec, columns, self.directory)
        if loaded.fingerprint != fingerprint:
            raise DataError(f"dataset {self.spec.name}: its source holds other rows now than when it was scored")
        if split not in loaded.splits:
            raise DataError(f"dataset {self.spec.name}: has no split {split!r}; it has {', '.join(loaded.splits)}")
        return _named(loaded, split, columns)


def of_job(job: Job, dataset: str) -> RowSource:
    """The source of a dataset of a job file that the user has named."""
    for spec in job.datasets:
        if spec.name == dataset:
            return RowSource(spec=spec, directory=job.directory, trusted=True)
    raise DataError(f"dataset {dataset}: not in the job; it has {', '.join(spec.name for spec in job.datasets)}")


def source_of(run: RunDirectory, dataset: str) -> RowSource:
    """The source of a dataset as the run's own job.yaml says it, relative paths from where that job file was."""
    for spec in datasets_of(run):
        if spec.name == dataset:
            return RowSource(spec=spec, directory=_directory(run), trusted=False)
    raise DataError(f"dataset {dataset}: run {run.run_id} keeps no job file that names it; name the job file itself")


def datasets_of(run: RunDirectory) -> list[DatasetSpec]:
    """The datasets of the run's own job.yaml, paths made whole; none where it keeps no job, or one that is unreadable.

    Its candidates are not looked at: their checkpoints may be gone.
    """
    try:
        text = run.files.read(run.path("job.yaml")).decode()
        data, _ = read_yaml(text, run.path("job.yaml"))
        given = [DatasetSpec.model_validate(one) for one in data["datasets"]]
        return with_originals([complete_dataset(spec, _directory(run)) for spec in given])
    except (FileNotFoundError, UnicodeDecodeError, JobError, ValidationError, LookupError, TypeError):
        return []


def by_id(rows: pa.Table, ids: Sequence[str]) -> pa.Table:
    """The rows of these ids, in their order; DataError for one that is not there."""
    places = pc.index_in(pa.array(ids, pa.string()), value_set=rows.column("id").combine_chunks())
    if places.null_count:
        missing = ids[pc.index(pc.is_null(places), True).as_py()]
        raise DataError(f"no row has the id {missing!r}")
    return rows.take(places)


def _directory(run: RunDirectory) -> Path:
    environment = run.read_json("environment.json") or {}
    return Path(str(environment.get(JOB_DIRECTORY, ".")))


def _is_code(spec: DatasetSpec, directory: Path) -> bool:
    """Whether opening the source, or the task, runs what somebody has written beside the job file."""
    if ":" in spec.task or (spec.original is not None and _is_code(spec.original, directory)):
        return True
    source = spec.source
    is_function = ":" in source and "://" not in source and not (directory / source).exists()
    return is_function and not source.startswith(_OWN_SOURCES)


def _named(loaded: LoadedDataset, split: str, columns: Sequence[Column]) -> pa.Table:
    """The split with names in place of the numbers of labels."""
    table = loaded.splits[split]
    names = pa.array(loaded.labels, pa.string())
    for column in columns:
        if column.kind not in LABEL_KINDS or column.name not in table.column_names or not loaded.labels:
            continue
        cells = table.column(column.name).combine_chunks()
        if is_list(cells.type):
            named: pa.Array = pa.ListArray.from_arrays(cells.offsets, names.take(cells.values))
        else:
            named = names.take(cells)
        table = table.set_column(table.column_names.index(column.name), column.name, named)
    return table
