"""What has changed between two runs, on a terminal: verdicts first, each with its why and the examples that flipped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raybench.report.numbers import number
from raybench.report.output import output_console
from raybench.results.compare_runs import Change, Comparison
from raybench.results.matching import Cell
from raybench.results.names import names
from raybench.results.regression import Verdict
from raybench.results.stored import StoredRun

__all__ = ["print_comparison"]

_ORDER = (Verdict.REGRESSION, Verdict.UNKNOWN, Verdict.IMPROVED, Verdict.NONE)
_IDS_SHOWN = 3
_CELLS_SHOWN = 5
_ID_LENGTH = 12


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """A row a change, worst first; below it why, and which examples; at the end what it all comes to."""
    console = console or output_console()
    name = _names(comparison)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    say(f"before  {_run(comparison.before)}")
    say(f"after   {_run(comparison.after)}")
    for verdict in _ORDER:
        changes = [change for change in comparison.changes if change.decision.verdict is verdict]
        if changes:
            console.print(_table(str(verdict), changes, name))
            for change in changes:
                if len(changes) > 1:
                    say(f"  {name(change.cell)}, {change.metric}")
                for line in _details(change):
                    say(f"    {line}")
    for cell, end in comparison.lost:
        say(f"could not tell: {name(cell)} had a score and is now {end.status}: {end.reason}")
    for cells, when in ((comparison.only_before, "before"), (comparison.only_after, "after")):
        if cells:
            more = f" and {len(cells) - _CELLS_SHOWN} more" if len(cells) > _CELLS_SHOWN else ""
            say(f"only {when}: {', '.join(map(name, cells[:_CELLS_SHOWN]))}{more}")
    say(_summary(comparison))


def _names(comparison: Comparison) -> Callable[[Cell], str]:
    """Names of cells, with those hyperparameters that tell a candidate's configurations apart."""
    cells = [change.cell for change in comparison.changes]
    cells += [*comparison.unchanged, *(cell for cell, _ in comparison.lost)]
    cells += [*comparison.only_before, *comparison.only_after]
    named = dict(zip(cells, names([cell._asdict() for cell in cells]), strict=True))
    return lambda cell: f"{named[cell]} on {cell.dataset}"


def _table(title: str, changes: Sequence[Change], name: Callable[[Cell], str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("candidate and dataset", overflow="fold")
    table.add_column("metric", overflow="fold")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("adj. p", justify="right", no_wrap=True)
    for change in changes:
        sign = -1 if change.higher_is_better else 1
        low, high = sorted((sign * change.step.least, sign * change.step.most))
        p_value = change.decision.p_value
        cells = [
            name(change.cell),
            change.metric,
            number(change.before),
            number(change.after),
            _signed(sign * change.step.drop),
            "" if math.isnan(low) else f"{_signed(low)} – {_signed(high)}",
            "" if math.isnan(p_value) else f"{p_value:.2g}",
        ]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _details(change: Change) -> Iterator[str]:
    yield f"why: {'; '.join(change.causes)}"
    if change.reason:
        yield f"no test: {change.reason}"
    flips = change.flips
    if flips is not None and flips.lost is not None and flips.gained is not None:
        yield f"of {change.n:,} lost {_ids(flips.lost)}; gained {_ids(flips.gained)}"
    elif flips is not None:
        yield f"of {change.n:,} other outputs for {_ids(flips.changed)}"
    if change.num_left_out:
        yield f"{change.num_left_out:,} examples are in one of the runs alone and were left out"
    if change.noise is not None:
        yield (
            f"{change.num_seeds} seeds; another seed alone changes a score by {change.noise.deviation:.2g} "
            f"(one standard deviation, {change.noise.degrees} degrees of freedom)"
        )


def _summary(comparison: Comparison) -> str:
    counts = Counter(change.decision.verdict for change in comparison.changes)
    cells = len({change.cell for change in comparison.changes}) + len(comparison.unchanged)
    if not cells and not comparison.lost:
        return "could not tell: no candidate, configuration and dataset is in both runs with the same seed"
    family = len(comparison.changes)
    tests = f"{family} test{'s' * (family != 1)} at a false-discovery rate of {comparison.gate.alpha:g}"
    parts = [f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict]]
    parts += [f"{len(comparison.unchanged)} unchanged to the bit"] * bool(comparison.unchanged)
    parts += [f"{len(comparison.lost)} without a score now"] * bool(comparison.lost)
    word = {0: "no regression", 1: "regression", 2: "could not tell"}[comparison.exit_code]
    hidden = [
        change.step.most
        for change in comparison.changes
        if change.decision.verdict is Verdict.NONE and not math.isnan(change.step.most)
    ]
    could = f"; drops of up to {max(hidden):.2g} are not excluded" if hidden and max(hidden) > 0 else ""
    return f"{word}: {', '.join(parts)}" + (f" ({tests}){could}" if family else "")


def _run(run: StoredRun) -> str:
    return f"{run.run_id}, written {run.written_at or 'at a time it does not say'}, of {run.store.files.url}"


def _ids(ids: Sequence[str]) -> str:
    shown = ", ".join(one if len(one) <= _ID_LENGTH else f"{one[:_ID_LENGTH]}…" for one in ids[:_IDS_SHOWN])
    more = ", …" if len(ids) > _IDS_SHOWN else ""
    return f"{len(ids):,}" + (f" ({shown}{more})" if ids else "")


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}" if abs(value) < 1000 else f"{value:+.4g}"
