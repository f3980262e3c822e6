"""Other metrics and slices of trials that are done, from their stored records: no model, no data, no GPU.

    ranking = rescore("./raybench-store", ["mcc", "brier"], slices=["source"])

Published as a run of its own, `rescore-<hash>`, whose id is the content of what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec, Status, Trial, slice_column
from raybench.core.errors import MetricError, StoreError, summary
from raybench.core.identity import content_hash
from raybench.core.suggestion import did_you_mean
from raybench.metrics import MetricSet
from raybench.metrics.requirements import fitting, misfit
from raybench.results.entry import Entry
from raybench.results.made_on import made_on
from raybench.results.publish import traits_of, write_tables
from raybench.results.ranking import Ranking
from raybench.results.slices import slice_scores
from raybench.results.tables import MetricTrait
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.records import read_records
from raybench.store.runs import RunDirectory, list_runs
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

    `slices` are columns of the records: a slice column of the dataset, or any other such as `target`.
    """
    if not metrics:
        raise MetricError("rescore: name at least one metric")
    store = Store.open(url)
    run = _find_run(store, run_id)
    store.files.check_writable()
    torn: dict[str, str] = {}
    rows = store.trials.read(torn.__setitem__)
    entries: list[Entry] = []
    traits: dict[str, MetricTrait] = {}
    rank_by = rank_by or metrics[0]
    names = list(dict.fromkeys([*metrics, rank_by]))
    for candidate, trial_id in _trials_of(run):
        row = rows.get(trial_id)
        records = read_records(store.files, trial_id, row.basis, torn.__setitem__) if row is not None else None
        if row is None or records is None or records.num_rows != row.num_examples:
            why = "".join(f" ({path}: {reason})" for path, reason in list(torn.items())[-1:])
            raise StoreError(
                f"store {url}: trial {trial_id} of run {run.run_id} has no whole records{why}; run its job again"
            )
        trial = _trial(candidate, row)
        task = task_of(trial.dataset)
        config = task.metric_config(trial.dataset.labels, trial.dataset.task_config)
        for name in names:
            if (reason := misfit(name, records.schema, config)) is not None:
                known = ", ".join(fitting(records.schema, config))
                raise MetricError(f"rescore: {reason}; metrics that fit these records: {known}")
        metric_set = MetricSet(names, config)
        traits |= traits_of(metric_set)
        entries.append(_entry(trial, row, records, metric_set, slices, rank_by))
    for path, reason in torn.items():
        skipped(path, reason)
    asked = [run.run_id, names, list(slices), rank_by, sorted(entry.trial.trial_id for entry in entries)]
    by_dataset = dict.fromkeys((entry.trial.dataset.name for entry in entries), rank_by)
    return write_tables(store.run(f"rescore-{content_hash(asked)[:12]}"), entries, names, by_dataset, traits)


def _entry(
    trial: Trial, row: TrialRow, records: pa.Table, metric_set: MetricSet, slices: Sequence[str], rank_by: str
) -> Entry:
    columns = {name: records.column(_record_column(name, records)).cast(pa.string()) for name in slices}
    return Entry(
        trial=trial,
        status=Status.OK,
        reason=None,
        scores=metric_set.compute(metric_set.states(records), records=lambda: records),
        slices=slice_scores(metric_set, records, columns),
        num_examples=row.num_examples,
        cost=row.cost,
        replicates=metric_set.replicates(rank_by, records),
        made_on=made_on(row.provenance),
    )


def _record_column(name: str, records: pa.Table) -> str:
    for column in (slice_column(name), name):
        if column in records.column_names:
            return column
    prefix = slice_column("")
    known = [column.removeprefix(prefix) for column in records.column_names if column != "scores"]
    raise StoreError(f"slice {name!r}: no such column of the records{did_you_mean(name, known)}")


def _find_run(store: Store, run_id: str | None) -> RunDirectory:
    runs = {run.run_id: run for run in list_runs(store.files) if store.files.exists(run.path("scores.parquet"))}
    if run_id is not None:
        if run_id not in runs:
            raise StoreError(f"store {store.files.url}: no finished run {run_id!r}{did_you_mean(run_id, runs)}")
        return runs[run_id]
    own = [run for name, run in runs.items() if not name.startswith("rescore-")]
    if not own:
        raise StoreError(f"store {store.files.url}: holds no finished run")
    return max(own, key=lambda run: (run.read_json("environment.json") or {}).get("written_at", ""))


def _trials_of(run: RunDirectory) -> list[tuple[str, str]]:
    """(candidate, trial id) of every trial with scores, in the run's order."""
    try:
        table = run.read_table("scores").select(["candidate", "trial_id"]).to_pylist()
    except (pa.ArrowException, KeyError) as error:
        path = run.location("scores.parquet")
        raise StoreError(f"{path}: torn or no table of raybench ({summary(error)}); rank its job again") from error
    return list(dict.fromkeys((row["candidate"], row["trial_id"]) for row in table))


def _trial(candidate: str, row: TrialRow) -> Trial:
    identity: dict[str, Any] = row.identity
    return Trial(
        trial_id=row.trial_id,
        candidate=candidate,
        model=ModelSpec(reference=identity["model"], revision=identity["revision"]),
        dataset=DatasetKey(
            name=identity["dataset"],
            task=identity["task"],
            labels=tuple(identity["labels"]),
            fingerprint=identity["data_fingerprint"],
            max_length=identity["max_length"],
            task_config=identity["task_config"],
            scored=identity.get("scored", "test"),
        ),
        method=identity["method"],
        hyperparameters=identity["hyperparameters"],
        seed=identity["seed"],
        weights_fingerprint=identity["weights_fingerprint"],
    )
