"""The Python interface: run a job, and get its ranking.

ranking = raybench.run("jobs/quickstart.yaml")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from raybench.cluster.connection import MODEL_IMPORTS, Connection
from raybench.core.errors import RaybenchError, StoreError
from raybench.core.timing import Timing
from raybench.job import Job, load_job, parse_job
from raybench.planning.first_job import FirstJob
from raybench.planning.given import job_of
from raybench.planning.plan import Plan, PlannedTrial, make_plan
from raybench.planning.resume import FINAL, look_up
from raybench.report.notebook import in_notebooks
from raybench.report.notify import ended, notifier, stopped
from raybench.report.progress import Progress
from raybench.results.choosing import choose
from raybench.results.halving import Unfolded, keep_stopped, unfold, unfold_stored
from raybench.results.measure import Measured
from raybench.results.publish import measure_rest, publish
from raybench.results.ranking import Ranking
from raybench.store import Store
from raybench.store.checkpoints import remove_checkpoint
from raybench.store.leases import Lease, read_living
from raybench.store.skipped import StoreWarning, warn_skipped
from raybench.store.trials import TrialLog, TrialRow
from raybench.store.writer import clean_up

__all__ = ["StoreWarning", "rank", "run", "try_models", "warn_skipped"]


def run(
    job: str | Path | Job | Mapping[str, Any],
    *,
    address: str | None = None,
    actors: int | None = None,
    quiet: bool = False,
    timing: Timing | None = None,
) -> Ranking:
    """Do what is missing of a job and rank.

    `job` is a file, or what stands in one as a mapping, in which a dataset's `source` may be rows in memory: a pandas
    frame, a pyarrow table, a Dataset or DatasetDict, a list of dicts, or a mapping of these by split.
    `address` is a Ray cluster's (default: an embedded Ray, or the cluster this runs inside); `actors` overrides the
    job's number; `timing` is told when what was reached. Raises RaybenchError for what a user can mend, before anything
    starts. A trial that fails does not raise: it has a status and a reason in the ranking. Running again does only what
    is missing; trials that another process is doing on the same store are waited for.
    """
    began = time.monotonic()
    timing = timing or Timing()
    timing.mark("imports")
    loaded = _job(job, actors)
    with Connection(loaded.resources, address, timing) as connection:
        plan = _plan(loaded, _beginning(loaded, connection, timing))
        timing.mark("plan")
        notify = notifier(plan.job)
        try:
            ranking = _carry_out(plan, connection, began, quiet=quiet, timing=timing)
        except BaseException as error:
            if notify is not None:
                notify(stopped(error, plan.run_id, plan.job, time.monotonic() - began))
            raise
    timing.mark("tables")
    if notify is not None:
        notify(ended(ranking, plan.job, time.monotonic() - began))
    return in_notebooks(ranking)


def _beginning(job: Job, connection: Connection, timing: Timing) -> Callable[[PlannedTrial], None]:
    """Told of each trial as it is planned: Ray begins to start with the first that is to be done here."""
    try:
        files = Store.open(job.store).files
        ended = None if read_living(files) else TrialLog(files).ended(FINAL)  # others may be doing all of it
    except RaybenchError:  # whoever wants the store says so
        ended = None
    has_models = any(candidate.model for candidate in job.candidates)

    has_begun = False

    def planned(one: PlannedTrial) -> None:
        nonlocal has_begun
        timing.mark("rows")
        if has_begun or ended is None or one.problem is not None or one.trial.trial_id in ended:
            return
        files.check_writable()  # or Ray would start to no end
        connection.begin(MODEL_IMPORTS if has_models else ())
        has_begun = True

    return planned


def _carry_out(plan: Plan, connection: Connection, began: float, *, quiet: bool, timing: Timing) -> Ranking:
    store = Store.open(plan.job.store)
    store.files.check_writable()
    with (
        Lease(store.files, plan.run_id, _ids((*plan.trials, *plan.offered, *plan.later))) as lease,
        Progress(store.run(plan.run_id), quiet=quiet, timing=timing) as progress,
    ):

        def do(todo: Plan) -> _Done:
            return _do(todo, store, lease, progress, connection, began)

        unfolded, done = _halve(plan, do(plan), store, do)
        plan, lines = unfolded.table, list[str]()
        if plan.offered:
            tried = {one.work.checkpoint for one in plan.offered}
            plan, lines = choose(plan, done.rows, done.measured)
            over = done.rows.keys() | unfolded.undecided
            left = [one for one in plan.trials if one.trial.trial_id not in over]
            for checkpoint in tried - {one.work.checkpoint for one in left}:
                with suppress(StoreError):  # what is left costs room alone
                    remove_checkpoint(store.files, checkpoint)
            rest = tuple(one for one in left if one.problem is None)
            done = done.then(do(replace(plan, trials=rest)))
        timing.mark("work")
        rows, tracebacks, measured = done
        return publish(plan, rows, store, warn_skipped, tracebacks, measured=measured, notes=lines)


class _Done(NamedTuple):
    rows: dict[str, TrialRow]
    tracebacks: dict[str, str]
    measured: dict[str, Measured]

    def then(self, more: _Done) -> _Done:
        return _Done(self.rows | more.rows, self.tracebacks | more.tracebacks, self.measured | more.measured)


def _halve(plan: Plan, done: _Done, store: Store, do: Callable[[Plan], _Done]) -> tuple[Unfolded, _Done]:
    """Rung after rung of what is halved, as far as their trials end; `done` is of the first."""
    todo = plan
    while True:
        if plan.offered:
            done = done._replace(measured=measure_rest(todo, done.rows, store, warn_skipped, done.measured))
        unfolded = unfold(plan, done.rows, done.measured)
        keep_stopped(unfolded, store, warn_skipped)
        if len(unfolded.todo.trials) == len(todo.trials):
            return unfolded, done
        todo = unfolded.todo
        done = done.then(do(todo))


def _do(plan: Plan, store: Store, lease: Lease, progress: Progress, connection: Connection, began: float) -> _Done:
    """What is missing of a plan, as far as the time that the job gives from `began` on; the rows are of all trials."""
    division = lease.divide(_ids(plan.trials))
    found = look_up(plan, store, warn_skipped)
    for trial_id in found.leftovers.keys() & division.take:
        clean_up(store, found.rows[trial_id], found.leftovers[trial_id], warn_skipped)
    rows = {**found.failures, **found.rows}
    todo = found.todo(plan)
    progress.begin(plan, todo)
    if not todo:
        return _Done(rows, {}, {})
    from raybench.cluster.deadline import Deadline
    from raybench.cluster.rounds import run_rounds

    outcome = run_rounds(
        plan,
        found,
        division,
        lease,
        store,
        connection=connection,
        observer=progress,
        skipped=warn_skipped,
        deadline=Deadline.of(plan.job, began),
    )
    store.trials.compact(warn_skipped)
    return _Done({**rows, **outcome.rows}, dict(outcome.tracebacks), dict(outcome.measured))


def _ids(trials: Iterable[PlannedTrial]) -> set[str]:
    return {planned.trial.trial_id for planned in trials if planned.problem is None}


def try_models(first: FirstJob, *, address: str | None = None, quiet: bool = False) -> Ranking:
    """Each model by what costs least; then fine-tuned too, those that may be the best so far."""
    here = str(Path("try.yaml").absolute())  # where relative paths start
    ranking = run(parse_job(first.text(), here), address=address, quiet=quiet)
    pays = first.worth_fine_tuning(ranking.table.to_pylist())
    if not pays:
        return ranking
    if not quiet:
        print(f"fine-tuning what may be the best: {', '.join(first.names[place] for place in pays)}")
    return run(parse_job(first.text(fine_tuned=pays), here), address=address, quiet=quiet)


def rank(job: str | Path | Job | Mapping[str, Any]) -> Ranking:
    """Rank what the store holds of a job; trials that have not ended are `stopped`, failures keep their reason.

    While the job runs its directory is the run's own: the ranking is returned and not written.
    """
    plan = _plan(_job(job, None))
    store = Store.open(plan.job.store)
    store.files.check_writable()
    while True:
        ends = store.trials.files()
        unfolded, rows, measured = unfold_stored(plan, store, warn_skipped)
        running = next((one for one in read_living(store.files) if one.run_id == plan.run_id), None)
        chosen, lines = choose(unfolded.table, rows, measured)
        if plan.offered:
            found = look_up(chosen, store, warn_skipped)
            rows |= {**found.failures, **found.rows}
        ranking = publish(chosen, rows, store, warn_skipped, measured=measured, notes=lines, write=running is None)
        if running is not None:
            note = f"the run is under way ({running}): its tables are written when it ends"
            return in_notebooks(replace(ranking, notes=(*ranking.notes, note)))
        if store.trials.files() == ends:  # else a run has come and gone meanwhile: these tables are older than its own
            return in_notebooks(ranking)


def _job(job: str | Path | Job | Mapping[str, Any], actors: int | None) -> Job:
    loaded = job if isinstance(job, Job) else job_of(job) if isinstance(job, Mapping) else load_job(job)
    if actors is not None:
        loaded = loaded.model_copy(update={"resources": loaded.resources.model_copy(update={"actors": actors})})
    return loaded


def _plan(job: Job, told: Callable[[PlannedTrial], None] | None = None) -> Plan:
    plan = make_plan(job, told)
    planned = (*plan.trials, *plan.offered)
    problems = {one.problem.reason for one in planned if one.problem is not None}
    if all(one.problem is not None for one in planned):
        raise RaybenchError("\n".join(sorted(problems)))
    return plan
