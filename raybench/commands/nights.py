"""From night to night: compare, history."""

from __future__ import annotations

from typing import Annotated

import typer

from raybench.commands.exits import Debug, exit_codes
from raybench.commands.stores import StoreOption

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the application its commands."""
    for command in (compare, history):
        app.command()(command)


def compare(
    before: Annotated[
        str, typer.Argument(metavar="A", help="a store (its latest run), a run, a date, or latest, previous")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="the same, of the night that is judged")],
    store: StoreOption = "./raybench-store",
    gate: Annotated[str | None, typer.Option(help="a YAML file that says what is judged, and how")] = None,
    min_difference: Annotated[
        float | None, typer.Option(min=0, help="the smallest drop that matters, in the metric's unit; default 0")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(min=0, max=1, help="false-discovery rate over all tests; default 0.05")
    ] = None,
    metrics: Annotated[str, typer.Option(help="names, separated by commas; default: what ranks each dataset")] = "",
    debug: Debug = False,
) -> None:
    """Say what is worse and better in B than in A: exit code 0 no regression, 1 regression, 2 could not tell."""
    with exit_codes(debug):
        from raybench.report.comparison_table import print_comparison
        from raybench.results.compare_runs import compare_runs
        from raybench.results.gate import make_gate
        from raybench.results.references import open_run
        from raybench.store.skipped import warn_skipped

        names = tuple(part.strip() for part in metrics.split(",") if part.strip())
        judged = make_gate(gate, min_difference=min_difference, alpha=alpha, metrics=names)
        old, new = (open_run(name, store, warn_skipped) for name in (before, after))
        comparison = compare_runs(old, new, judged, warn_skipped)
        print_comparison(comparison)
        if comparison.exit_code:
            raise typer.Exit(comparison.exit_code)


def history(
    store: Annotated[str, typer.Argument(metavar="STORE", help="the store of a nightly job")] = "./raybench-store",
    metric: Annotated[str | None, typer.Option(help="default: what ranks each dataset")] = None,
    last: Annotated[int, typer.Option(min=1, help="how many nights of each job")] = 30,
    output: Annotated[str | None, typer.Option(help="a .csv file to write a row a night and candidate to")] = None,
    debug: Debug = False,
) -> None:
    """Show a metric over nights, a line a candidate and dataset."""
    with exit_codes(debug):
        from raybench.report.history_table import print_history, write_history
        from raybench.results.history import history as history_of
        from raybench.store import Store
        from raybench.store.skipped import warn_skipped

        series = history_of(Store.open(store), metric=metric, last=last, skipped=warn_skipped)
        print_history(series)
        if output is not None:
            write_history(series, output)
