"""`raybench plan`: the table, what it costs, and what other machines would make of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from raybench.job import Job
from raybench.planning.budget import by_value
from raybench.planning.estimate import Known, foretell
from raybench.planning.halvings import expected
from raybench.planning.plan import Plan
from raybench.planning.resume import Found
from raybench.report.calibration import calibrate, count_gpus, this_machine
from raybench.report.output import output_console
from raybench.report.plan_cost import actors_of, cost_lines
from raybench.report.plan_table import print_plan
from raybench.report.simulation_text import Circumstances, simulation_lines
from raybench.schedule.simulate import simulate
from raybench.schedule.work import TrialWork

__all__ = ["plan_command"]


def plan_command(job: Job, *, measure: bool = False, circumstances: str | None = None) -> None:
    """Print them; with `measure` the machine is measured first, with `circumstances` the queue is simulated in them."""
    console = output_console()
    wanted = Circumstances.read(circumstances) if circumstances is not None else None
    machine = calibrate(job.resources, console) if measure else this_machine(job.resources)
    plan, found, rows = print_plan(job, console)
    left = found.todo(plan)
    later = expected(plan)
    plan = replace(plan, trials=(*plan.trials, *later))
    todo = [*left, *(one.work for one in later), *_chosen_later(plan, found)]
    repeated = {one.trial.trial_id for one in plan.later}  # their rows count epochs of the rungs before, too
    known = Known(
        rows=rows,
        rates=machine.rates,
        is_measured=machine.is_measured,
        past=[row for row in found.past if row.trial_id not in repeated],
        threads=machine.threads,
        device=machine.device,
    )
    estimate = foretell(plan, todo, known)
    works = [work for work in todo if work.trial_id in estimate.trials]
    if job.budget is not None:
        works = by_value((*plan.trials, *plan.offered), works, found.rows.keys())
    if not works:
        return
    shard_batches = job.resources.shard_batches
    num_actors = actors_of(job.resources, machine, os.cpu_count() or 1, count_gpus())
    run = simulate(works, estimate.pace, num_actors=num_actors, shard_batches=shard_batches)
    lines = cost_lines(plan, estimate, run, machine, datetime.now())
    if wanted is not None:
        lines += simulation_lines(wanted, plan, works, estimate.pace, machine)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _chosen_later(plan: Plan, found: Found) -> Sequence[TrialWork]:
    """Of trials that depend on a choice, those of the first configuration in place of the one that will be chosen."""
    first: dict[tuple[str, str], str] = {}
    works = []
    for one in plan.offered:
        key = (one.trial.candidate, one.trial.dataset.name)
        settings = repr(sorted(one.trial.hyperparameters.items()))
        is_first = first.setdefault(key, settings) == settings
        if is_first and one.problem is None and one.trial.trial_id not in found.rows:
            works.append(one.work)
    return works
