"""MSE, RMSE, MAE, R² and Pearson's correlation from exact moments.

Products of two float64 are kept as product and error (exact_sum.two_product), so the moments are the true ones and
R² does not suffer where the mean is large beside the spread; only the final value is rounded.
"""

from __future__ import annotations

from math import inf

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import numbers_of, place_of
from raybench.metrics.exact_sum import two_product
from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio, to_float
from raybench.metrics.state import Sums

__all__ = ["MAE", "MOMENTS", "MSE", "PEARSON", "R2", "RMSE"]

_COLUMNS = ("target", "prediction")
_LARGEST = 1e150
_SMALLEST = 2.0**-500  # whose square is an exact float64, with its error; smaller is 0 beside it
_SOURCE = "https://scikit-learn.org/stable/modules/model_evaluation.html#regression-metrics"


def _errors(records: pa.Table) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(numbers_of(records, "prediction") - numbers_of(records, "target"))


def _squared_errors(records: pa.Table, options: Options) -> np.ndarray:
    errors = _errors(records)
    _require_squares(records, errors, "the difference of target and prediction")
    return errors**2


def _require_squares(records: pa.Table, values: np.ndarray, what: str) -> None:
    """MetricError for a finite number whose square is beyond float64."""
    large = np.isfinite(values) & (np.abs(values) > _LARGEST)
    if large.any():
        row = int(np.argmax(large))
        given = f"{what} is {values[row]:g} in {place_of(records, row)}"
        raise MetricError(f"{given}, whose square is no float64; expected at most {_LARGEST:g}: scale both columns")


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    t, p = (numbers_of(records, column) for column in _COLUMNS)
    for column, values in zip(_COLUMNS, (t, p), strict=True):
        _require_squares(records, values, f"column {column!r}")
    t, p = (np.where(np.abs(values) < _SMALLEST, 0.0, values) for values in (t, p))
    return {
        "n": np.ones(records.num_rows, dtype=np.int64),
        "t": t,
        "p": p,
        "tt": np.stack(two_product(t, t), axis=1),
        "tp": np.stack(two_product(t, p), axis=1),
        "pp": np.stack(two_product(p, p), axis=1),
    }


def _centred(records: pa.Table) -> pa.Table:
    """Both columns less the mean target: R² and Pearson stay, and float64 replicates do not cancel."""
    shift = float(np.mean(numbers_of(records, "target"))) if records.num_rows else 0.0
    for column in _COLUMNS:
        place = records.column_names.index(column)
        records = records.set_column(place, column, pa.array(numbers_of(records, column) - shift))
    return records


def _spread(sums: Sums, a: str, b: str) -> np.ndarray:
    """n · Σab − Σa · Σb, [R]: n² times the covariance; NaN where a number is infinite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(sums["n"] * sums[a + b].sum(axis=1) - sums[a] * sums[b])


def _r2(sums: Sums, options: Options) -> np.ndarray:
    spread = _spread(sums, "t", "t")
    with np.errstate(invalid="ignore"):
        residual = sums["tt"].sum(axis=1) - 2 * sums["tp"].sum(axis=1) + sums["pp"].sum(axis=1)
        return ratio(spread - sums["n"] * residual, spread)


def _pearson(sums: Sums, options: Options) -> np.ndarray:
    spread_t, spread_p = _spread(sums, "t", "t"), _spread(sums, "p", "p")
    with np.errstate(invalid="ignore"):  # NaN is not above 0
        defined = (spread_t > 0) & (spread_p > 0)
    product = np.where(defined, spread_t, 1) * np.where(defined, spread_p, 1)
    square = to_float(_spread(sums, "t", "p") ** 2 / product)  # exact until here
    value = np.copysign(np.sqrt(np.minimum(square, 1.0)), to_float(_spread(sums, "t", "p")))
    return np.where(defined, value, np.nan)


_X = {"x": "target' or 'prediction"}
MOMENTS = Measure(
    name="moments",
    weights=True,
    columns=_COLUMNS,
    contributions=_contributions,
    centre=_centred,
    quantities=True,
    reads={"t": "target", "p": "prediction", "tt": "target", "pp": "prediction", "tp": "target' or 'prediction"},
)
_SQUARED = mean_measure("squared error", _COLUMNS, _squared_errors, quantities=True, reads=_X)
MSE = Metric(
    measure=_SQUARED,
    value=mean,
    interval="mean",
    higher_is_better=False,
    unit="target's unit, squared",
    range=(0.0, inf),
    source=_SOURCE,
)
RMSE = Metric(
    measure=_SQUARED,
    value=lambda sums, options: np.sqrt(mean(sums, options)),
    interval="mean",
    higher_is_better=False,
    unit="target's unit",
    range=(0.0, inf),
    source=_SOURCE,
)
MAE = Metric(
    measure=mean_measure(
        "absolute error", _COLUMNS, lambda records, options: np.abs(_errors(records)), quantities=True, reads=_X
    ),
    value=mean,
    interval="mean",
    higher_is_better=False,
    unit="target's unit",
    range=(0.0, inf),
    source=_SOURCE,
)
R2 = Metric(
    measure=MOMENTS,
    value=_r2,
    higher_is_better=True,
    range=(-inf, 1.0),
    whole=0.0,
    source=_SOURCE,
    undefined="all targets are equal, or there is one only",
)
PEARSON = Metric(
    measure=MOMENTS,
    value=_pearson,
    higher_is_better=True,
    unit="correlation",
    range=(-1.0, 1.0),
    source="Pearson 1895, doi:10.1098/rspl.1895.0041",
    undefined="targets or predictions are all equal",
)
