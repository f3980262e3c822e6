"""From a plan and the rows of its trials to the tables of a run, written to the store.

    ranking = publish(plan, rows, store, skipped)

The same rows and records give the same files to the bit, whoever made them and in whatever order.
"""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType

import pyarrow as pa

from raybench.core import Score, Status
from raybench.job.limits import Limit
from raybench.metrics import MetricSet
from raybench.planning.plan import Plan, PlannedTrial
from raybench.results.across import across_notes
from raybench.results.drops import drops_table
from raybench.results.entry import Entry
from raybench.results.fit_notes import fit_notes
from raybench.results.made_on import distinct, made_on, mixed_notes
from raybench.results.measure import Measured, Measurer, Measuring
from raybench.results.published import MADE_OF, basis_of_tables, read_published
from raybench.results.ranking import Ranking
from raybench.results.selection import optimism_notes
from raybench.results.settled import is_settled
from raybench.results.stored import read_whole_records
from raybench.results.tables import MetricTrait, ranking_table, scores_table
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.provenance import library_versions
from raybench.store.runs import JOB_DIRECTORY, NOTES, RunDirectory
from raybench.store.trials import TrialRow

__all__ = ["measure_rest", "publish", "traits_of", "write_tables"]


def publish(
    plan: Plan,
    rows: Mapping[str, TrialRow],
    store: Store,
    skipped: Skipped,
    tracebacks: dict[str, str] | None = None,
    *,
    measured: Mapping[str, Measured] = MappingProxyType({}),
    notes: Sequence[str] = (),
    write: bool = True,
) -> Ranking:
    """Scores and ranking of a plan as far as it has got; trials without a row are `stopped`.

    Trials that are not `measured`, as a run's actors do it, are measured here.

    Not to be written where the run is under way: its own tables could be replaced by these, which are older.
    """
    run = store.run(plan.run_id)
    made_of = basis_of_tables(plan, rows, notes, store) if write else None
    if write:
        run.write_text("job.yaml", plan.job.text)
    if made_of is not None and not tracebacks and (published := read_published(run, made_of)) is not None:
        run.write_json("environment.json", {**(run.read_json("environment.json") or {}), **_environment()})
        return published
    known = measure_rest(plan, rows, store, skipped, measured)
    ids = [planned.trial.trial_id for planned in plan.trials]
    entries = [
        _entry(planned, rows.get(one), known.get(one), plan.rank_by[planned.trial.dataset.name])
        for one, planned in zip(ids, plan.trials, strict=True)
    ]
    traits: dict[str, MetricTrait] = {}
    for dataset in plan.datasets.values():
        traits |= traits_of(dataset.metric_set())
    planned_ids = {planned.trial.trial_id for planned in plan.trials}
    fits = [row.provenance.get("fit", {}) for trial_id, row in rows.items() if trial_id in planned_ids]
    return write_tables(
        run,
        entries,
        plan.metrics,
        plan.rank_by,
        traits,
        notes=(*plan.notes, *notes, *fit_notes(fits)),
        limits=plan.job.limits,
        tracebacks=tracebacks,
        job_directory=str(plan.job.directory),
        drops=drops_table(entries, plan.rank_by, lambda trial_id: read_whole_records(store, rows[trial_id], skipped)),
        made_of=made_of,
        write=write,
    )


def measure_rest(
    plan: Plan, rows: Mapping[str, TrialRow], store: Store, skipped: Skipped, measured: Mapping[str, Measured]
) -> dict[str, Measured]:
    """All of the plan's trials that ended well, measured; those that are not yet, here."""
    known = dict(measured)
    measurers: dict[str, Measurer] = {}
    for planned in plan.trials:
        trial_id, name = planned.trial.trial_id, planned.trial.dataset.name
        row = rows.get(trial_id)
        if row is not None and row.status is Status.OK and trial_id not in known:
            if name not in measurers:
                dataset = plan.datasets[name]
                test = dataset.loaded.splits["test"]
                measurers[name] = Measurer(Measuring.of(dataset), test, store.files, skipped)
            (known[trial_id],) = measurers[name].measure([row])
    return known


def write_tables(
    run: RunDirectory,
    entries: Sequence[Entry],
    metrics: Sequence[str],
    rank_by: Mapping[str, str],
    traits: Mapping[str, MetricTrait],
    *,
    notes: tuple[str, ...] = (),
    limits: Sequence[Limit] = (),
    tracebacks: dict[str, str] | None = None,
    job_directory: str | None = None,
    drops: pa.Table | None = None,
    made_of: str | None = None,
    write: bool = True,
) -> Ranking:
    """Make a run's tables of its trials' entries and write them; a mix of devices or versions is one of the notes.

    `made_of` is the basis by which they are found again and not made anew.
    """
    scores = scores_table(run.run_id, entries, traits)
    table = ranking_table(entries, metrics, rank_by, traits, limits)
    higher = {name: trait.higher_is_better is not False for name, trait in traits.items()}
    across = across_notes(table.to_pylist(), higher)
    notes = (*notes, *mixed_notes(entries), *optimism_notes(entries, rank_by, higher), *across)
    if write:
        digests = {"scores": run.write_table("scores", scores), "ranking": run.write_table("ranking", table)}
        if drops is not None:
            digests["drops"] = run.write_table("drops", drops)
        told = {NOTES: list(notes), JOB_DIRECTORY: job_directory, MADE_OF: {"basis": made_of, **digests}}
        run.write_json("environment.json", {**_environment(), **told, "trials": list(distinct(entries))})
    return Ranking(
        run_id=run.run_id,
        table=table,
        scores=scores,
        location=run.location("ranking.parquet") if write else "",
        notes=notes,
        drops=drops,
        tracebacks=tracebacks or {},
    )


def _entry(planned: PlannedTrial, row: TrialRow | None, measured: Measured | None, rank_by: str) -> Entry:
    if planned.problem is not None:
        return Entry(trial=planned.trial, status=planned.problem.status, reason=planned.problem.reason)
    if row is None:
        return Entry(trial=planned.trial, status=Status.STOPPED, reason="not finished; run the same command to go on")
    unknown = Score(value=None, n=row.num_examples, reason=row.reason)
    stopped = {rank_by: unknown} if row.status is Status.STOPPED and is_settled("stopped", row.reason) else {}
    return Entry(
        trial=planned.trial,
        status=row.status,
        reason=row.reason,
        scores=measured.scores if measured else stopped,
        slices=measured.slices if measured else {},
        num_examples=row.num_examples,
        cost=row.cost,
        replicates=measured.replicates if measured else {},
        made_on=made_on(row.provenance),
    )


def traits_of(metric_set: MetricSet) -> dict[str, MetricTrait]:
    """What the ranking must know of each metric."""
    infos = [metric_set.info(name) for name in metric_set.names]
    return {info.name: MetricTrait(info.higher_is_better, info.range) for info in infos}


def _environment() -> dict[str, object]:
    """Of the process that writes the tables."""
    return {
        "versions": {**library_versions(), "ray": version("ray"), "pyarrow": version("pyarrow")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "written_by": _user(),
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _user() -> str:
    """Who runs this, where the system knows a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
