"""One trial of a store: replay, export."""

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
    for command in (replay, export):
        app.command()(command)


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


def export(
    what: Annotated[
        str,
        typer.Argument(metavar="TRIAL|RUN", help="the beginning of a trial's id, or a run, of which its best network"),
    ],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="a new directory")],
    dataset: Annotated[str | None, typer.Option(help="of a run that ranks several")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="also what comes out otherwise than it was stored")] = False,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="also as a run of MLflow, where MLFLOW_TRACKING_URI says")
    ] = False,
    store: StoreOption = "./raybench-store",
    job: JobOption = None,
    debug: Debug = False,
) -> None:
    """Fit a trial again and write it as a directory that from_pretrained opens, with a model card."""
    with exit_codes(debug):
        import re
        from pathlib import Path

        from raybench.replay.export import best_trial, export_trial
        from raybench.replay.mlflow_run import check_mlflow, log_run
        from raybench.report.replay_text import print_export
        from raybench.results.references import open_run
        from raybench.store import Store
        from raybench.store.skipped import warn_skipped

        if mlflow:
            check_mlflow()
        opened = Store.open(store)
        if not re.fullmatch("[0-9a-f]{4,32}", what):
            run = open_run(what, store, warn_skipped)
            opened, what = run.store, best_trial(run, dataset)
        exported = export_trial(opened, what, job, Path(directory), warn_skipped, anyway=anyway)
        print_export(exported)
        if mlflow:
            print(f"logged to MLflow: {log_run(exported)}")
