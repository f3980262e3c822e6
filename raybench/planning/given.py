"""A job in Python's words: a mapping in place of the file, and rows in memory in place of files of data.

    job_of({"name": "mine", "candidates": [...], "datasets": [{"name": "d", "source": frame, "task": ...}]})

Rows become Parquet files that are named by their content, where a later look at the run (its report, its examples)
finds them again: in the cache, or for as long as the machine is up where there is none.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from raybench.core.cache import cache_directory
from raybench.core.errors import DataError, JobError
from raybench.core.identity import bytes_hash
from raybench.data.sources import read_given
from raybench.job import Job, parse_job

__all__ = ["job_of"]


def job_of(given: Mapping[str, Any]) -> Job:
    """The job; a dataset's `source` may be a table, a frame, a Dataset, a list of dicts, or these by split.

    Relative paths start where Python runs. Raises JobError and DataError as a job file does.
    """
    job = dict(given)
    datasets = job.get("datasets")
    if isinstance(datasets, (list, tuple)):
        job["datasets"] = [_written(one) if isinstance(one, Mapping) else one for one in datasets]
    try:
        text = yaml.safe_dump(job, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise JobError(f"job: holds what no job file can: {str(error).splitlines()[0]}") from error
    return parse_job(text, str(Path("job.yaml").absolute()))


def _written(dataset: Mapping[str, Any]) -> dict[str, Any]:
    source = dataset.get("source")
    if source is None or isinstance(source, str):
        return dict(dataset)
    name = str(dataset.get("name") or "data")
    try:
        wanted = set((dataset.get("splits") or {"train": "train", "test": "test"}).values())
        readers = {split: read for split, read in read_given(source).items() if split in wanted}
        files = {split: str(_kept(read(set(read(()).column_names)).table)) for split, read in readers.items()}
    except DataError as error:
        raise DataError(f"dataset {name}: {error}") from error
    return {**dataset, "name": name, "source": "parquet", "data_files": files}


def _kept(table: Any) -> Path:
    out = io.BytesIO()
    pq.write_table(table, out)
    data = out.getvalue()
    base = cache_directory() or Path(tempfile.gettempdir()) / "raybench"
    path = base / "given" / f"{bytes_hash([data])}.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{id(table):x}.tmp")
        unfinished.write_bytes(data)
        unfinished.replace(path)
    return path
