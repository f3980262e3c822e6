"""Fréchet distance (FID), kernel distance (KID) and Inception score of generated against real examples.

Features are rounded to a grid of 2⁻¹⁶, so sums and Gram matrices are integers and merge exactly; matrix products run
in float64 over chunks whose products cannot exceed 2⁵³. FID's interval is the delta method: with T the optimal
transport map between the two Gaussians, d FID / d weight of x is 2 Δμ·(x − μ) + (x − μ)ᵀ(I − T)(x − μ) − mean.
FID of few examples is too large by its nature, which its interval allows for; compare equal numbers only. Features come
with the records: this module computes none. A record without probabilities, such as a real example's, counts nowhere in
the Inception score.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import lists_of, matrix_of, numbers_of, refuse
from raybench.metrics.exact_sum import as_fraction, exact_sum
from raybench.metrics.metric import Contribution, Measure, Metric, Options, TableMetric, ratio
from raybench.metrics.state import Cells, Sums

__all__ = ["FID", "INCEPTION_SCORE", "KID", "frechet_distance"]

GRID_BITS = 16
_ROUNDING = 1e-3  # of probabilities from a half-precision softmax
_EXACT = 1 << 53
_SIDES = ("real", "generated")
_LARGEST = 2.0**15  # of a feature: on the grid its square is below 2⁶², as the exact Gram matrix wants


def _features(records: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Features on the grid, as integers in float64 [N, D], and which rows are real."""
    values, offsets = lists_of(records, "features")
    real = _real(records)
    lengths = np.diff(offsets)
    if (lengths != lengths[:1]).any():
        row = int(np.argmax(lengths != lengths[0]))
        refuse(records, "features", row, f"{lengths[row]} numbers", f"{lengths[0]}, as in the first row")
    if len(lengths) and not lengths[0]:
        refuse(records, "features", 0, "an empty list", "one number a feature")
    with np.errstate(over="ignore"):
        features_ND = np.rint(values.astype(np.float64) * (1 << GRID_BITS))
    fits = np.abs(features_ND) < _LARGEST * (1 << GRID_BITS)
    if not fits.all():
        place = int(np.argmin(fits))
        row = place // int(lengths[0])
        refuse(
            records,
            "features",
            row,
            f"{values[place]:g}",
            f"finite numbers below {_LARGEST:g}: scale all by one number",
        )
    return features_ND.reshape(len(real), lengths[0] if len(real) else 0), real


def _real(records: pa.Table) -> np.ndarray:
    """Which rows are real, [N]; `real` is true or false, or 1 or 0."""
    real = numbers_of(records, "real", low=0.0, high=1.0, nan=False)
    between = real != np.rint(real)
    if between.any():
        row = int(np.argmax(between))
        refuse(records, "real", row, real[row], "true or false")
    return np.asarray(real == 1)


def _gram(features_ND: np.ndarray) -> np.ndarray:
    """Σ x xᵀ as int64 [D, D], exact."""
    largest = int(np.abs(features_ND).max(initial=1))
    rows = min(4096, _EXACT // (largest * largest))
    if rows == 0 or largest * largest * len(features_ND) >= 1 << 63:
        raise MetricError(f"a feature of {largest / (1 << GRID_BITS):g} is too large for an exact Gram matrix")
    total = np.zeros((features_ND.shape[1],) * 2, dtype=np.int64)
    for start in range(0, len(features_ND), rows):
        chunk = features_ND[start : start + rows]
        total += (chunk.T @ chunk).astype(np.int64)
    return total


def _totals(records: pa.Table, options: Options) -> dict[str, Cells]:
    features_ND, real = _features(records)
    fields = {"n": Cells.from_dense([records.num_rows], size=None)}
    for side, rows in zip(_SIDES, (real, ~real), strict=True):
        fields[f"n_{side}"] = Cells.from_dense([int(rows.sum())], size=None)
        if rows.any():
            size = features_ND.shape[1]
            sums_D = features_ND[rows].astype(np.int64).sum(axis=0)
            fields[f"sum_{side}"] = Cells.from_dense(sums_D, size=size)
            fields[f"gram_{side}"] = Cells.from_dense(_gram(features_ND[rows]).reshape(-1), size=size * size)
    return fields


def _moments(sums: Sums, side: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean [D] and covariance [D, D] of a side; None below two examples."""
    n = int(sums[f"n_{side}"][0]) if f"n_{side}" in sums.fields else 0
    if n < 2:
        return None
    total_D = _int64(sums[f"sum_{side}"][0])
    gram_DD = _int64(sums[f"gram_{side}"][0]).reshape(total_D.size, total_D.size)
    # moved to the integer next to the mean, exact in int64 (what overflows on the way comes back modulo 2**64),
    # so that nothing cancels once it is float64
    centre_D = np.rint(total_D / n).astype(np.int64)
    rest_D = total_D - n * centre_D
    moved_DD = gram_DD - np.multiply.outer(centre_D, rest_D) - np.multiply.outer(total_D, centre_D)
    scatter_DD = moved_DD.astype(np.float64) - np.multiply.outer(rest_D / n, rest_D.astype(np.float64))
    return total_D / n / (1 << GRID_BITS), scatter_DD / (n - 1) / float(1 << 2 * GRID_BITS)


def _int64(values: np.ndarray) -> np.ndarray:
    try:
        return values.astype(np.int64)
    except OverflowError as error:
        raise MetricError("a Gram matrix beyond int64: the features are too large, or too many") from error


def _roots(matrix_DD: np.ndarray, *powers: float) -> list[np.ndarray]:
    """Powers of a symmetric positive semidefinite matrix; of its range, where a power is negative."""
    values, vectors = np.linalg.eigh(matrix_DD)
    kept = values > values.max(initial=0.0) * len(values) * np.finfo(float).eps
    return [(vectors * np.where(kept, np.where(kept, values, 1.0) ** power, 0.0)) @ vectors.T for power in powers]


def frechet_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|μ_a − μ_b|² + tr(Σ_a + Σ_b − 2 (Σ_a^½ Σ_b Σ_a^½)^½) (Dowson and Landau 1982)."""
    return _distance(mean_a, cov_a, mean_b, cov_b, _spectrum(cov_a, cov_b))


def _spectrum(cov_a: np.ndarray, cov_b: np.ndarray) -> np.ndarray:
    """The eigenvalues of (Σ_a^½ Σ_b Σ_a^½)^½, [D]."""
    (root,) = _roots(cov_a, 0.5)
    return np.asarray(np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0.0, None)))


def _distance(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray, spectrum_D: np.ndarray
) -> float:
    cross = spectrum_D.sum()
    return max(0.0, float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross))


class _Gaussians(NamedTuple):
    """Both sides' mean and covariance, and the eigenvalues between them."""

    real: tuple[np.ndarray, np.ndarray]
    generated: tuple[np.ndarray, np.ndarray]
    spectrum_D: np.ndarray


def _gaussians(sums: Sums) -> _Gaussians | None:
    """What distance and bias are made of, made once; None below two examples of a side."""
    if _gaussians not in sums.made:
        real, generated = (_moments(sums, side) for side in _SIDES)
        if real is None or generated is None:
            return None
        sums.made[_gaussians] = _Gaussians(real, generated, _spectrum(real[1], generated[1]))
    found: _Gaussians = sums.made[_gaussians]
    return found


def _fid(sums: Sums, options: Options) -> np.ndarray:
    found = _gaussians(sums)
    return np.array([np.nan if found is None else _distance(*found.real, *found.generated, found.spectrum_D)])


def _fid_bias(sums: Sums, options: Options) -> float:
    """By how much the distance is expected to exceed that of infinitely many examples of these Gaussians.

    That of the means is tr Σ / n of each side. That of the covariances is the distance's second derivative (as that of
    the trace of a matrix root) over the Wishart's covariances: ½ Σ_ij (1 + δ_ij) s_i s_j / (s_i + s_j) / (n − 1) a
    side, with s the spectrum. On four features of 25 a side 0.77 where the mean of 500 samples was too large by 0.84.
    """
    found = _gaussians(sums)
    if found is None:
        return 0.0
    s_D = found.spectrum_D[found.spectrum_D > 0]
    of_roots = 0.5 * float((np.multiply.outer(s_D, s_D) / np.add.outer(s_D, s_D)).sum() + s_D.sum() / 2)
    bias = 0.0
    for side, (_, cov) in zip(_SIDES, (found.real, found.generated), strict=True):
        n = int(sums[f"n_{side}"][0])
        bias += float(np.trace(cov)) / n + of_roots / (n - 1)
    return bias


def _fid_influence(records: pa.Table, options: Options) -> np.ndarray:
    features_ND, real = _features(records)
    features_ND = features_ND / (1 << GRID_BITS)
    influence_N = np.zeros(records.num_rows)
    sides = [_gaussian(features_ND[rows]) for rows in (real, ~real)]
    for rows, (mean, cov), (other_mean, other_cov) in zip((real, ~real), sides, sides[::-1], strict=True):
        root, inverse = _roots(cov, 0.5, -0.5)
        (cross,) = _roots(root @ other_cov @ root, 0.5)
        map_DD = inverse @ cross @ inverse
        centred = features_ND[rows] - mean
        quadratic = np.einsum("nd,de,ne->n", centred, np.eye(len(mean)) - map_DD, centred, optimize=True)
        influence_N[rows] = (2 * centred @ (mean - other_mean) + quadratic - quadratic.mean()) / int(rows.sum())
    return influence_N


def _gaussian(features_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features_ND.mean(axis=0), np.atleast_2d(np.cov(features_ND, rowvar=False))


def _no_contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    raise AssertionError("a Gram matrix is summed by `totals`; there is nothing to resample by record")


FID = Metric(
    measure=Measure(name="gaussians", columns=("features", "real"), contributions=_no_contributions, totals=_totals),
    value=_fid,
    influence=_fid_influence,
    bias=_fid_bias,
    higher_is_better=False,
    unit="squared feature distance",
    range=(0.0, inf),
    source="Heusel et al. 2017, arXiv:1706.08500",
    undefined="fewer than two real or two generated examples",
)


def _kernel_means(features_ND: np.ndarray, real: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Means of the cubic kernel within (without the diagonal) and across the sides, and each row's own means."""
    sides = {side: features_ND[rows] for side, rows in zip(_SIDES, (real, ~real), strict=True)}
    scale = features_ND.shape[1] * float(1 << 2 * GRID_BITS)
    means, rows_of = {}, {}
    for a, b in (("real", "real"), ("generated", "generated"), ("real", "generated"), ("generated", "real")):
        blocks = []
        for start in range(0, len(sides[a]), 512):
            kernel = ((sides[a][start : start + 512] @ sides[b].T) / scale + 1) ** 3
            if a == b:
                kernel[np.arange(len(kernel)), start + np.arange(len(kernel))] = 0.0
            blocks.append(kernel.sum(axis=1))
        per_row = np.concatenate(blocks) / (len(sides[b]) - (a == b))
        rows_of[a + b] = per_row
        means[a + b] = float(as_fraction(exact_sum(per_row)) / per_row.size)
    return means, rows_of


def _kid(records: pa.Table, options: Options) -> float:
    means, _ = _kernel_means(*_features(records))
    return means["realreal"] + means["generatedgenerated"] - 2 * means["realgenerated"]


def _kid_influence(records: pa.Table, options: Options) -> np.ndarray:
    features_ND, real = _features(records)
    means, rows_of = _kernel_means(features_ND, real)
    influence_N = np.zeros(records.num_rows)
    for side, other, rows in (("real", "generated", real), ("generated", "real", ~real)):
        within = rows_of[side + side] - means[side + side]
        across = rows_of[side + other] - means["realgenerated"]
        influence_N[rows] = 2 * (within - across) / int(rows.sum())
    return influence_N


def _kid_problem(records: pa.Table, options: Options) -> str | None:
    num_real = int(_real(records).sum())
    return None if min(num_real, records.num_rows - num_real) >= 2 else "fewer than two real or two generated examples"


KID = TableMetric(
    columns=("features", "real"),
    measure=_kid,
    influence=_kid_influence,
    problem=_kid_problem,
    higher_is_better=False,
    unit="squared maximum mean discrepancy",
    range=(-inf, inf),
    source="Bińkowski et al. 2018, arXiv:1801.01401 (unbiased, all examples)",
)


def _inception(records: pa.Table, options: Options) -> dict[str, Contribution]:
    n = records.num_rows
    if not n:
        return {"n": np.ones(0, dtype=np.int64)}
    lengths = np.diff(lists_of(records, "probabilities").offsets)
    told = lengths > 0
    if not told.any():
        return {"n": told.astype(np.int64)}
    if not told.all():
        given = _inception(records.filter(pa.array(told)), options)
        return {name: _spread(np.asarray(values), told) for name, values in given.items()}
    p_NC = matrix_of(records, "probabilities", int(lengths[0]), low=0.0, high=1.0 + _ROUNDING, nan=False)
    p_NC = p_NC.astype(np.float64)
    off = np.abs(p_NC.sum(axis=1) - 1.0) > _ROUNDING * max(1, p_NC.shape[1])
    if off.any():
        row = int(np.argmax(off))
        refuse(records, "probabilities", row, f"a sum of {p_NC[row].sum():g}", "probabilities that sum to 1")
    negative_entropy = (p_NC * np.log(np.where(p_NC > 0, p_NC, 1.0))).sum(axis=1)
    return {"n": np.ones(n, dtype=np.int64), "p": p_NC, "p_log_p": negative_entropy}


def _spread(values: np.ndarray, told: np.ndarray) -> np.ndarray:
    """The values of the rows that have some, 0 at the others."""
    spread = np.zeros((len(told), *values.shape[1:]), dtype=values.dtype)
    spread[told] = values
    return spread


def _inception_score(sums: Sums, options: Options) -> np.ndarray:
    mean_RC = ratio(sums["p"], sums["n"][:, None])
    marginal = (mean_RC * np.log(np.where(mean_RC > 0, mean_RC, 1.0))).sum(axis=1)
    return np.exp(ratio(sums["p_log_p"], sums["n"]) - marginal)


INCEPTION_SCORE = Metric(
    measure=Measure(name="inception", columns=("probabilities",), contributions=_inception),
    value=_inception_score,
    higher_is_better=True,
    unit="effective classes",
    range=(0.0, inf),
    source="Salimans et al. 2016, arXiv:1606.03498 (one split: all examples)",
)
