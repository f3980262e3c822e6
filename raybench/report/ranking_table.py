"""The ranking as tables on a terminal: one a dataset, best first, with intervals and cost.

print_ranking(ranking)
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raybench.job.rank_by import told, weights_of
from raybench.report.numbers import count, interval, number, p_value, rate, seconds, share, signed, span
from raybench.report.output import output_console
from raybench.results.entry import Configuration
from raybench.results.names import names
from raybench.results.ranking import Ranking
from raybench.results.settled import is_settled
from raybench.results.tables import OVERALL

__all__ = ["print_ranking"]

_MOST_NAMED = 3  # configurations that ended alike, before a count says more
_LEAST_DRAWN = 3  # datasets, before an interval over others like them is worth a column
_NARROW = 100  # columns of a terminal below which P(best) and cost are left to the file


def print_ranking(ranking: Ranking, console: Console | None = None, *, tried: bool = False) -> None:
    """Every dataset's table, what went wrong grouped by cause, and where the files are.

    `tried`: also the configurations that were tried on validation rows, and not chosen.
    """
    console = console or output_console()
    rows = ranking.table.to_pylist()
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        of_dataset = [row for row in rows if row["dataset"] == dataset]
        if of_dataset[0]["split"] == "validation" and not tried:
            continue
        if dataset != OVERALL:
            console.print(_table(of_dataset, console))
            changes = _drops(of_dataset, ranking.drops.to_pylist()) if ranking.drops is not None else None
            if changes is not None and changes.row_count:
                console.print(changes)
        elif any(row["rank"] for row in of_dataset):  # some candidate was scored on every dataset
            drawn = {row["dataset"] for row in rows if row["split"] == "test" and row["original"] is None}
            console.print(_overall(of_dataset, len(drawn) - 1))
    for line in _causes([row for row in rows if tried or not _was_tried(row)]):
        console.print(line, markup=False, soft_wrap=True)
    for note in ranking.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    if ranking.location:
        console.print(f"written to {ranking.location}", markup=False, soft_wrap=True)
        directory = shlex.quote(ranking.location.removesuffix("/ranking.parquet"))
        console.print(f"as a page to read: raybench report {directory}", markup=False, soft_wrap=True)


def _was_tried(row: dict[str, Any]) -> bool:
    """Whether it was stopped in a search, as it should be."""
    return row["split"] == "validation" and row["status"] == "stopped" and is_settled("stopped", row["reason"])


def _causes(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Why configurations have no rank: each cause once, the commonest first, with the few whose it is."""
    whose: dict[tuple[str, str], list[str]] = defaultdict(list)
    for dataset in dict.fromkeys(row["dataset"] for row in rows if row["dataset"] != OVERALL):
        of_dataset = [row for row in rows if row["dataset"] == dataset]
        for row, name in zip(of_dataset, names(of_dataset), strict=True):
            if row["rank"] is None:
                whose[row["status"], row["reason"]].append(f"{name} on {dataset}")
    for (status, reason), cells in sorted(whose.items(), key=lambda cause: -len(cause[1])):
        who = f"{', '.join(cells)}:" if len(cells) <= _MOST_NAMED else f"{len(cells)} ×"
        yield f"{who} {'not ranked' if status == 'ok' else status}: {reason}"


def _table(rows: list[dict[str, Any]], console: Console) -> Table:
    rank_by = rows[0]["rank_by"]
    ranked = list(weights_of(rank_by))
    title = f"{rows[0]['dataset']}, {max(row['num_examples'] or 0 for row in rows):,} examples, by {told(rank_by)}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("(95 %)")
    table.add_column("candidate", overflow="fold")
    if len(ranked) > 1:
        table.add_column("mean rank", justify="right")
    for metric in ranked:
        table.add_column(metric, justify="right")
    table.add_column("95 % interval" if len(ranked) == 1 else "")
    table.add_column("fit s", justify="right")
    table.add_column("examples/s", justify="right")
    if console.width >= _NARROW:
        table.add_column("P(best)", justify="right")
        table.add_column("trained", justify="right")
        table.add_column("parameters", justify="right")
    for row, name in zip(rows, names(rows), strict=True):
        cells = [
            str(row["rank"] or "–"),
            span(row["rank_low"], row["rank_high"]),
            name,
            *([_mean_rank(row)] if len(ranked) > 1 else []),
            *(number(row[metric]) for metric in ranked),
            _around(row, ranked),
            seconds(row["fit_seconds"]),
            rate(row["examples_per_second"]),
        ]
        if console.width >= _NARROW:
            cells += [share(row["p_best"]), count(row["params_trained"]), count(row["params_total"])]
        table.add_row(*(Text(cell) for cell in cells))  # names come from users: never read as markup
    return table


def _around(row: dict[str, Any], ranked: list[str]) -> str:
    """The interval of the one metric that ranks (those of several are in the file), or how it ended."""
    if row["status"] != "ok":
        return str(row["status"])
    return interval(row[f"{ranked[0]}_low"], row[f"{ranked[0]}_high"]) if len(ranked) == 1 else ""


def _mean_rank(row: dict[str, Any]) -> str:
    return f"{row['mean_rank']:.2f}" if row["mean_rank"] is not None else "–"


def _drops(rows: list[dict[str, Any]], drops: list[dict[str, Any]]) -> Table:
    """What perturbing changed, in the order of the dataset's ranking."""
    found = {(drop["metric"], *_configuration(drop)): drop for drop in drops if drop["dataset"] == rows[0]["dataset"]}
    title = f"{rows[0]['dataset']} against {rows[0]['original']}, on the same examples"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("candidate", overflow="fold")
    table.add_column("metric")
    for head in ("before", "after", "change"):
        table.add_column(head, justify="right")
    table.add_column("95 % interval")
    table.add_column("adj. p", justify="right")
    for metric in weights_of(rows[0]["rank_by"]):
        for row, name in zip(rows, names(rows), strict=True):
            drop = found.get((metric, *_configuration(row)))
            if drop is not None:
                cells = [name, metric, number(drop["original_value"]), number(drop["value"]), signed(drop["change"])]
                cells += [interval(drop["low"], drop["high"]), p_value(drop["adjusted"])]
                table.add_row(*(Text(cell) for cell in cells))
    return table


def _configuration(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in Configuration._fields)


def _overall(rows: list[dict[str, Any]], num_datasets: int) -> Table:
    rank_by = rows[0]["rank_by"]  # None: the datasets have metrics of their own, and no mean
    ranked = list(weights_of(rank_by)) if rank_by is not None else []
    table = Table(title="over all datasets, by mean rank", title_justify="left", box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("(95 %)")
    table.add_column("candidate", overflow="fold")
    table.add_column("mean rank", justify="right")
    has_intervals = len(ranked) == 1 and num_datasets >= _LEAST_DRAWN
    for metric in ranked:
        table.add_column(f"mean {metric}", justify="right")
    if has_intervals:
        table.add_column("(datasets as drawn)")
    for row, name in zip(rows, names(rows), strict=True):
        means = [number(row[metric]) for metric in ranked]
        around = [interval(row[f"{ranked[0]}_low"], row[f"{ranked[0]}_high"])] if has_intervals else []
        place = str(row["rank"] or "–")
        cells = [place, span(row["rank_low"], row["rank_high"]), name, _mean_rank(row), *means, *around]
        table.add_row(*(Text(cell) for cell in cells))
    return table
