"""What a run would do: its trials, shards and bundles, and what is already done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raybench.core import Status
from raybench.core.errors import RaybenchError, summary
from raybench.core.remembered import keep, recall
from raybench.core.stamps import installed_stamp
from raybench.data.batches import batch_tokens
from raybench.job import Job
from raybench.planning.estimate import Rows
from raybench.planning.plan import Plan, PlannedTrial, make_plan
from raybench.planning.resume import Found, look_up
from raybench.report.calibration import this_machine
from raybench.report.output import output_console
from raybench.results.halving import unfold_stored
from raybench.runtime.prepare import prepare_data
from raybench.schedule.shards import remaining_shards
from raybench.store import Store
from raybench.store.skipped import warn_skipped
from raybench.tasks.catalog import task_of

__all__ = ["Planned", "print_plan"]


class Planned(NamedTuple):
    """What was found out for the table: the plan, what of it is done, and how its rows look to models."""

    plan: Plan
    found: Found
    rows: Mapping[str, Rows]


def print_plan(job: Job, console: Console | None = None) -> Planned:
    """A line a candidate configuration and dataset, then the totals; rows are tokenised to count their batches."""
    console = console or output_console()
    plan, store = make_plan(job), Store.open(job.store)
    if plan.halvings:
        plan = unfold_stored(plan, store, warn_skipped).unfolded.todo
    found = look_up(plan, store, warn_skipped)
    batches: dict[str, tuple[Rows, str]] = {}
    unreadable: dict[str, str] = {}
    tokens = batch_tokens(job.resources.batch_tokens, this_machine(job.resources).device)
    for key in {one.work.data_key: None for one in plan.trials if one.work.data_key in plan.data}:
        try:
            batches[key] = _batches(plan, key, tokens)
        except (
            Exception,
            SystemExit,
        ) as error:  # of a candidate's: the others are planned
            of_model = f"model {plan.data[key].model.reference!r}: {summary(error)}"
            unreadable[key] = str(error) if isinstance(error, RaybenchError) else of_model
    table = Table(title=f"run {plan.run_id}", title_justify="left", box=None, pad_edge=False)
    for name in ("trial", "candidate", "dataset", "seed", "bundle", "batches", "shards left", "state"):
        table.add_column(name, justify="right" if name in ("seed", "batches", "shards left") else "left")
    sizes = Counter(planned.work.bundle for planned in plan.trials if planned.problem is None)
    shards_left = 0
    states: Counter[str] = Counter()
    problems = []
    for planned in plan.trials:
        trial = planned.trial
        state, left = "", 0
        if planned.problem is not None:
            state = str(planned.problem.status)
            problems.append(f"{trial.candidate} on {trial.dataset.name}: {planned.problem.reason}")
        elif planned.work.data_key in unreadable:
            state = str(Status.FAILED)
            problems.append(f"{trial.candidate} on {trial.dataset.name}: {unreadable[planned.work.data_key]}")
        elif trial.trial_id in found.rows:
            state = f"done ({found.rows[trial.trial_id].status})"
        else:
            rows, digest = batches[planned.work.data_key]
            state, left = _left(plan, found, planned, rows.num_batches, digest)
        states[state] += 1
        shards_left += left
        cells = [
            trial.trial_id[:8],
            trial.candidate,
            trial.dataset.name,
            str(trial.seed),
            planned.work.bundle[:8] if sizes[planned.work.bundle] > 1 else "",
            str(batches[planned.work.data_key][0].num_batches) if planned.work.data_key in batches else "",
            str(left or ""),
            state,
        ]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for problem in dict.fromkeys(problems):
        console.print(problem, markup=False, soft_wrap=True)
    for note in plan.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    shared = sum(1 for size in sizes.values() if size > 1)
    missing = [planned.work for planned in plan.trials if planned.trial.trial_id not in found.rows]
    reads = Counter(group for work in missing for group in (work.train_features, work.test_features) if group)
    features = f"; frozen features: {len(reads)} computed for {reads.total()} reads" if reads else ""
    total = f"{len(plan.trials)} trials ({counts}); {shards_left} shards to score; {shared} bundles of several fits"
    console.print(total + features, soft_wrap=True)
    return Planned(plan, found, {key: rows for key, (rows, _) in batches.items()})


def _batches(plan: Plan, data_key: str, tokens: int) -> tuple[Rows, str]:
    """The batches that the test split makes, and the digest of their plan; of a task of ours found out once."""
    needs, installed = plan.data[data_key], installed_stamp()
    key = None if installed is None or ":" in needs.dataset.task else [installed, data_key, tokens]
    if key is not None and (known := recall("batches", key)) is not None:
        *sizes, digest = known
        return Rows(*sizes), digest
    rows = {"test": plan.datasets[needs.dataset.name].loaded.splits["test"]}
    prepared = prepare_data(
        task_of(needs.dataset), rows, needs.model, needs.dataset, tokens=tokens, draw_seed=needs.draw_seed
    )
    batches = Rows(prepared.plan.num_batches, *prepared.sizes)
    if key is not None:
        keep("batches", key, [*batches, prepared.digest])
    return batches, prepared.digest


def _left(plan: Plan, found: Found, planned: PlannedTrial, num_batches: int, digest: str) -> tuple[str, int]:
    trial_id = planned.trial.trial_id
    measures = plan.datasets[planned.trial.dataset.name].measures
    scored = [(commit.start, commit.stop) for commit in found.usable(planned, digest, measures)]
    left = len(remaining_shards(trial_id, num_batches, scored, plan.job.resources.shard_batches))
    if scored:
        return "partly scored", left
    return ("fitted" if planned.work.checkpoint in found.fitted else "new"), left
