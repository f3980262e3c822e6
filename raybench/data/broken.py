"""Pictures and sounds that cannot be decoded: an error, or up to a share of a split left out for all candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.core.large_columns import gather

__all__ = ["Checked", "check_rows"]

Check = Callable[[pa.ChunkedArray, list[str]], pa.ChunkedArray]  # raises DataError that begins with a cell's name


class Checked(NamedTuple):
    """Columns of rows that are whole, which rows those are, and what is wrong with the first of the others."""

    columns: dict[str, pa.ChunkedArray]
    whole: np.ndarray  # bool [N]
    first: str


def check_rows(
    columns: Mapping[str, pa.ChunkedArray], checks: Mapping[str, Check], names: Mapping[str, list[str]], share: float
) -> Checked:
    """The columns, each of those with a check as it gives them; up to `share` of the rows may be left out.

    Raises:
        DataError: a cell is broken, or more of them than may be.
    """
    num_rows = len(next(iter(columns.values())))
    whole, first = np.ones(num_rows, dtype=bool), ""
    if share:
        for column, check in checks.items():
            for row, name in enumerate(names[column]):
                try:
                    check(columns[column].slice(row, 1), [name])
                except DataError as error:
                    first = first or str(error)
                    whole[row] = False
        broken = num_rows - int(whole.sum())
        if broken > share * num_rows:
            raise DataError(
                f"{broken} of {num_rows} rows cannot be decoded, more than skip_broken ({share:.2%}) allows; first "
                f"{first}",
                key=("skip_broken",),
            )
    kept = np.flatnonzero(whole)
    found = {name: column if whole.all() else gather(column, kept) for name, column in columns.items()}
    for column, check in checks.items():
        found[column] = check(found[column], [name for name, good in zip(names[column], whole, strict=True) if good])
    return Checked(found, whole, first)
