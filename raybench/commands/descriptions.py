"""What can be written in a job file: describe."""

from __future__ import annotations

from typing import Annotated

import typer

from raybench.commands.exits import Debug, exit_codes

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the application its commands."""
    app.command()(describe)


def describe(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="of a task, method, baseline, metric or part of the job file; none: all names"
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Say what a task, method, baseline, metric or part of the job file is and takes."""
    with exit_codes(debug):
        from raybench.report.describe_text import description

        print(description(name))
