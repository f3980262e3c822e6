"""The runs of a store in short: whose they are, how their trials ended, what room they take.

listing = list_summaries(store)        # of files' names and sizes, and of small files: no records are read
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from raybench.core.errors import JobError
from raybench.job.source_map import read_yaml
from raybench.store import Store
from raybench.store.garbage import trial_of
from raybench.store.runs import RunDirectory, list_runs

__all__ = ["JobWords", "RunListing", "RunSummary", "job_words", "list_summaries"]


class JobWords(NamedTuple):
    """What a job calls itself."""

    name: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """`written_at` is "" of a run without tables; `num_bytes` what its tables and its trials' files take."""

    run_id: str
    job: str
    tags: tuple[str, ...]
    written_at: str
    written_by: str
    progress: Mapping[str, Any] | None  # of progress.json
    statuses: Mapping[str, int]  # of the ranking's rows: configurations on datasets
    datasets: tuple[str, ...]
    num_bytes: int


class RunListing(NamedTuple):
    """The runs, the one written last first, and what the whole store takes; trials may be of several runs."""

    runs: tuple[RunSummary, ...]
    num_bytes: int


def list_summaries(store: Store) -> RunListing:
    """Every run of a store."""
    of_trials: Counter[str] = Counter()
    of_runs: Counter[str] = Counter()
    total = 0
    for entry in store.files.entries():
        total += entry.size
        parts = entry.path.split("/")
        if parts[0] == "runs" and len(parts) > 2:
            of_runs[parts[1]] += entry.size
        elif (trial_id := trial_of(entry.path)) is not None:
            of_trials[trial_id] += entry.size
    runs = [_summary(run, of_runs[run.run_id], of_trials) for run in list_runs(store.files)]
    return RunListing(tuple(sorted(runs, key=lambda one: (one.written_at, one.run_id), reverse=True)), total)


def job_words(run: RunDirectory) -> JobWords:
    """The name and the tags that a run's job gives itself; none where it keeps no job that can be read."""
    try:
        data, _ = read_yaml(run.files.read(run.path("job.yaml")).decode(), "job.yaml")
    except (FileNotFoundError, UnicodeDecodeError, JobError):
        data = None
    job = data if isinstance(data, dict) else {}
    tags = job.get("tags")
    return JobWords(str(job.get("name", "")), tuple(map(str, tags)) if isinstance(tags, list) else ())


def _summary(run: RunDirectory, own_bytes: int, of_trials: Mapping[str, int]) -> RunSummary:
    environment = run.read_json("environment.json") or {}
    ranking = [row for row in _table(run, "ranking", ("dataset", "status")) if row["dataset"] != "*"]
    trial_ids = {row["trial_id"] for row in _table(run, "scores", ("trial_id",))}
    words = job_words(run)
    return RunSummary(
        run_id=run.run_id,
        job=words.name,
        tags=words.tags,
        written_at=str(environment.get("written_at", "")),
        written_by=str(environment.get("written_by", "")),
        progress=run.read_json("progress.json"),
        statuses=Counter(row["status"] for row in ranking),
        datasets=tuple(dict.fromkeys(row["dataset"] for row in ranking)),
        num_bytes=own_bytes + sum(of_trials.get(trial_id, 0) for trial_id in trial_ids),
    )


def _table(run: RunDirectory, name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of one of a run's tables; none where it is not there, or torn."""
    try:
        return run.read_table(name).select(list(columns)).to_pylist()
    except (FileNotFoundError, pa.ArrowException, KeyError):
        return []
