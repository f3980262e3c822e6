"""A metric over nights on a terminal: a line a candidate, with what it was, is, and has been at its best.

sparkline([0.8, 0.9, None, 0.85])        # "▁█·▄"
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raybench.core.errors import DataError, summary
from raybench.metrics.catalog import find
from raybench.report.numbers import interval, number
from raybench.report.output import output_console
from raybench.results.history import Series
from raybench.results.names import names

__all__ = ["print_history", "sparkline", "write_history"]

_BARS = "▁▂▃▄▅▆▇█"
_NOT_THERE = "·"


def print_history(series: Sequence[Series], console: Console | None = None) -> None:
    """A table a job and dataset; points stand where there is no value.

    Each line has a scale of its own, at least as wide as the newest interval: what moves less than that looks flat.
    """
    console = console or output_console()
    for _, group in itertools.groupby(series, key=lambda one: (one.job, one.cell.dataset, one.metric)):
        rows = list(group)
        nights = rows[0].nights
        first, last = (night.written_at[:10] for night in (nights[0], nights[-1]))
        of = f"{len(nights)} night{'s' * (len(nights) != 1)}, {first} to {last}"
        title = f"{rows[0].job} on {rows[0].cell.dataset}, {rows[0].metric}: {of}"
        console.print(title, markup=False, soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        table.add_column("candidate", overflow="fold")
        table.add_column("nights", no_wrap=True)
        for name in ("first", "last"):
            table.add_column(name, justify="right")
        table.add_column("95 % interval", no_wrap=True)
        for name in ("change", "best"):
            table.add_column(name, justify="right")
        for one, name in zip(rows, names([one.cell._asdict() for one in rows]), strict=True):
            table.add_row(*(Text(cell) for cell in [name, *_cells(one)]))
        console.print(table)
        for line in _notes(rows):
            console.print(f"note: {line}", markup=False, soft_wrap=True)


def write_history(series: Sequence[Series], path: str) -> None:
    """A row a night and candidate, as CSV."""
    try:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            head = ("job", "run_id", "written_at", "candidate", "method", "hyperparameters", "dataset", "metric")
            writer.writerow((*head, "value", "low", "high", "weights_fingerprint", "data_fingerprint"))
            for one in series:
                for night, point in zip(one.nights, one.points, strict=True):
                    if point is not None:
                        writer.writerow((one.job, *night, *one.cell, one.metric, *point))
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or summary(error)}") from error


def sparkline(values: Sequence[float | None], least_width: float = 0.0) -> str:
    """A bar a value, from the lowest to the highest; where they lie nearer than `least_width`, in the middle of it."""
    there = [value for value in values if value is not None]
    low, high = min(there, default=0.0), max(there, default=0.0)
    width = max(high - low, least_width)
    low -= (width - (high - low)) / 2
    return "".join(
        _NOT_THERE if value is None else _BARS[round((value - low) / width * (len(_BARS) - 1)) if width > 0 else 0]
        for value in values
    )


def _cells(one: Series) -> list[str]:
    values = [None if point is None else point.value for point in one.points]
    there = [value for value in values if value is not None]
    newest = one.points[-1]
    metric, _ = find(one.metric)
    best = (min if metric.higher_is_better is False else max)(there, default=None)
    change = None if values[-1] is None or len(there) < 2 else values[-1] - there[-2]
    return [
        sparkline(values, newest.width if newest is not None else 0.0),
        number(there[0] if there else None),
        number(values[-1]),
        "" if newest is None else interval(newest.low, newest.high),
        "" if change is None else f"{change:+.3f}",
        number(best),
    ]


def _notes(rows: Sequence[Series]) -> list[str]:
    """When the data changed: values before and after are not of the same examples."""
    changed: dict[str, None] = {}
    for one in rows:
        known = [
            (night, point.data)
            for night, point in zip(one.nights, one.points, strict=True)
            if point is not None and point.data
        ]
        for (_, before), (night, after) in itertools.pairwise(known):
            if before != after:
                changed[f"the data changed with {night.run_id} ({night.written_at[:10]}): compare from there on"] = None
    return list(changed)
