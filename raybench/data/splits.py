"""Which of a source's splits serve for what, and the test split that is cut off where there is none.

A row is in the cut by the hash of its content: rows of equal content fall on one side, the same on any machine, and
a row that is added or taken away moves no other.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from raybench.core.errors import DataError
from raybench.core.suggestion import did_you_mean
from raybench.job.spec import SplitsSpec

__all__ = ["TEST_FRACTION", "choose_splits", "cut_test"]

TEST_FRACTION = 0.2


def choose_splits(spec: SplitsSpec, available: Collection[str]) -> dict[str, str]:
    """{train, test, validation: the source's split}; what the job names must be there, else equal names serve."""
    named = {role: name for role in ("train", "test", "validation") if (name := getattr(spec, role)) is not None}
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


def cut_test(side: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows [n] bool that are cut off for testing: about a fifth, none with a label that train would lack."""
    is_test = side < np.uint64(TEST_FRACTION * 2**64)
    only_test = np.setdiff1d(labels[is_test], labels[~is_test])
    return is_test & ~np.isin(side, side[np.isin(labels, only_test)])
