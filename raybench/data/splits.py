"""Which of a source's splits serve for what, and those that are cut off from train.

A row is in the cut by the hash of its content: rows of equal content fall on one side, the same on any machine, and
a row that is added or taken away moves no other.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from raybench.core.errors import DataError
from raybench.core.suggestion import did_you_mean
from raybench.job.spec import SplitsSpec

__all__ = ["CUT_FRACTION", "choose_splits", "cut"]

CUT_FRACTION = 0.2


def choose_splits(spec: SplitsSpec, available: Collection[str]) -> dict[str, str]:
    """{train, test, validation: the source's split}; what the job names must be there, else equal names serve."""
    named = spec.named
    for role, name in named.items():
        if name not in available:
            known = did_you_mean(name, available, noun="splits of the source")
            raise DataError(f"no split {name!r}{known}", key=("splits", role))
    if named:
        return named
    chosen = {role: role for role in ("train", "test") if role in available}
    if not chosen:
        listed = ", ".join(available) or "none"
        raise DataError(
            f"no split named train or test; splits of the source: {listed}; say which in splits", key=("splits",)
        )
    return chosen


def cut(side: np.ndarray, labels: np.ndarray, role: str) -> np.ndarray:
    """The rows [n] bool that are cut off: about a fifth of the whole, none with a label that the others would lack.

    Those for testing have the lowest `side` (uint64 [n], a hash of the content), those for validation the highest, so
    neither cut moves the other.
    """
    far = np.uint64(CUT_FRACTION * 2**64)
    is_cut = side < far if role == "test" else side >= np.uint64(2**64 - 1) - far
    only_cut = np.setdiff1d(labels[is_cut], labels[~is_cut])
    return is_cut & ~np.isin(side, side[np.isin(labels, only_cut)])
