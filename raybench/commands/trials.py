"""One trial of a store: replay."""

from __future__ import annotations

from typing import Annotated

import typer

from raybench.commands.exits import Debug, exit_codes
from raybench.commands.stores import StoreOption

__all__ = ["add_to"]

TrialName = Annotated[str, typer.Argument(metavar="TRIAL", help="the beginning of its id, as `raybench show` has it")]
JobOption = Annotated[str | None, typer.Option(help="the job file; default: the one that the run keeps")]


def add_to(app: typer.Typer) -> None:
    """Give the application its commands."""
    app.command()(replay)


def replay(
    trial: TrialName, store: StoreOption = "./raybench-store", job: JobOption = None, debug: Debug = False
) -> None:
    """Fit and score one trial again, here: exit code 0 the same to the bit, 1 other, with what has changed."""
    with exit_codes(debug):
        from raybench.replay.replay import replay_trial
        from raybench.report.replay_text import print_replay
        from raybench.store import Store
        from raybench.store.skipped import warn_skipped

        found, verdict, _ = replay_trial(Store.open(store), trial, job, warn_skipped)
        print_replay(found, verdict)
        if not verdict.is_same:
            raise typer.Exit(1)
