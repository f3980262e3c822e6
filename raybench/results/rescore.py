"""Other metrics and slices of trials that are done, from their stored records: no model, no data, no GPU.

    ranking = rescore("./raybench-store", ["mcc", "brier"], slices=["source"])

Published as a run of its own, `rescore-<hash>`, whose id is the content of what was asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa

from raybench.core import Status, Trial, slice_column
from raybench.core.errors import MetricError, StoreError
from raybench.core.identity import content_hash
from raybench.core.suggestion import did_you_mean
from raybench.data.lengths import LENGTH
from raybench.job.rank_by import read_rank_by, weights_of
from raybench.metrics import MetricSet
from raybench.metrics.requirements import fitting, misfit
from raybench.results.difficulty import DIFFICULTY, difficulties
from raybench.results.drops import drops_table
from raybench.results.entry import Entry
from raybench.results.made_on import made_on
from raybench.results.measure import replicates_of
from raybench.results.publish import traits_of, write_tables
from raybench.results.ranking import Ranking
from raybench.results.slices import slice_scores
from raybench.results.stored import RESCORED, StoredRun, find_run, read_run, read_whole_records
from raybench.results.tables import MetricTrait
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.runs import JOB_DIRECTORY
from raybench.store.trials import TrialRow
from raybench.tasks.catalog import task_of

__all__ = ["rescore"]


def rescore(
    url: str,
    metrics: Sequence[str],
    *,
    slices: Sequence[str] = (),
    run_id: str | None = None,
    rank_by: str | None = None,
    skipped: Skipped,
) -> Ranking:
    """Score the trials of a run anew (the latest run, unless one is named) and rank by `rank_by` or the first metric.

    `rank_by` may weigh several, as in a job: "2 macro_f1 + 1 ece".

    `slices` are columns of the records: a slice column of the dataset (`length`, where the job names it), any other
    such as `target`, or `difficulty`: how many of the run's trials get an example right (`results/difficulty.py`).
    """
    if not metrics:
        raise MetricError("rescore: name at least one metric")
    store = Store.open(url)
    run = read_run(store, find_run(store, run_id), skipped)
    store.files.check_writable()
    entries: list[Entry] = []
    traits: dict[str, MetricTrait] = {}
    try:
        rank_by = read_rank_by(rank_by or metrics[0])
    except ValueError as error:
        raise MetricError(f"rescore: rank_by {rank_by!r}: {error}") from error
    ranked = tuple(weights_of(rank_by))
    names = list(dict.fromkeys([*metrics, *ranked]))
    hard = _difficulties(run, skipped) if DIFFICULTY in slices else {}
    for trial, row in ((one.trial, one.row) for one in run.trials):
        records = read_whole_records(store, row, skipped)
        task = task_of(trial.dataset)
        config = task.metric_config(trial.dataset.labels, trial.dataset.task_config)
        for name in names:
            if (reason := misfit(name, records.schema, config)) is not None:
                known = ", ".join(fitting(records.schema, config))
                raise MetricError(f"rescore: {reason}; metrics that fit these records: {known}")
        metric_set = MetricSet(names, config)
        traits |= traits_of(metric_set)
        parts = {DIFFICULTY: hard[trial.dataset.name]} if hard else {}
        entries.append(_entry(trial, row, records, metric_set, slices, parts, ranked))
    asked = [run.run_id, names, list(slices), rank_by, sorted(entry.trial.trial_id for entry in entries)]
    by_dataset = dict.fromkeys((entry.trial.dataset.name for entry in entries), rank_by)
    rescored = store.run(f"{RESCORED}{content_hash(asked)[:12]}")
    job = run.directory.path("job.yaml")
    if store.files.exists(job):  # where its rows are from
        rescored.write_text("job.yaml", store.files.read(job).decode())
    directory = (run.directory.read_json("environment.json") or {}).get(JOB_DIRECTORY)
    rows = {one.trial.trial_id: one.row for one in run.trials}
    drops = drops_table(entries, by_dataset, lambda trial_id: read_whole_records(store, rows[trial_id], skipped))
    return write_tables(rescored, entries, names, by_dataset, traits, job_directory=directory, drops=drops)


def _entry(
    trial: Trial,
    row: TrialRow,
    records: pa.Table,
    metric_set: MetricSet,
    slices: Sequence[str],
    parts: Mapping[str, Mapping[str, str]],
    ranked: Sequence[str],
) -> Entry:
    named = [name for name in slices if name not in parts]
    columns = {name: records.column(_record_column(name, records)).cast(pa.string()) for name in named}
    ids = records.column("id").to_pylist() if parts else []
    columns |= {name: pa.chunked_array([[part[one] for one in ids]], pa.string()) for name, part in parts.items()}
    scorer = metric_set.scorer(metric_set.states(records), lambda: records)
    return Entry(
        trial=trial,
        status=Status.OK,
        reason=None,
        scores={name: metric_set.score(name, scorer) for name in metric_set.names},
        slices=slice_scores(metric_set, records, columns),
        num_examples=row.num_examples,
        cost=row.cost,
        replicates=replicates_of(metric_set, ranked, scorer),
        made_on=made_on(row.provenance),
    )


def _difficulties(run: StoredRun, skipped: Skipped) -> dict[str, dict[str, str]]:
    """By dataset, how hard each example is."""
    rows: dict[str, list[TrialRow]] = defaultdict(list)
    for one in run.trials:
        rows[one.trial.dataset.name].append(one.row)
    return {
        name: difficulties(read_whole_records(run.store, row, skipped) for row in group) for name, group in rows.items()
    }


def _record_column(name: str, records: pa.Table) -> str:
    for column in (slice_column(name), name):
        if column in records.column_names:
            return column
    if name == LENGTH:
        raise StoreError(
            "slice 'length': these records do not say how long examples are; name it in the job, slices: [length] of "
            "the dataset, and rank the job: that reads the rows again and fits nothing"
        )
    prefix = slice_column("")
    known = [column.removeprefix(prefix) for column in records.column_names if column != "scores"]
    raise StoreError(f"slice {name!r}: no such column of the records{did_you_mean(name, known)}")
