"""`raybench plan --simulate "gpus=1000, preempt=2%/h"`: a run under other circumstances, in lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raybench.core.errors import JobError
from raybench.core.suggestion import did_you_mean
from raybench.planning.plan import Plan
from raybench.report.calibration import Machine
from raybench.report.numbers import duration
from raybench.report.plan_cost import hours, price_line
from raybench.schedule.pace import Pace, lower_bound
from raybench.schedule.simulate import simulate
from raybench.schedule.work import TrialWork

__all__ = ["Circumstances", "simulation_lines"]

_EXAMPLE = "such as gpus=1000, preempt=2%/h, speed=40"
_FORMS = {
    "gpus": r"(\d*\.?\d+)",
    "actors": r"(\d+)",
    "preempt": r"(\d*\.?\d+)\s*%\s*/\s*h",
    "again": r"(\d*\.?\d+)\s*s",
    "speed": r"(\d*\.?\d+)",
    "seed": r"(\d+)",
}
_WANTED = {"preempt": "a share of the actors an hour, such as 2%/h", "again": "seconds, such as 120s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """`gpus` or `actors` there are, how fast each is beside an actor here, and how nodes are taken away."""

    gpus: float | None = None
    actors: int | None = None
    preempt: float = 0.0  # share of the actors an hour
    again: float = 120.0  # seconds until another node is there
    speed: float = 1.0
    seed: int = 0

    @classmethod
    def read(cls, text: str) -> Circumstances:
        """JobError for what says nothing of this."""
        found: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in _FORMS:
                raise JobError(f"--simulate {part}: no such word{did_you_mean(name, _FORMS)}; {_EXAMPLE}")
            match = re.fullmatch(_FORMS[name], value)
            if not equals or match is None:
                raise JobError(f"--simulate {part}: want {_WANTED.get(name, 'a number')}; {_EXAMPLE}")
            found[name] = float(match[1])
        if len({"gpus", "actors"} & found.keys()) != 1:
            raise JobError(f"--simulate {text}: want gpus= or actors=, {_EXAMPLE}")
        for name in ("gpus", "actors", "speed"):
            if found.get(name) == 0:
                raise JobError(f"--simulate {name}=0: want more than 0")
        return cls(
            gpus=found.get("gpus"),
            actors=int(found["actors"]) if "actors" in found else None,
            preempt=found.get("preempt", 0.0) / 100,
            again=found.get("again", 120.0),
            speed=found.get("speed", 1.0),
            seed=int(found.get("seed", 0)),
        )

    def num_actors(self, gpus_per_actor: float) -> int:
        """An actor has a GPU where the job does not say otherwise."""
        return self.actors or max(1, int((self.gpus or 1) / (gpus_per_actor or 1.0) + 1e-9))


def simulation_lines(
    wanted: Circumstances, plan: Plan, works: Sequence[TrialWork], pace: Pace, machine: Machine
) -> list[str]:
    """Makespan, utilisation and what is done for nothing."""
    num_actors, shard_batches = wanted.num_actors(machine.gpus_per_actor), plan.job.resources.shard_batches
    pace = faster(pace, wanted.speed)
    run = simulate(
        works,
        pace,
        num_actors=num_actors,
        shard_batches=shard_batches,
        preempted_per_hour=wanted.preempt,
        again_seconds=wanted.again,
        checkpoint_seconds=plan.job.resources.checkpoint_seconds,
        seed=wanted.seed,
    )
    least = lower_bound(works, pace, num_actors=num_actors, shard_batches=shard_batches)
    lost = run.lost_seconds / (run.lost_seconds + run.busy_seconds)
    lines = [
        f"simulated: {num_actors:,} actors, each {wanted.speed:g} times as fast as one here: ends in "
        f"{duration(run.makespan)}, {run.makespan / least:.2f} times the least that any order could reach",
        f"  {100 * run.utilisation:.0f} % of the actors' time is work that counts; {run.num_preempted:,} actors are "
        f"taken away, which costs {hours(run.lost_seconds)} hours of work, {100 * lost:.1f} % of it",
    ]
    return lines + ([f"  {price_line(plan, run.makespan, num_actors, machine)}"] if plan.job.prices else [])


def faster(pace: Pace, speed: float) -> Pace:
    """What is computed goes so many times as fast; starting and opening do not."""
    features, steps, score = (
        {key: seconds / speed for key, seconds in of.items()} for of in (pace.features, pace.steps, pace.score)
    )
    return replace(pace, features=features, steps=steps, score=score)
