"""What a metric is: a measure (what every record contributes, summed exactly) and a formula over the sums.

    ERRORS = Measure(name="errors", columns=("target", "value"), contributions=lambda records, options: {...})
    MSE = Metric(measure=ERRORS, value=lambda sums, options: ratio(sums["squared"], sums["n"]), ...)

Several metrics read one measure, so accuracy, macro-F1 and kappa cost one pass. A formula sees replicates R first
([R] or [R, K]) and serves the exact value (R = 1, Python int and Fraction) and the bootstrap (float64) alike.
What cannot be summed (ranks, detections) is a `TableMetric`: a function of all records in canonical order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.core.identity import content_hash
from raybench.metrics.exact_sum import exact_column_sums, exact_sum, split_nonfinite
from raybench.metrics.integers import as_exact
from raybench.metrics.options import check_option
from raybench.metrics.state import Cells, State, Sums

__all__ = [
    "REQUIRED",
    "Contribution",
    "Info",
    "Measure",
    "Metric",
    "OneHot",
    "OptionInfo",
    "Options",
    "TableMetric",
    "declared_options",
    "one_hot_total",
    "ratio",
    "resolve_options",
    "to_float",
    "totals_of",
]

Options = Mapping[str, Any]
REQUIRED: Any = ...  # an option without a default


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionInfo:
    """An option of a metric: its default, the value at hand, what it does and what it takes."""

    name: str
    default: Any
    required: bool
    value: Any
    meaning: str
    expected: str

    def __str__(self) -> str:
        if self.required and self.value is None:
            return f"{self.name} (found in the data by `evaluate`): {self.meaning}; {self.expected}"
        default = "" if self.required or self.value == self.default else f" (default {self.default!r})"
        return f"{self.name} = {self.value!r}{default}: {self.meaning}; {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a reader must know of a metric beside its value; printed, a paragraph of it."""

    name: str
    columns: tuple[str, ...]
    options: Mapping[str, OptionInfo]
    higher_is_better: bool | None
    unit: str
    range: tuple[float, float]
    undefined: str  # when there is no value
    interval: str  # how its 95 % interval is found
    coverage: str  # how often that held the truth where it was measured; empty: nowhere
    weights: bool  # whether it reads `weight`
    source: str

    def __str__(self) -> str:
        better = {True: "higher is better", False: "lower is better", None: "no direction"}[self.higher_is_better]
        lines = [
            f"{self.name}: {self.unit} from {self.range[0]:g} to {self.range[1]:g}, {better}",
            f"  reads     {', '.join(self.columns)}{'; weight' if self.weights else ''}",
            *[f"  option    {option}" for option in self.options.values()],
            f"  interval  {self.interval}{f'; {self.coverage}' if self.coverage else ''}",
            f"  no value  {self.undefined}",
            f"  source    {self.source}",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class OneHot:
    """One count a row (or its weight) at place `codes[n]` of `size` places; a negative code counts nowhere."""

    codes: np.ndarray
    size: int
    weights: np.ndarray | None = None


Contribution = np.ndarray | OneHot
"""Integers or floats a row, [N] (a scalar sum) or [N, K] (a vector of sums), or a OneHot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What every record contributes. The contribution `n` is 1 where the record counts and is always there."""

    name: str
    columns: tuple[str, ...] | Callable[[Options], tuple[str, ...]]
    options: Options = field(default_factory=dict)  # every option it reads, with its default or REQUIRED
    contributions: Callable[[pa.Table, Options], dict[str, Contribution]]
    signature: Callable[[Options], str] | None = None  # of the library that counts: another version does not merge
    centre: Callable[[pa.Table], pa.Table] | None = None  # shifts that change no formula, for the bootstrap
    totals: Callable[[pa.Table, Options], dict[str, Cells]] | None = None  # where a faster exact sum is known
    quantities: bool = False  # `target` and `prediction` are numbers that have a distance, not numbers of classes
    reads: Mapping[str, str] = field(default_factory=dict)  # a contribution's column, where the two differ in name
    weights: bool = False  # whether a weight a record has a meaning

    def state(self, records: pa.Table, options: Options) -> State:
        """The exact sums over `records`."""
        if self.totals is not None:
            fields = self.totals(records, options)
        else:
            fields = totals_of(self.contributions(records, options))
        return State(measure=self.name, config=self.config(options), fields=fields)

    def config(self, options: Options) -> str:
        """What must agree before two states are merged."""
        read = {name: _plain(options[name]) for name in self.options}
        return content_hash([read, self.signature(options)] if self.signature is not None else read)


Ends = tuple[float, float] | None
UnitTables = Mapping[str, np.ndarray]  # the sums of each unit that is drawn together, by contribution, [U, K]
Interval = Literal["influence", "wilson", "cells", "mean"]
"""How a 95 % interval is found: from the influence of each record on the value, Wilson's for a proportion, draws of
confusion cells, or that of a mean (`mean_of`) with its skewness taken out, carried through the formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A formula over the sums of a measure."""

    measure: Measure
    value: Callable[[Sums, Options], np.ndarray]  # [R]; NaN is undefined
    per_class: Callable[[Sums, Options], tuple[np.ndarray, np.ndarray]] | None = None  # values [R, C], counts [R, C]
    class_proportion: bool = False  # the value of a class is a proportion of its count
    macro: bool = False  # the value is the mean of those of the classes
    classes: Callable[[Options], Sequence[str]] = lambda options: options["labels"]
    proportion: Callable[[Sums, Options], tuple[np.ndarray, np.ndarray]] | None = None  # successes, trials
    trial_each: bool = False  # every record that counts, whatever a model says of it, is one trial of the proportion
    interval: Interval = "influence"
    mean_of: tuple[str, str] = ("x", "n")  # of which sum over which the value is a growing function, if it is of a mean
    ends: Callable[[Sums, Options, UnitTables | None], Ends] | None = None  # where it has an interval of its own
    whole: float | None = None  # what wholly wrong records score, where the range has no end there
    influence: Callable[[pa.Table, Options], np.ndarray] | None = None  # d value / d weight of each record [N]
    bias: Callable[[Sums, Options], float] | None = None  # by how much the value is too large; the interval is not
    options: Options = field(default_factory=dict)  # options of the formula, beside the measure's
    check: Callable[[Options], Any] = lambda options: None  # raises MetricError for options that give no value
    parameter: str | None = None  # the option that a number in the name sets: top_5_accuracy is top_k = 5
    higher_is_better: bool | None
    unit: str = "fraction"
    range: tuple[float, float] = (0.0, 1.0)
    source: str | Callable[[Options], str]
    undefined: str = "the records leave it undefined"
    undefined_class: str = "not defined for this class"

    @property
    def of_counts(self) -> bool:
        """Whether its score follows from the sums alone, records apart, and these are counts."""
        told = self.ends is None and self.interval in ("cells", "wilson")
        return told and (self.per_class is None or self.interval == "cells" or self.class_proportion)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMetric:
    """A function of all records, sorted by id. `measure` is what several metrics read, and is called once for them.

    `influence` gives d value / d weight of each record [N]; without it 20 groups are left out in turn. `part` measures
    some of the records (a mask) anew from what was measured of all, where that is cheaper.
    """

    columns: tuple[str, ...] | Callable[[Options], tuple[str, ...]]
    measure: Callable[[pa.Table, Options], Any]
    value: Callable[[Any, Options], float] = lambda measured, options: measured
    influence: Callable[[pa.Table, Options], np.ndarray] | None = None
    part: Callable[[Any, np.ndarray], Any] | None = None
    count: Callable[[pa.Table, Options], int] = lambda records, options: records.num_rows
    # the variance of a value, where a handful of records shows too little of it
    moderated: Callable[[pa.Table, Options, float, float], float] | None = None
    # each record's share in the difference of two models' values [N], where that is a sum of shares, and stays one with
    # other signs when the models exchange records
    exchanged: Callable[[pa.Table, pa.Table, Options], np.ndarray] | None = None
    bias: Callable[[pa.Table, Options], float] | None = None  # by how much the value is too large; the interval is not
    trials: Callable[[pa.Table, Options], int] | None = None  # what a perfect value rests upon, if not on all records
    problem: Callable[[pa.Table, Options], str | None] = lambda records, options: None  # why it has no value, if so
    options: Options = field(default_factory=dict)
    quantities: bool = False
    check: Callable[[Options], Any] = lambda options: None
    parameter: str | None = None
    higher_is_better: bool | None
    unit: str = "fraction"
    range: tuple[float, float] = (0.0, 1.0)
    source: str | Callable[[Options], str]
    undefined: str = "the records leave it undefined"
    weighted: Callable[[TableMetric, str], TableMetric] | None = None  # the same of records weighed by a column

    @property
    def weights(self) -> bool:
        """Whether a weight a record has a meaning."""
        return self.weighted is not None


def declared_options(metric: Metric | TableMetric) -> dict[str, Any]:
    """Every option that the metric reads, with its default or REQUIRED."""
    return {**metric.measure.options, **metric.options} if isinstance(metric, Metric) else dict(metric.options)


def resolve_options(name: str, declared: Options, config: Mapping[str, Any]) -> Options:
    """The declared options with the values of `config`, else their defaults."""
    missing = [option for option, default in declared.items() if default is REQUIRED and option not in config]
    if missing:
        given = ", ".join(sorted(map(str, config))) or "none"
        raise MetricError(f"metric {name!r} needs {missing[0]!r} in its configuration; given are {given}")
    options = {option: config.get(option, default) for option, default in declared.items()}
    for option, value in options.items():
        if declared[option] is REQUIRED and value is None:
            raise MetricError(f"metric {name!r} needs {option!r} in its configuration; given is None")
        try:
            check_option(option, value)
        except MetricError as error:
            raise MetricError(f"metric {name!r}: {error}") from error
    return options


def ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """`numerator / denominator` as float64, correctly rounded from exact input; NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator), np.asarray(denominator))
    zero = denominator == 0
    if numerator.dtype != object and denominator.dtype != object:
        if not zero.any():
            return np.asarray(numerator / denominator)
        return np.where(zero, np.nan, numerator / np.where(zero, 1, denominator))
    safe = np.where(zero, 1, denominator)
    try:
        quotient = numerator.astype(object) / safe.astype(object)
    except OverflowError:  # of integers beyond float64
        quotient = (numerator.astype(object) * Fraction(1)) / safe.astype(object)
    return np.where(zero, np.nan, to_float(quotient))


def to_float(values: np.ndarray) -> np.ndarray:
    """Exact numbers, each rounded once to float64; infinite beyond it."""
    values = np.asarray(values)
    try:
        return values.astype(np.float64)
    except OverflowError:
        return np.array([_rounded(value) for value in values.flat]).reshape(values.shape)


def _rounded(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def totals_of(contributions: Mapping[str, Contribution]) -> dict[str, Cells]:
    """The exact sum of each contribution."""
    fields: dict[str, Cells] = {}
    for name, contribution in contributions.items():
        fields |= _total(name, contribution)
    return fields


def _total(name: str, contribution: Contribution) -> dict[str, Cells]:
    if isinstance(contribution, OneHot):
        return {name: one_hot_total(contribution)}
    size = None if contribution.ndim == 1 else contribution.shape[1]
    matrix_NK = contribution.reshape(len(contribution), -1 if len(contribution) else (size or 1))
    if contribution.dtype.kind != "f":
        return {name: Cells.from_dense(_integer_sums(matrix_NK), size=size)}
    finite, others = split_nonfinite(matrix_NK)
    fields = {name: Cells.from_dense(exact_column_sums(finite), size=size, is_float=True)}
    for kind, where in others.items():
        fields[f"{name}.{kind}"] = Cells.from_dense(where.sum(axis=0, dtype=np.int64), size=size)
    return fields


def _integer_sums(matrix_NK: np.ndarray) -> np.ndarray:
    """The sum of each column; as Python integers where int64 could overflow."""
    largest = max(abs(int(matrix_NK.max())), abs(int(matrix_NK.min()))) if matrix_NK.size else 0
    fits = largest * max(1, len(matrix_NK)) < 1 << 63
    return matrix_NK.sum(axis=0, dtype=np.int64) if fits else matrix_NK.astype(object).sum(axis=0)


def one_hot_total(contribution: OneHot) -> Cells:
    kept = contribution.codes >= 0
    codes = contribution.codes[kept]
    if contribution.weights is not None:
        keys, places = np.unique(codes, return_inverse=True)
        weights = contribution.weights[kept].astype(np.float64)
        sums = [exact_sum(weights[places == place]) for place in range(keys.size)]
        return Cells.of(keys, as_exact(sums), size=contribution.size, is_float=True)
    if codes.size * 8 < contribution.size:  # a few rows over many places: sort the rows instead of walking the places
        keys, counts = np.unique(codes, return_counts=True)
        return Cells.of(keys, counts, size=contribution.size)
    return Cells.from_dense(np.bincount(codes, minlength=contribution.size), size=contribution.size)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
