"""The Python interface: run a job, and get its ranking.

    ranking = raybench.run("jobs/quickstart.yaml")
"""

from __future__ import annotations

import warnings
from pathlib import Path

from raybench.job import Job, load_job
from raybench.plan import make_plan
from raybench.progress import Progress
from raybench.publish import publish
from raybench.ranking.ranking import Ranking
from raybench.resume import look_up
from raybench.store import Store

__all__ = ["run"]


def run(
    job: str | Path | Job, *, address: str | None = None, actors: int | None = None, quiet: bool = False
) -> Ranking:
    """Do what is missing of a job and rank.

    `address` is a Ray cluster's (default: an embedded Ray, or the cluster this runs inside); `actors` overrides the
    job's number. Raises RaybenchError for what a user can mend, before anything starts. A trial that fails does not
    raise: it has a status and a reason in the ranking. Running again does only what is missing.
    """
    if not isinstance(job, Job):
        job = load_job(job)
    if actors is not None:
        job = job.model_copy(update={"resources": job.resources.model_copy(update={"actors": actors})})
    plan = make_plan(job)
    store = Store.open(job.store)
    store.files.check_writable()

    def skipped(path: str, reason: str) -> None:
        warnings.warn(f"store: {path}: {reason}; skipped", stacklevel=2)

    found = look_up(plan, store, skipped)
    todo = found.todo(plan)
    tracebacks = {}
    rows = dict(found.rows)
    with Progress(plan, todo, store.run(plan.run_id), quiet=quiet) as progress:
        if todo:
            from raybench.cluster.run import run_trials

            outcome = run_trials(plan, todo, found, store, address=address, observer=progress, skipped=skipped)
            rows |= outcome.rows
            tracebacks = dict(outcome.tracebacks)
        return publish(plan, rows, store, skipped, tracebacks)
