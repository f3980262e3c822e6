"""The words of raybench as frozen dataclasses; this module imports nothing of ours and nothing heavy.

A `Trial` is candidate × dataset × method × hyperparameters × seed; it is scored in `Shard`s, runs of whole
batches of a plan that is fixed before anything starts; it ends in one `Status` and many `Score`s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Column", "DatasetKey", "ModelSpec", "Score", "Shard", "Status", "Trial", "slice_column"]


class Status(StrEnum):
    """How a trial ended: exactly one, never blank."""

    OK = "ok"
    FAILED = "failed"
    OOM = "oom"
    NAN = "nan"
    TIMEOUT = "timeout"
    INCOMPATIBLE = "incompatible"
    STOPPED = "stopped"
    PREEMPTED = "preempted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric's value over `n` examples with a 95 % interval; an undefined value is None with a reason."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    reason: str | None = None
    per_class: Mapping[str, Score] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """Three times as fast as what dataclasses bring: a trial has dozens of scores, and all go to the driver."""
        return _score, (self.value, self.low, self.high, self.n, self.reason, self.per_class)


def _score(
    value: float | None,
    low: float | None,
    high: float | None,
    n: int,
    reason: str | None,
    per_class: Mapping[str, Score],
) -> Score:
    return Score(value=value, low=low, high=high, n=n, reason=reason, per_class=per_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What is opened: a reference and all that changes what comes out of it.

    `reference` is a hub id, a local directory, `pkg:<import name>/<path>` inside an installed package,
    `arch:<transformers model type>` (an architecture without weights), `baseline:<name>`, or `images:` and a folder, a
    glob of files or the `module:attribute` that makes pictures.
    """

    reference: str
    revision: str | None = None
    init: str = "pretrained"  # or "scratch": the architecture with random weights
    num_layers: int | None = None  # keep the first k layers
    tokenizer: str | None = None  # where the tokenizer is, when not with the model
    tokenizer_revision: str | None = None  # of a tokenizer from the hub, once it is resolved
    config: Mapping[str, Any] = field(default_factory=dict)  # overrides of the model's configuration
    pooling: str = "auto"  # auto, mean, cls, max, last, static
    dtype: str = "float32"  # or bfloat16, float16, int8 (dynamic quantisation, scoring alone)
    compile: bool = False  # torch.compile the network for scoring
    instruction: str = ""  # put before every text
    allow_pickle: bool = False

    @property
    def baseline(self) -> str | None:
        """The baseline's name, or None for a model."""
        return self.reference.removeprefix("baseline:") if self.reference.startswith("baseline:") else None

    @property
    def images(self) -> str | None:
        """Where pictures that someone has made are, or what makes them; None for a model."""
        return self.reference.removeprefix("images:") if self.reference.startswith("images:") else None


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a task reads, under its canonical name.

    kind: what its cells are, see `raybench.data.kinds`: text, texts, label, labels, value, …; "image" (struct of
    height, width, channels and data: uint8 pixels, row by row, channels last), "mask" (the same with one channel, of
    numbers of classes), "objects" (columns of `raybench.data.objects` in its place), "audio" (bytes of a sound file) or
    "slice" (string: splits scores, no model sees it). Cells of labels become int32 indices into the dataset's labels.
    role: "input" is what a model is given, and the content that ids come from; "target" is what it is compared with;
    "group": rows are of one example where this is equal (`raybench.data.interactions`).
    fixed: what is asked hangs on its very content (a passage to quote, a text to foretell), so it is never perturbed.
    """

    name: str
    kind: str
    required: bool = True
    role: str = "input"
    fixed: bool = False

    @property
    def is_perturbed(self) -> bool:
        """Whether it may be others and mean the same."""
        return self.role == "input" and not self.fixed


def slice_column(name: str) -> str:
    """Where the values of a source's column, by which scores are split, stand in rows and records."""
    return f"slice_{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetKey:
    """What a worker must know of a dataset beside its rows."""

    name: str
    task: str
    labels: tuple[str, ...]
    fingerprint: str
    max_length: int
    task_config: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)  # of the training targets, where the task wants some
    scored: str = "test"  # the role of the rows that scores are of; "validation": they choose what is scored on test
    trained_on: str = ""  # the fingerprint of the dataset whose training rows these are, where it is another
    original: str = ""  # the name of the dataset whose test rows these are, perturbed

    @property
    def network_config(self) -> dict[str, Any]:
        """The task's options without the one that only turns scores into predictions."""
        return {name: value for name, value in self.task_config.items() if name != "threshold"}

    @property
    def training(self) -> str:
        """The fingerprint that training draws from: equal training rows of datasets that are like one, equal draws."""
        return self.trained_on or self.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate configuration on one dataset with one seed.

    `trial_id` hashes what can change the result: weights, data, task, method, hyperparameters, seed, the user's own
    code and the result-relevant code version; not the candidate's name, the number of actors or the store.
    """

    trial_id: str
    candidate: str
    model: ModelSpec
    dataset: DatasetKey
    method: str
    hyperparameters: Mapping[str, Any]
    seed: int
    weights_fingerprint: str
    code: Mapping[str, str] = field(default_factory=dict)  # task, method or baseline of the user's own → source's hash
    until: int = 0  # the epochs after which its fit ends, on the way of a longer one; 0: it is whole


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Shard:
    """Batches [start, stop) of the batch plan of a trial's test split: the unit of scoring, retry and commit."""

    trial_id: str
    start: int
    stop: int

    @property
    def num_batches(self) -> int:
        return self.stop - self.start
