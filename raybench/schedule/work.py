"""The vocabulary of the schedule: pieces of work, events that happened, actions to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raybench.core import Shard, Status
from raybench.schedule.retry import Failure

__all__ = [
    "Action",
    "ActorReady",
    "Draining",
    "Event",
    "Failed",
    "Featured",
    "Features",
    "Finish",
    "Fit",
    "Fitted",
    "Lost",
    "Missed",
    "Missing",
    "Part",
    "Prepare",
    "Prepared",
    "Release",
    "Scored",
    "Send",
    "StartActor",
    "StopActor",
    "TrialWork",
    "Work",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Tokenise a dataset's rows and plan their batches."""

    data_key: str

    @property
    def makes(self) -> tuple[str, ...]:
        """The keys of the artefacts that it makes, or makes a part of."""
        return (self.data_key,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Forward batches [start, stop) of a split through a frozen network, once for all trials that want them.

    `group` names the network and the split; every actor then has them from where they were computed.
    """

    group: str
    start: int
    stop: int

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Prepare.makes`."""
        return (self.group,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Fit trials that share their work, on one actor; the key of a checkpoint is the id of the trial that is fitted.

    Trials on other test rows of the same training rows read it too (`TrialWork.checkpoint`).
    """

    trial_ids: tuple[str, ...]

    @property
    def makes(self) -> tuple[str, ...]:
        """See `Prepare.makes`."""
        return self.trial_ids


Work = Prepare | Features | Fit | Shard  # a Shard is the work of scoring it
Part = Prepare | Features | Fit  # of an artefact: the work that makes it, for a checkpoint the fit of its trial alone


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialWork:
    """What the schedule must know of a trial."""

    trial_id: str
    data_key: str
    needs_fit: bool
    bundle: str  # trials of one bundle are fitted together
    cost: float = 0.0  # predicted, in any unit: of fitting and of scoring
    rank: int | None = None  # where time may run out: lower ones are fitted and scored first, whatever they cost
    fit_steps: tuple[tuple[str, float], ...] = ()  # the fit's part of it, step by step; equal keys are done once
    train_features: str | None = None  # the group of features that fitting it reads
    test_features: str | None = None  # and scoring it
    fit_id: str = ""  # the trial whose fit it is scored by, where that is another: one on the same training rows
    fit_data_key: str = ""  # and the rows that it is fitted on
    features_ahead: bool = True  # those of all test rows are computed before it is scored, else those of each shard
    raced: bool = False  # it is scored a round at a time, the next one when it is opened

    @property
    def is_head(self) -> bool:
        """Whether all that its fit shares with others are features, which every actor has."""
        return self.train_features is not None and self.test_features is not None

    @property
    def features_to_score(self) -> str | None:
        """The group of features of test rows that must be there before it is scored."""
        return self.test_features if self.features_ahead else None

    @property
    def checkpoint(self) -> str:
        """The key of the checkpoint that it is scored by: the id of the trial that is fitted."""
        return self.fit_id or self.trial_id

    @property
    def fit_rows(self) -> str:
        """The key of the rows that this trial is fitted on."""
        return self.fit_data_key or self.data_key

    @property
    def fit_reads(self) -> tuple[str, ...]:
        """The keys of what must be there for its fit: rows, and features of its training rows."""
        return (self.fit_rows, *filter(None, [self.train_features]))

    @property
    def score_reads(self) -> tuple[str, ...]:
        """The keys of what must be there to score it: rows, its checkpoint, and features of its test rows."""
        return (self.data_key, self.checkpoint, *filter(None, [self.features_to_score]))


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorReady:
    """An actor has started."""

    actor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A dataset's rows are ready and make so many batches."""

    actor: int
    data_key: str
    num_batches: int  # of the test split
    num_train_batches: int = 0
    plan: str = ""  # the digest of the batch plan
    rounds: tuple[int, ...] = ()  # with how many batches each round of test rows ends; none: there is one
    scored: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)  # trial → ranges found in the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Featured:
    """A part of some features is there."""

    actor: int
    work: Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fit returned; trials in `failures` did not fit, the others did; `metas` is the JSON beside their arrays."""

    actor: int
    work: Fit
    failures: Mapping[str, Failure] = field(default_factory=dict)
    metas: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A shard's state and records are in."""

    actor: int
    shard: Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A call raised; its actor lives on, unless `failure.poisons_actor`."""

    actor: int
    work: Work
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a call answers that could not read what it needs: it was held on a node that is gone, or removed."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A piece of work could not be done for want of these parts."""

    actor: int
    work: Work
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An actor is gone with all that was in flight on it."""

    actor: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """An actor's node is about to go: what it has it may end, new work it gets none."""

    actor: int


Event = ActorReady | Draining | Prepared | Featured | Fitted | Scored | Failed | Missed | Lost


# Actions


@dataclass(frozen=True, slots=True, kw_only=True)
class StartActor:
    """Start a fresh actor under this number, not before `delay_seconds` from now."""

    actor: int
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopActor:
    """End an actor; nothing more is expected of it."""

    actor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Give an actor a piece of work; `reads` are the keys of the artefacts it needs, all of which are there."""

    actor: int
    work: Work
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """A trial has ended."""

    trial_id: str
    status: Status
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Let go of rows and features that nobody reads any more; a checkpoint goes once its trial's row is written."""

    keys: tuple[str, ...]


Action = StartActor | StopActor | Send | Finish | Release
