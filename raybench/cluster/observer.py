"""What a driver tells of a run; this observer keeps silent, a display overrides what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from raybench.core.training_step import TrainingStep
from raybench.schedule.work import Work
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

__all__ = ["AtWork", "Observer"]


class AtWork(NamedTuple):
    """An actor, the piece of work it is at, and how far a fit said it had got."""

    actor: int
    work: Work
    said: TrainingStep | None


class Observer:
    """Told of every commit and every end."""

    def batches_planned(self, data_key: str, num_batches: int) -> None:
        """The test split of the trials with this data key makes so many batches."""

    def found_scored(self, trial_id: str, num_batches: int) -> None:
        """So many batches of the trial were scored by earlier runs."""

    def shard_scored(self, commit: ShardCommit) -> None:
        """A shard was committed."""

    def trial_ended(self, row: TrialRow) -> None:
        """A trial has its status."""

    def actor_lost(self, actor: int, reason: str) -> None:
        """An actor died or was killed; its work is given to others."""

    def reached(self, moment: str, at: float) -> None:
        """In seconds since 1970: an "actor" is ready, a "fit" or a "step" of training begins, for the first time."""

    def note(self, line: str) -> None:
        """Something a user should know, such as fewer actors than were asked for."""

    def tick(self, at_work: Sequence[AtWork]) -> None:
        """Called about once a second, with what the actors are at."""
