"""What a report says, as frozen values: no file, no markup, no picture. Every format is made of this alone.

Names and texts stand here as they are in the data; whoever writes a format escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raybench.job.rank_by import told
from raybench.results.class_tables import Confusion
from raybench.results.curves import Curve, Reliability
from raybench.results.paired import PairTest

__all__ = [
    "Answer",
    "ByClass",
    "ClassRow",
    "Curves",
    "DatasetPart",
    "Drop",
    "Example",
    "Examples",
    "Failure",
    "Line",
    "Pairs",
    "Provenance",
    "Ranked",
    "Ranking",
    "Report",
    "SliceRow",
    "Slices",
    "Value",
    "Weighed",
    "Why",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A score with its 95 % interval; None with a reason where it has none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A configuration in a ranking; `costs` are the columns of the table that say what it takes."""

    name: str
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    p_best: float | None
    pareto: bool | None
    mean_rank: float | None
    status: str
    reason: str | None
    model: str
    method: str
    num_seeds: int
    scores: Mapping[str, Value]
    costs: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Best first. `rank_by` is what ranks; None where datasets of different metrics are taken together.

    `metrics` are those in it, the weightiest first. `higher_is_better` is of a metric that ranks alone.
    """

    rank_by: str | None
    metrics: tuple[str, ...]
    higher_is_better: bool
    rows: tuple[Ranked, ...]
    is_over_all: bool = False  # of several datasets

    @property
    def metric(self) -> str | None:
        """The metric that ranks alone."""
        return self.metrics[0] if len(self.metrics) == 1 else None

    @property
    def told(self) -> str:
        """What ranks, in words."""
        return "mean rank" if self.rank_by is None else told(self.rank_by)

    @property
    def by_mean_rank(self) -> bool:
        """Whether a mean of ranks orders it: over datasets, or over metrics."""
        return any(row.mean_rank is not None for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """`names` are the configurations compared, best first; tests name them by place. `left_out`: pairs not tested."""

    names: tuple[str, ...]
    tests: tuple[PairTest, ...]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What perturbing changed for a configuration: `change` is after − before, `p_value` after Holm."""

    name: str
    metric: str
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """Of one class: its examples, and by configuration its scores by measure."""

    label: str
    n: int
    scores: tuple[Mapping[str, Value], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ByClass:
    """Scores of classes of the best configurations, and of each a confusion matrix where an example has one class."""

    names: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    confusions: tuple[Confusion | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One a configuration, best first; None where its records have not what it needs."""

    names: tuple[str, ...]
    reliability: tuple[Reliability | None, ...]
    roc: tuple[Curve | None, ...]
    precision_recall: tuple[Curve | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """`scores` by configuration, in the order of the table's names."""

    column: str
    value: str
    n: int
    scores: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The metric that ranks on parts of the test examples, of the best configurations."""

    names: tuple[str, ...]
    rows: tuple[SliceRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A cell in pieces, each with what leaving it out takes from the score; of a picture "row 2, column 3" and so on.

    `unread`: words after them that the configuration never sees. `picture`: the cell with its pieces marked.
    """

    column: str
    pieces: tuple[tuple[str, float], ...]
    unread: int = 0
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What a configuration's answer hangs on. `of` is the class whose log-odds are the score; "": a number's own.

    `answer` is what it says now, fitted again; `is_same`: as when it was scored.
    """

    name: str
    answer: str
    of: str
    score: float
    parts: tuple[Weighed, ...]
    is_same: bool

    @property
    def largest(self) -> float:
        """The largest change by any piece, either way."""
        return max((abs(change) for part in self.parts for _, change in part.pieces), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One test example: what it holds by column, what would be right, what each configuration said and how wrong."""

    id: str
    cells: tuple[tuple[str, str], ...]  # column, text (or a picture as a data URI)
    truth: str
    answers: tuple[str, ...]
    losses: tuple[float, ...]
    whys: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Of the configurations named. `right_below`: an answer of less loss is right; None: there is only more or less.

    `reason` says why there are ids and answers only; `unexplained` what could not be said of why, a line each.
    """

    names: tuple[str, ...]
    hardest: tuple[Example, ...]
    disputed: tuple[Example, ...]
    right_below: float | None
    reason: str | None
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPart:
    """All that is said of one dataset."""

    name: str
    task: str
    num_examples: int
    num_labels: int
    ranking: Ranking
    pairs: Pairs | None
    original: str | None  # the dataset whose test rows are perturbed here
    drops: tuple[Drop, ...]
    by_class: ByClass | None
    curves: Curves | None
    slices: Slices | None
    examples: Examples | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A metric along an axis, one list of values a candidate; None where it was not measured."""

    title: str
    axis: str
    metric: str
    places: tuple[float, ...]
    values: Mapping[str, tuple[Value | None, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One cause and what it struck: "candidate on dataset"."""

    status: str
    reason: str
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A sentence on which to use, of one dataset or ("") over all, and how sure it is."""

    dataset: str
    best: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What was run, on what, and by which content."""

    run_id: str
    store: str
    written_at: str
    job: str  # the job file, without what may be a secret
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    candidates: tuple[Mapping[str, Any], ...]
    datasets: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run's report."""

    title: str
    answers: tuple[Answer, ...]
    overall: Ranking | None
    datasets: tuple[DatasetPart, ...]
    tried: Mapping[str, Ranking]  # by name of the validation rows: configurations among which they chose
    lines: tuple[Line, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    provenance: Provenance
    remarks: tuple[str, ...] = field(default=())
