"""What one candidate said of single examples, beside what they are: records joined with the rows of the source.

chosen = choose_trial(run, candidate="minilm", dataset=None, seed=None)
found = examples_of(run, chosen, source, wrong=True, skipped=skipped)
found.table            # id, truth, answer, right, loss, then the source's columns, and all else of the records
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError, RaybenchError, StoreError
from raybench.core.suggestion import did_you_mean
from raybench.job import load_job
from raybench.job.rank_by import weights_of
from raybench.metrics import MetricSet
from raybench.metrics.requirements import misfit
from raybench.results.example_losses import answers_of, losses_of, truths_of
from raybench.results.flips import are_right
from raybench.results.names import names
from raybench.results.raw_rows import RowSource, by_id, of_job, source_of
from raybench.results.stored import StoredRun, StoredTrial, read_whole_records
from raybench.store.parquet import Skipped
from raybench.tasks.catalog import task_of

__all__ = ["Chosen", "Examples", "choose_trial", "examples_of", "row_source"]


class Chosen(NamedTuple):
    """A trial, what it is called, and the seeds that its configuration has."""

    one: StoredTrial
    name: str
    seeds: tuple[int, ...]


class Examples(NamedTuple):
    """`num_scored` of all; `missing` says why the rows themselves are not there, or is ""."""

    table: pa.Table
    num_scored: int
    missing: str


def choose_trial(run: StoredRun, *, candidate: str, dataset: str | None, seed: int | None) -> Chosen:
    """The one trial that is meant: `candidate` is a name, with hyperparameters where it has several configurations,
    or the beginning of a trial's id. Its first seed unless one is named."""
    rows = [one.configuration._asdict() for one in run.trials]
    named = list(zip(names(rows), run.trials, strict=True))
    found = [(name, one) for name, one in named if candidate in (name, one.trial.candidate)]
    if not found and len(candidate) >= 6:
        found = [(name, one) for name, one in named if one.trial.trial_id.startswith(candidate)]
    if not found:
        known = dict.fromkeys(name for name, _ in named)
        raise StoreError(f"run {run.run_id}: no candidate {candidate!r} with a score{did_you_mean(candidate, known)}")
    datasets = dict.fromkeys(one.trial.dataset.name for _, one in found)
    if dataset is not None and dataset not in datasets:
        raise StoreError(f"run {run.run_id}: {candidate} has no score on {dataset!r}{did_you_mean(dataset, datasets)}")
    found = [(name, one) for name, one in found if dataset in (None, one.trial.dataset.name)]
    if dataset is None and len(datasets) > 1:
        raise StoreError(f"{candidate} is scored on {', '.join(datasets)}: name one with --dataset")
    if len(configurations := dict.fromkeys(name for name, _ in found)) > 1:
        raise StoreError(f"{candidate} has several configurations; name one: {_quoted(configurations)}")
    seeds = tuple(sorted({one.trial.seed for _, one in found}))
    if seed is not None and seed not in seeds:
        raise StoreError(f"{candidate} has no seed {seed}; it has {', '.join(map(str, seeds))}")
    name, one = next((name, one) for name, one in found if one.trial.seed == (seeds[0] if seed is None else seed))
    return Chosen(one, name, seeds)


def row_source(run: StoredRun, one: StoredTrial, job: str | None) -> RowSource | None:
    """Where the rows of a trial's dataset come from: the job file that the user names, else the one the run keeps."""
    dataset = one.trial.dataset.name
    if job is not None:
        return of_job(load_job(job), dataset)
    try:
        return source_of(run.directory, dataset)
    except DataError:
        return None


def examples_of(
    run: StoredRun, chosen: StoredTrial, source: RowSource | None, *, wrong: bool, skipped: Skipped
) -> Examples:
    """The wrong ones, or all; where records tell how wrong each is, the worst first.

    Where the rows cannot be had from the source the records stand alone, and `missing` says why.
    """
    trial = chosen.trial
    records = read_whole_records(run.store, chosen.row, skipped)
    table = pa.table(
        {
            "id": records.column("id"),
            "truth": pa.array(truths_of(records, trial.dataset.labels), pa.string()),
            "answer": pa.array(answers_of(records, trial.dataset.labels), pa.string()),
        }
    )
    losses, right = losses_of(records), _right(chosen, run.rank_by.get(trial.dataset.name), records)
    if right is None and losses is not None:
        right = losses <= 0
    if right is not None:
        table = table.append_column("right", pa.array(right))
    elif wrong:
        raise DataError(f"the records of task {trial.dataset.task} do not tell whether an example is right: no --wrong")
    kept = np.flatnonzero(~right) if wrong and right is not None else np.arange(records.num_rows)
    if losses is not None:
        table = table.append_column("loss", pa.array(losses))
        kept = kept[np.argsort(-losses[kept], kind="stable")]
    table, others = table.take(kept), records.take(kept)
    missing = ""
    try:
        if source is None:
            raise DataError(f"run {run.run_id} keeps no job file that says where its rows are from; --job names it")
        rows = by_id(source.rows(trial.dataset.fingerprint), table.column("id").to_pylist())
    except RaybenchError as error:
        missing = str(error)
        rows = table.select(["id"])
    for part in (rows, others):
        for name in part.column_names:
            if name not in table.column_names:
                table = table.append_column(name, part.column(name))
    return Examples(table, records.num_rows, missing)


def _right(chosen: StoredTrial, ranked_by: str | None, records: pa.Table) -> np.ndarray | None:
    """Whether each record is right, by the metric that ranks or the first of the task's that counts successes."""
    dataset = chosen.trial.dataset
    task = task_of(dataset)
    config = task.metric_config(dataset.labels, dataset.task_config)
    for name in dict.fromkeys([*(weights_of(ranked_by) if ranked_by else ()), *task.metrics]):
        if misfit(name, records.schema, config) is None:
            found = are_right(MetricSet([name], config), name, records)
            if found is not None:
                return found
    return None


def _quoted(texts: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
