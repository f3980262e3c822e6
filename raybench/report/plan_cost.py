"""What a plan costs, in lines: hours of work, when it ends, memory and what does not fit, money."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from raybench.cluster.placement import Node, plan_actors
from raybench.core import ModelSpec
from raybench.core.errors import RaybenchError
from raybench.job import Resources
from raybench.planning.estimate import Estimate
from raybench.planning.plan import Plan
from raybench.planning.rates import Rates
from raybench.report.calibration import Machine, count_gpus
from raybench.report.numbers import count, duration
from raybench.runtime.training.device import CONTEXT_BYTES
from raybench.schedule.simulate import Simulated

__all__ = ["actors_of", "bfloat16_lines", "cost_lines", "hours", "idle_lines", "packing_lines", "price_line"]

_95 = 1.96  # standard deviations on either side
_MOST_NAMED = 3
_LEAST_IDLE, _LEAST_IDLE_SECONDS = 0.15, 60.0  # of the actors' time: below that nobody need know
_LEAST_GAIN = 1.25  # of bfloat16
_PACKED = 0.9  # of a GPU's memory, where several trials share it


def actors_of(resources: Resources, machine: Machine, num_cpus: int, num_gpus: int) -> int:
    """How many actors the job would have; those of this machine where it leaves the number open.

    A machine without a GPU counts as one with one where the job asks for some: it plans for a cluster.
    """
    if resources.actors != "auto":
        return resources.actors
    try:
        node = Node(cpus=num_cpus, gpus=max(1, num_gpus))
        return plan_actors(resources.model_copy(update={"gpus_per_actor": machine.gpus_per_actor}), [node]).num_actors
    except RaybenchError:
        return 1


def cost_lines(plan: Plan, estimate: Estimate, run: Simulated, machine: Machine, now: datetime) -> list[str]:
    """`run` is how the queue goes with the estimate's seconds."""
    prices = plan.job.prices
    work, ends = estimate.work_seconds, run.makespan - estimate.pace.start
    low, high = math.exp(-_95 * estimate.error), math.exp(_95 * estimate.error)
    actors = f"{run.num_actors} actor{'s' * (run.num_actors != 1)}"
    unit, each = ("GPU", machine.gpus_per_actor) if machine.gpus_per_actor else ("CPU", float(machine.threads))
    start = estimate.pace.start
    at = now + timedelta(seconds=start + ends)
    when = f"{at:%H:%M}" if at.date() == now.date() else f"{at:%A %H:%M}"
    lines = [
        f"cost: {hours(work * each)} {unit}-hours of work "
        f"(95 %: {hours(work * each * low)} – {hours(work * each * high)})",
        f"ends: in {duration(start + ends)} on {actors} "
        f"(95 %: {duration(start + ends * low)} – {duration(start + ends * high)}), at {when}",
    ]
    if plan.job.budget is not None:
        limit = plan.job.budget.hours * 3600
        within = sum(when <= limit for when in run.ended_at.values())
        rest = "" if within == len(run.ended_at) else "; the others end as stopped, and the next run does them"
        lines.append(f"budget: {duration(limit)}: {within} of {len(run.ended_at)} trials end within it{rest}")
    if prices is not None:
        lines.append(price_line(plan, run.makespan, run.num_actors, machine, low, high))
    if plan.races:
        lines.append("race: reckoned as if nobody was stopped; it may cost less")
    if plan.halvings:
        lines.append("halving: reckoned with as many configurations a rung as there will be, its rungs side by side")
    names = {one.trial.trial_id: f"{one.trial.candidate} on {one.trial.dataset.name}" for one in plan.trials}
    lines += idle_lines(run, ends, names)
    lines += _memory_lines(plan, estimate, machine, run.num_actors, names)
    lines += packing_lines(estimate.memory.values(), machine, os.cpu_count() or 1, count_gpus() or 1)
    lines += bfloat16_lines((one.trial.model for one in plan.trials if one.problem is None), machine.rates)
    lines.append(_origin(estimate, machine))
    return lines


def idle_lines(run: Simulated, seconds: float, names: Mapping[str, str]) -> list[str]:
    """How long actors will have nothing to do in `seconds` of work, if that is worth a line: a fit is not divided."""
    idle = run.num_actors * seconds - run.busy_seconds
    share = idle / (run.num_actors * seconds) if seconds > 0 else 0.0
    if share < _LEAST_IDLE or idle < _LEAST_IDLE_SECONDS or not run.ended_at:
        return []
    last = names.get(max(run.ended_at, key=lambda trial_id: run.ended_at[trial_id]), "the last trial")
    return [
        f"idle: {share:.0%} of the actors' time ({duration(idle)}); {last} ends last; "
        f"fewer actors with more cpus_per_actor would use it, or another seed fill it"
    ]


def bfloat16_lines(models: Iterable[ModelSpec], rates: Rates) -> list[str]:
    """That the processor is quicker in bfloat16, where it was measured to be and a network computes in float32."""
    forward, train = rates.bfloat16_gain()
    networks = (one for one in models if one.baseline is None and one.images is None and one.pooling != "static")
    if max(forward, train) < _LEAST_GAIN or all(one.dtype != "float32" for one in networks):
        return []
    return [
        f"bfloat16: this processor scores {forward:.1f} × and trains {train:.1f} × as fast in it: `dtype: bfloat16` "
        f"of a candidate, `precision: bfloat16` of its method; the digits differ a little, so these are other trials"
    ]


def packing_lines(memory: Collection[float], machine: Machine, num_cpus: int, num_gpus: int) -> list[str]:
    """That several trials of these sizes fit on one GPU side by side, where actors would have one each.

    All GPUs share the CPUs and the trials: more actors than either would bring nothing.
    """
    if machine.gpus_per_actor != 1 or not memory:
        return []
    fitting = int(_PACKED * machine.rates.device_bytes / (max(memory) + CONTEXT_BYTES))
    side_by_side = min(fitting, num_cpus // machine.threads // num_gpus, math.ceil(len(memory) / num_gpus))
    if side_by_side < 2:
        return []
    part = math.floor(1000 / side_by_side) / 1000
    return [
        f"packing: {side_by_side} such trials fit on a GPU side by side: `gpus_per_actor: {part:g}` has that many "
        f"actors share it, each within its part of the memory"
    ]


def price_line(
    plan: Plan, seconds: float, num_actors: int, machine: Machine, low: float = 1.0, high: float = 1.0
) -> str:
    """Actors are paid for until the last one has ended."""
    prices = plan.job.prices
    assert prices is not None
    per_hour = prices.actor + prices.cpu * machine.threads + prices.gpu * machine.gpus_per_actor
    price = per_hour * num_actors * seconds / 3600
    between = "" if low == high else f" (95 %: {price * low:.2f} – {price * high:.2f})"
    return f"price: {price:.2f} {prices.currency}{between}: {per_hour:g} an hour and actor until the last has ended"


def _memory_lines(
    plan: Plan, estimate: Estimate, machine: Machine, num_actors: int, names: Mapping[str, str]
) -> list[str]:
    if not estimate.memory:
        return []
    largest = max(estimate.memory, key=lambda trial_id: estimate.memory[trial_id])
    needed = estimate.memory[largest]
    where = "a GPU" if machine.gpus_per_actor else "an actor"
    lines = [f"memory: at most {count(round(needed))}B {where} ({names.get(largest, 'a trial')})"]
    there = machine.rates.device_bytes
    if machine.gpus_per_actor:
        there = round(there * min(1.0, machine.gpus_per_actor))
    elif plan.job.resources.actors == "auto":
        there //= num_actors
    too_large = {
        names[trial_id] for trial_id, size in estimate.memory.items() if size > there > 0 and trial_id in names
    }
    if too_large:
        named = ", ".join(sorted(too_large)[:_MOST_NAMED])
        more = f" and {len(too_large) - _MOST_NAMED} more" if len(too_large) > _MOST_NAMED else ""
        lines.append(f"does not fit: {named}{more}: {where} has {count(there)}B")
    return lines


def _origin(estimate: Estimate, machine: Machine) -> str:
    rates = "rates measured on this machine" if machine.is_measured else "rates guessed (--calibrate measures them)"
    seen = f", corrected by {estimate.num_seen} trials of the store" if estimate.num_seen else ""
    return f"from: {rates}{seen}"


def hours(seconds: float) -> str:
    """`0.02`, `3.4`, `1,230`."""
    value = seconds / 3600
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"
