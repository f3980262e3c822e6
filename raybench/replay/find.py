"""A trial of a store by its id, with the run and the job that it is of.

found = find_trial(store, "3f2a91", skipped)
planned, plan = plan_again(found, job_again(found.run, None))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from raybench.core import Trial
from raybench.core.errors import JobError, StoreError
from raybench.core.identity import canonical_json
from raybench.core.suggestion import did_you_mean
from raybench.job import Job, load_job, parse_job
from raybench.job.source_map import read_yaml
from raybench.planning.datasets import validation_name
from raybench.planning.plan import Plan, PlannedTrial, make_plan
from raybench.planning.thresholds import with_threshold
from raybench.results.stored import RESCORED, StoredRun, StoredTrial, finished_runs, read_run
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.runs import JOB_DIRECTORY, RunDirectory
from raybench.tasks.threshold import PICKED

__all__ = ["FoundTrial", "find_trial", "job_again", "plan_again"]

_LEAST = 4  # characters that name a trial
_OWN_SOURCES = "raybench.data.packaged:"


class FoundTrial(NamedTuple):
    """A trial and the newest run that it is in."""

    run: StoredRun
    one: StoredTrial

    @property
    def threads(self) -> int:
        """Of the processes that fitted and scored it: training's last bits hang on them."""
        return max(self.one.row.provenance.get("threads", [1]))

    @property
    def on_gpu(self) -> bool:
        """Whether any of it was made on one."""
        provenance = self.one.row.provenance
        return "cuda" in {*provenance.get("device", ()), provenance.get("fit", {}).get("device")}


def find_trial(store: Store, name: str, skipped: Skipped) -> FoundTrial:
    """The trial whose id begins so and that ended well; StoreError where there is none, or several."""
    url = store.files.url
    if len(name) < _LEAST:
        raise StoreError(f"{name!r}: want at least {_LEAST} characters of a trial's id, as `raybench show` has them")
    for run in reversed(finished_runs(store)):
        if run.run_id.startswith(RESCORED):
            continue
        ids = sorted(trial_id for trial_id in _trial_ids(run) if trial_id.startswith(name))
        if len(ids) > 1:
            raise StoreError(
                f"{name!r} are {len(ids)} trials of run {run.run_id}: {', '.join(one[:12] for one in ids)}"
            )
        if ids:
            found = read_run(store, run, skipped)
            return FoundTrial(found, next(one for one in found.trials if one.trial.trial_id == ids[0]))
    raise StoreError(f"store {url}: no run has a trial {name!r} that ended well; `raybench show RUN` lists a run's")


def job_again(run: StoredRun, path: str | None) -> Job:
    """The job file that the user names, or the one that the run keeps; JobError where the latter would run code.

    A store may be somebody else's: what its job names beside itself is run, and pickles are opened, only where the
    user names the file.
    """
    if path is not None:
        return load_job(path)
    place = run.directory.path("job.yaml")
    try:
        text = run.store.files.read(place).decode()
    except (FileNotFoundError, UnicodeDecodeError):
        raise JobError(f"run {run.run_id} keeps no job file that can be read; name it with --job") from None
    data, _ = read_yaml(text, place)
    for what in _code_in(data):
        raise JobError(f"run {run.run_id}: its job names {what}; name the job file with --job if you trust it")
    environment = run.directory.read_json("environment.json") or {}
    return parse_job(text, str(Path(str(environment.get(JOB_DIRECTORY) or ".")) / "job.yaml"))


def plan_again(found: FoundTrial, job: Job) -> tuple[PlannedTrial, Plan]:
    """The trial as it is planned today: same candidate, configuration, dataset and seed; its id may be another."""
    trial = found.one.trial
    candidates = tuple(one for one in job.candidates if one.name == trial.candidate)
    datasets = tuple(one for one in job.datasets if trial.dataset.name in (one.name, validation_name(one.name)))
    for kind, name, chosen, known in (
        ("candidate", trial.candidate, candidates, job.candidates),
        ("dataset", trial.dataset.name, datasets, job.datasets),
    ):
        if not chosen:
            raise JobError(f"the job has no {kind} {name!r} any more{did_you_mean(name, [one.name for one in known])}")
    candidates = tuple(one.model_copy(update={"seeds": (trial.seed,)}) for one in candidates)
    plan = make_plan(job.model_copy(update={"candidates": candidates, "datasets": datasets, "halving": None}))
    wanted = _place(trial)
    for planned in (*plan.trials, *plan.offered):
        if _place(planned.trial) == wanted:
            if planned.problem is not None:
                raise JobError(f"{trial.candidate} on {trial.dataset.name}: {planned.problem.reason}")
            return _cut_as(planned, trial), plan
    raise JobError(f"the job has no configuration {wanted[-1]} of {trial.candidate!r} any more")


def _cut_as(planned: PlannedTrial, trial: Trial) -> PlannedTrial:
    """With the threshold that was picked for the trial, if the job still asks for one."""
    asked, picked = (one.dataset.task_config.get("threshold") for one in (planned.trial, trial))
    return with_threshold(planned, picked) if asked == PICKED and isinstance(picked, float) else planned


def _place(trial: Trial) -> tuple[str, str, str]:
    return trial.dataset.name, trial.method, canonical_json(dict(trial.hyperparameters))


def _trial_ids(run: RunDirectory) -> set[str]:
    try:
        return set(run.read_table("scores").column("trial_id").to_pylist())
    except (FileNotFoundError, pa.ArrowException, KeyError):
        return set()


def _code_in(data: Any) -> Iterator[str]:
    """What of a job would run code that lies somewhere, or open a pickle."""
    if not isinstance(data, Mapping):
        return
    for candidate in data.get("candidates") or ():
        if isinstance(candidate, Mapping):
            method = candidate.get("method")
            named = [candidate.get("baseline"), method.get("name") if isinstance(method, Mapping) else method]
            yield from (f"code of its own ({name})" for name in named if isinstance(name, str) and ":" in name)
            if candidate.get("allow_pickle"):
                yield "a candidate with allow_pickle"
    for dataset in data.get("datasets") or ():
        if isinstance(dataset, Mapping):
            task, source = str(dataset.get("task", "")), str(dataset.get("source", ""))
            is_function = ":" in source and "://" not in source and not source.startswith(_OWN_SOURCES)
            yield from (f"code of its own ({name})" for name in ([task] * (":" in task) + [source] * is_function))
    rank_by = data.get("rank_by")
    named = [*(data.get("metrics") or ()), *(rank_by if isinstance(rank_by, Mapping) else [rank_by])]
    yield from (f"code of its own ({name})" for name in named if isinstance(name, str) and ":" in name)
