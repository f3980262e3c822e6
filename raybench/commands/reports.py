"""A run as something to read: report."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from raybench.commands.exits import Debug, exit_codes
from raybench.commands.stores import StoreOption

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the application its commands."""
    app.command()(report)


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="a store (its latest run), STORE/runs/ID, a job file, a date, latest")
    ],
    output: Annotated[
        str | None, typer.Option(help="the file to write; default: report.html beside the run's tables")
    ] = None,
    form: Annotated[
        Literal["html", "md", "csv", "latex", "json"],
        typer.Option("--format", help="all but html are printed unless --output names a file"),
    ] = "html",
    figures: Annotated[str | None, typer.Option(help="a folder for every picture, as SVG and as PNG")] = None,
    examples: Annotated[
        bool, typer.Option("--examples/--no-examples", help="show texts and pictures of test examples")
    ] = True,
    why: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="explain the answers of the best two on N of the hardest examples of a dataset: both are fitted again",
        ),
    ] = 0,
    store: StoreOption = "./raybench-store",
    debug: Debug = False,
) -> None:
    """Write a run's report: one page that opens anywhere, or its tables as Markdown, CSV, LaTeX or JSON."""
    with exit_codes(debug):
        from raybench.report.page.write import write_report
        from raybench.store.skipped import warn_skipped

        write_report(
            run,
            form=form,
            output=output,
            figures=figures,
            examples=examples,
            why=why,
            store=store,
            skipped=warn_skipped,
        )
