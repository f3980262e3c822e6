"""What a job may use and what that costs: workers, time, money, and what need not be scored or fitted to its end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from raybench.job.short_forms import auto_or, read_rungs
from raybench.job.spec_base import Count, Name, Spec

__all__ = ["BudgetSpec", "HalvingSpec", "PriceSpec", "RaceSpec", "Resources"]


class Resources(Spec):
    """What the job may use; nothing here is new work when it changes.

    The kind of device and its threads (`cpus_per_actor`) shape the last bits of training all the same: every trial
    says what it was fitted and scored with, and a table that mixes them says so.
    """

    actors: Annotated[
        int | Literal["auto"],
        auto_or(int, 1, "a whole number from 1"),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
    ] = Field(default="auto", description="workers; auto: as many as the cluster holds")
    cpus_per_actor: Count = Field(default=1, description="CPUs and torch threads of a worker; they shape last digits")
    gpus_per_actor: Annotated[
        float | Literal["auto"],
        auto_or(float, 0, "a number from 0 to 1: a worker computes on one GPU, more are for more workers", maximum=1),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "minimum": 0, "maximum": 1}]}),
    ] = Field(
        default="auto",
        description="1, a fraction of one that is shared, or 0; auto: 1 where there are any",
    )
    batch_tokens: Annotated[
        int | Literal["auto"],
        auto_or(int, 64, "a whole number from 64"),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 64}]}),
    ] = Field(
        default="auto",
        description="padded tokens scored at once; auto: 4,096 on a CPU, 32,768 on a GPU (fewer take less memory)",
    )
    shard_batches: Count = Field(
        default=4, description="batches of a shard, what is scored, retried and kept at once; at least a 1,024th of all"
    )
    hang_seconds: float = Field(
        default=600.0, gt=0, allow_inf_nan=False, description="a call that is silent for so long is given up"
    )
    trial_timeout_minutes: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="a trial that takes longer is stopped"
    )
    checkpoint_seconds: float = Field(
        default=30.0, ge=0, allow_inf_nan=False, description="at most so often a fit writes where it is, at epochs"
    )

    placement_timeout_minutes: float = Field(
        default=10.0, gt=0, description="how long to wait for a first actor; longer where a cluster must grow"
    )


class BudgetSpec(Spec):
    """How long a run may take; what it has not done then the next one does."""

    hours: float = Field(gt=0, allow_inf_nan=False, description="by the clock, from the command to its last trial")


class PriceSpec(Spec):
    """What an hour costs; for `plan`, which adds up what an actor has."""

    actor: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="of an actor, whatever it has")
    cpu: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="of each of its CPUs")
    gpu: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="of each of its GPUs")
    currency: Name = Field(default="USD", description="shown beside the sum")


class RaceSpec(Spec):
    """What is surely not among the best by the first examples of a random draw is not scored to the end."""

    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="the probability with which one of the best may be lost"
    )
    keep: Count = Field(default=1, description="how many of the best are scored to the end")


class HalvingSpec(Spec):
    """Of a candidate's configurations the best by validation rows are fitted on, the others not to their end."""

    eta: Annotated[int, Field(ge=2)] = Field(default=3, description="of so many configurations one goes on at a rung")
    rungs: Annotated[
        tuple[Count, ...] | Literal["auto"],
        BeforeValidator(read_rungs),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "array", "items": {"type": "integer", "minimum": 1}}]}),
    ] = Field(default="auto", description="after how many epochs; auto: a fit's epochs divided by eta again and again")
