"""What a store holds: runs, show, examples; several as one: merge."""

from __future__ import annotations

from typing import Annotated

import typer

from raybench.commands.exits import Debug, exit_codes

__all__ = ["RunName", "StoreOption", "add_to"]

RunName = Annotated[str, typer.Argument(metavar="RUN", help="a run's id, STORE/runs/ID, a store, a date, latest")]
StoreOption = Annotated[
    str, typer.Option("--store", help="where runs named by id, date, latest or previous are looked for")
]


def add_to(app: typer.Typer) -> None:
    """Give the application its commands."""
    for command in (runs, show, examples, merge):
        app.command()(command)


def runs(
    store: Annotated[str, typer.Argument(metavar="STORE", help="the store to list")] = "./raybench-store",
    tag: Annotated[str | None, typer.Option(help="only runs of jobs that have this one of their `tags`")] = None,
    debug: Debug = False,
) -> None:
    """List a store's runs: whose they are, how they ended, their age and size."""
    with exit_codes(debug):
        from raybench.report.runs_table import print_runs

        print_runs(store, tag)


def show(run: RunName, store: StoreOption = "./raybench-store", debug: Debug = False) -> None:
    """Say what a run holds: its datasets, a line a trial, what did not end well, what it was made on."""
    with exit_codes(debug):
        from raybench.report.runs_table import print_run
        from raybench.results.references import open_run
        from raybench.store.skipped import warn_skipped

        print_run(open_run(run, store, warn_skipped))


def examples(
    run: RunName,
    candidate: Annotated[
        str, typer.Option(help="its name (with hyperparameters where it has several), or a trial's id")
    ],
    dataset: Annotated[str | None, typer.Option(help="where the candidate is scored on several")] = None,
    seed: Annotated[int | None, typer.Option(help="default: the first")] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="only what it got wrong, the worst first")] = False,
    limit: Annotated[int, typer.Option(min=1, help="how many are shown")] = 20,
    output: Annotated[str | None, typer.Option(help="a .csv or .parquet file to write them all to")] = None,
    job: Annotated[
        str | None, typer.Option(help="the job file that names the rows; default: the one that the run keeps")
    ] = None,
    store: StoreOption = "./raybench-store",
    debug: Debug = False,
) -> None:
    """Show what a candidate said of single examples, with their texts."""
    with exit_codes(debug):
        from raybench.report.examples_table import print_examples, write_examples
        from raybench.results.examples import choose_trial, examples_of, row_source
        from raybench.results.references import open_run
        from raybench.store.skipped import warn_skipped

        found_run = open_run(run, store, warn_skipped)
        chosen = choose_trial(found_run, candidate=candidate, dataset=dataset, seed=seed)
        source = row_source(found_run, chosen.one, job)
        found = examples_of(found_run, chosen.one, source, wrong=wrong, skipped=warn_skipped)
        if output is not None:
            write_examples(found, output)
            print(f"{found.table.num_rows:,} examples written to {output}")
            if found.missing:
                print(f"note: without the rows themselves: {found.missing}")
        else:
            print_examples(chosen, found, limit=limit, wrong=wrong)


def merge(
    stores: Annotated[list[str], typer.Argument(metavar="STORE...", help="what is copied from")],
    into: Annotated[str, typer.Option(help="the store that gets what it lacks; made where there is none")],
    debug: Debug = False,
) -> None:
    """Bring stores together: trials that ended and runs that another has are added, nothing there is changed."""
    with exit_codes(debug):
        from raybench.report.merge_text import merge_stores
        from raybench.store.skipped import warn_skipped

        merge_stores(stores, into, warn_skipped)
