"""A run as its store holds it: its trials with their rows, what ended badly, and the metric that ranks each dataset.

    run = read_run(store, find_run(store, None), skipped)           # the latest
    run.trials[0].trial.candidate, run.trials[0].row.cost
    read_whole_records(store, run.trials[0].row, skipped)

Nothing of the job, its data or its models is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.core.errors import StoreError, summary
from raybench.core.suggestion import did_you_mean
from raybench.results.entry import Configuration
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.records import read_records
from raybench.store.runs import RunDirectory, list_runs
from raybench.store.trials import TrialRow

__all__ = [
    "RESCORED",
    "BadEnd",
    "StoredRun",
    "StoredTrial",
    "find_run",
    "finished_runs",
    "read_run",
    "read_whole_records",
    "written_at",
]

RESCORED = "rescore-"  # what the ids of runs begin with that only look at another's trials


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTrial:
    """A trial that ended well, under the name that its run's job gave the candidate."""

    trial: Trial
    row: TrialRow

    @property
    def configuration(self) -> Configuration:
        return Configuration.of(self.trial)


class BadEnd(NamedTuple):
    """A configuration on a dataset that a run has no score of."""

    configuration: Configuration
    dataset: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """`rank_by` is the metric that ranks each dataset; `written_at` when its tables were written last, in UTC."""

    store: Store
    directory: RunDirectory
    written_at: str
    trials: tuple[StoredTrial, ...]
    bad_ends: tuple[BadEnd, ...]
    rank_by: Mapping[str, str]

    @property
    def run_id(self) -> str:
        return self.directory.run_id


def finished_runs(store: Store) -> list[RunDirectory]:
    """Every run of a store that has tables, the one written last at the end."""
    runs = [run for run in list_runs(store.files) if store.files.exists(run.path("scores.parquet"))]
    return sorted(runs, key=lambda run: (written_at(run), run.run_id))


def written_at(run: RunDirectory) -> str:
    """When a run's tables were written last, as 2026-11-25T03:04:05Z; "" where it does not say."""
    return str((run.read_json("environment.json") or {}).get("written_at", ""))


def find_run(store: Store, run_id: str | None) -> RunDirectory:
    """The finished run of this id, or the latest that is not a rescoring."""
    runs = finished_runs(store)
    if run_id is not None:
        by_id = {run.run_id: run for run in runs}
        if run_id not in by_id:
            raise StoreError(f"store {store.files.url}: no finished run {run_id!r}{did_you_mean(run_id, by_id)}")
        return by_id[run_id]
    own = [run for run in runs if not run.run_id.startswith(RESCORED)]
    if not own:
        raise StoreError(f"store {store.files.url}: holds no finished run")
    return own[-1]


def read_run(store: Store, directory: RunDirectory, skipped: Skipped) -> StoredRun:
    """A finished run; StoreError where its tables are torn or the rows of its trials are gone."""
    scores = _rows(directory, "scores", ("candidate", "dataset", "trial_id"))
    ranking = _rows(directory, "ranking", (*Configuration._fields, "dataset", "status", "reason"))
    rows = store.trials.read(skipped)
    originals = {row["dataset"]: row.get("original") for row in ranking}
    trials = []
    for candidate, dataset, trial_id in dict.fromkeys(_named(row) for row in scores):
        if trial_id not in rows:
            raise StoreError(
                f"store {store.files.url}: trial {trial_id} of run {directory.run_id} has no row; run its job again"
            )
        trial = _trial(candidate, dataset, originals.get(dataset) or "", rows[trial_id])
        trials.append(StoredTrial(trial=trial, row=rows[trial_id]))
    of_datasets = [row for row in ranking if row["dataset"] != "*"]
    return StoredRun(
        store=store,
        directory=directory,
        written_at=written_at(directory),
        trials=tuple(trials),
        bad_ends=tuple(
            BadEnd(Configuration(*(row[name] for name in Configuration._fields)), row["dataset"], *_end(row))
            for row in of_datasets
            if row["status"] != "ok" and row.get("split") != "validation"
        ),
        rank_by={row["dataset"]: row["rank_by"] for row in of_datasets if row.get("rank_by")},
    )


def read_whole_records(store: Store, row: TrialRow, skipped: Skipped) -> pa.Table:
    """The records of a trial by id, all that its row counts; StoreError where some are missing."""
    torn: dict[str, str] = {}
    records = read_records(store.files, row.trial_id, row.basis, torn.__setitem__)
    if records is None or records.num_rows != row.num_examples:
        why = "".join(f" ({path}: {reason})" for path, reason in list(torn.items())[-1:])
        raise StoreError(f"store {store.files.url}: trial {row.trial_id} has no whole records{why}; run its job again")
    for path, reason in torn.items():
        skipped(path, reason)
    return records


def _rows(directory: RunDirectory, name: str, needed: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of one of a run's tables; it has at least the columns needed."""
    path = directory.location(f"{name}.parquet")
    try:
        table = directory.read_table(name)
        table.select(list(needed))
    except FileNotFoundError:
        raise StoreError(f"{path}: not there; rank its job again") from None
    except (pa.ArrowException, KeyError) as error:
        raise StoreError(f"{path}: torn or no table of raybench ({summary(error)}); rank its job again") from error
    return table.to_pylist()


def _named(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["candidate"], row["dataset"], row["trial_id"]


def _end(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["status"], row["reason"] or ""


def _trial(candidate: str, dataset: str, original: str, row: TrialRow) -> Trial:
    """The trial of a row under the names that a run's job gave, which are no part of what a trial is."""
    identity: dict[str, Any] = row.identity
    return Trial(
        trial_id=row.trial_id,
        candidate=candidate,
        model=ModelSpec(reference=identity["model"], revision=identity["revision"]),
        dataset=DatasetKey(
            name=dataset,
            task=identity["task"],
            labels=tuple(identity["labels"]),
            fingerprint=identity["data_fingerprint"],
            max_length=identity["max_length"],
            task_config=identity["task_config"],
            scored=identity.get("scored", "test"),
            trained_on=identity.get("trained_on", ""),
            original=original,
        ),
        method=identity["method"],
        hyperparameters=identity["hyperparameters"],
        seed=identity["seed"],
        weights_fingerprint=identity["weights_fingerprint"],
    )
