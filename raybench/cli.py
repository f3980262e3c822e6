"""The command line: check, plan, run, rank, rescore, status, submit, clean; heavy imports live inside the commands.

Exit codes: 0 all well, 1 some trials did not end well, 2 something to mend before anything starts, 3 a bug of ours,
130 stopped by Ctrl-C or SIGTERM, 141 nobody reads the output any more.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from raybench.commands import descriptions, nights, reports, stores, trials
from raybench.commands.exits import Debug, exit_codes, tell_output_error

if TYPE_CHECKING:
    from raybench.job import Job
    from raybench.results.ranking import Ranking

__all__ = ["main"]

_BEGAN = time.time()  # of the command, but for Python's own start

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which of these checkpoints should I use? Fine-tune, score and rank candidates × datasets.",
)

for commands in (descriptions, nights, stores, trials, reports):
    commands.add_to(app)

JobFile = Annotated[str, typer.Argument(metavar="JOB", help="the job file, such as jobs/quickstart.yaml")]
Address = Annotated[
    str | None, typer.Option(help="an existing Ray cluster's address (default: this machine, or the cluster inside)")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="key=value in place of the file's, such as seeds=[0,1]; repeatable")
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="a candidate or dataset, by name or pattern; repeatable")
]
All = Annotated[bool, typer.Option("--all", help="also the configurations that were tried on validation rows")]
Actors = Annotated[int | None, typer.Option(min=1, help="number of workers, instead of the job's")]

Models = Annotated[list[str], typer.Option("--model", help="a hub id, a directory, pkg:…; once for each")]
Data = Annotated[str, typer.Option(help="a file (csv, parquet, json), a folder of pictures, a hub id")]
TestData = Annotated[str | None, typer.Option("--test", help="a file to score on, when --data is one to fit on")]
TaskName = Annotated[str | None, typer.Option("--task", help="instead of what the columns tell")]
ColumnNames = Annotated[list[str] | None, typer.Option("--column", help="text=review: which column is what")]
NumRows = Annotated[int, typer.Option("--rows", min=1, help="rows to fit on at most, and to score")]
StoreUrl = Annotated[str, typer.Option("--store", help="where what is done is kept")]


@app.command("try")
def try_(
    model: Models,
    data: Data,
    test: TestData = None,
    task: TaskName = None,
    column: ColumnNames = None,
    rows: NumRows = 2000,
    store: StoreUrl = "./raybench-store",
    debug: Debug = False,
) -> None:
    """Rank models on data without a job file: what is asked is found in the data, and said."""
    with exit_codes(debug):
        from raybench.api import try_models
        from raybench.planning.first_job import first_job, given_columns

        first = first_job(model, data, test=test, task=task, columns=given_columns(column), rows=rows, store=store)
        for line in first.said:
            print(line)
        _show(try_models(first), debug)


@app.command()
def new(
    model: Models,
    data: Data,
    test: TestData = None,
    task: TaskName = None,
    column: ColumnNames = None,
    rows: NumRows = 2000,
    store: StoreUrl = "./raybench-store",
    output: Annotated[str | None, typer.Option(help="the file to write, which must not be there; else printed")] = None,
    debug: Debug = False,
) -> None:
    """Write what `try` would run as a job file, with comments."""
    with exit_codes(debug):
        from raybench.planning.first_job import first_job, given_columns, write_new

        known = given_columns(column)
        first = first_job(model, data, test=test, task=task, columns=known, rows=rows, store=store, output=output)
        write_new(first.text(), output)


@app.command()
def run(
    job: JobFile,
    address: Address = None,
    actors: Actors = None,
    settings: Settings = None,
    only: Only = None,
    tried: All = False,
    timing: Annotated[bool, typer.Option("--timing", help="print where the time went")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, as plan does")] = False,
    budget: Annotated[
        float | None, typer.Option(help="hours after which what is left ends as stopped, instead of the job's")
    ] = None,
    debug: Debug = False,
) -> None:
    """Fit, score and rank what is missing; the same command again goes on where it stopped."""
    with exit_codes(debug):
        limited = [f"budget={{hours: {budget}}}"] if budget is not None else []
        chosen = _job(job, [*(settings or ()), *limited], only)
        if dry_run:
            from raybench.report.plan_command import plan_command

            plan_command(chosen)
        else:
            from raybench.api import run as run_job
            from raybench.core.timing import Timing
            from raybench.report.timing_table import timing_lines

            times = Timing(_BEGAN)
            ranking = run_job(chosen, address=address, actors=actors, timing=times)
            if timing:
                print("\n".join(timing_lines(times)), file=sys.stderr)
            _show(ranking, debug, tried)


@app.command()
def rank(job: JobFile, settings: Settings = None, only: Only = None, tried: All = False, debug: Debug = False) -> None:
    """Rank what the store holds of a job; starts nothing."""
    with exit_codes(debug):
        from raybench.api import rank as rank_job

        _show(rank_job(_job(job, settings, only)), debug, tried)


@app.command()
def plan(
    job: JobFile,
    settings: Settings = None,
    only: Only = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="measure this machine first, a minute; it is remembered")
    ] = False,
    simulate: Annotated[
        str | None, typer.Option(help="what other actors would make of it, such as 'gpus=1000, preempt=2%/h, speed=40'")
    ] = None,
    debug: Debug = False,
) -> None:
    """Print trials, shards and bundles, what is already done and what the rest will cost; starts nothing."""
    with exit_codes(debug):
        from raybench.report.plan_command import plan_command

        plan_command(_job(job, settings, only), measure=calibrate, circumstances=simulate)


@app.command()
def check(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="the job file")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="print the job file's JSON schema for editors")] = False,
    debug: Debug = False,
) -> None:
    """Check a job file and the names in it; opens no data and no model."""
    with exit_codes(debug):
        import json

        from raybench.core.errors import JobError
        from raybench.job import job_schema, load_job
        from raybench.job.catalogs import remarks

        if schema:
            print(json.dumps(job_schema(), indent=2))
            return
        if job is None:
            raise JobError("check: name a job file, or --schema")
        loaded = load_job(job)
        num = sum(candidate.num_configurations for candidate in loaded.candidates)
        for note in remarks(loaded):
            print(f"note: {note}")
        print(f"{job}: good: {num} configurations × {len(loaded.datasets)} datasets × {len(loaded.seeds)} seeds")


@app.command()
def rescore(
    store: Annotated[str, typer.Argument(metavar="STORE", help="the store of an ended run")],
    metrics: Annotated[str, typer.Option(help="names, separated by commas; the first one ranks")],
    slices: Annotated[str, typer.Option("--slice", help="columns of the records, separated by commas")] = "",
    rank_by: Annotated[str | None, typer.Option(help="the metric that ranks, instead of the first")] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", help="the run whose trials are scored; default: the latest")
    ] = None,
    debug: Debug = False,
) -> None:
    """Compute other metrics and slices from stored records, without model or GPU, as a run of its own."""
    with exit_codes(debug):
        from raybench.results.rescore import rescore as rescore_store
        from raybench.store.skipped import warn_skipped

        names, columns = ([part.strip() for part in text.split(",") if part.strip()] for text in (metrics, slices))
        ranking = rescore_store(store, names, slices=columns, run_id=run_id, rank_by=rank_by, skipped=warn_skipped)
        _show(ranking, debug)


@app.command()
def status(
    store: Annotated[str, typer.Argument(metavar="STORE", help="the store of a running or ended run")],
    debug: Debug = False,
) -> None:
    """How far each run in a store has got."""
    with exit_codes(debug):
        from raybench.report.status_table import print_status

        print_status(store)


@app.command()
def submit(
    job: JobFile,
    address: Annotated[str, typer.Option(help="the cluster's dashboard, such as http://127.0.0.1:8265")],
    follow: Annotated[bool, typer.Option(help="stream the log until the job ends")] = True,
    debug: Debug = False,
) -> None:
    """Run a job on a Ray cluster through its job API; the same job on the same day is one submission."""
    with exit_codes(debug):
        from raybench.cluster.submit import submit as submit_job

        raise typer.Exit(submit_job(job, address, follow=follow))


@app.command()
def clean(
    store: Annotated[str, typer.Argument(metavar="STORE", help="the store to clean")],
    yes: Annotated[bool, typer.Option("--yes", help="do it; without, only say what would go")] = False,
    older_than: Annotated[
        float, typer.Option(min=0, help="days after which nobody goes on with a run that was stopped")
    ] = 7.0,
    debug: Debug = False,
) -> None:
    """Say what nobody needs any more in a store, and remove it with --yes; leaves alone what runs are doing."""
    with exit_codes(debug):
        from raybench.report.clean_table import clean as clean_store
        from raybench.store.skipped import warn_skipped

        clean_store(store, warn_skipped, yes=yes, older_than_days=older_than)


def main() -> None:
    """Run the command that `sys.argv` names, and leave with its exit code."""
    from raybench.report.output import degrade

    for stream in (sys.stdout, sys.stderr):
        degrade(stream)
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    try:
        app()
    except OSError as error:  # of the help's text
        try:
            tell_output_error(error)
        except typer.Exit as ended:
            sys.exit(ended.exit_code)
        raise


def _job(path: str, settings: list[str] | None, names: list[str] | None) -> Job:
    from raybench.job import load_job, only

    return only(load_job(path, settings or ()), names or ())


def _show(ranking: Ranking, debug: bool, tried: bool = False) -> None:
    from raybench.report.ranking_table import print_ranking

    print_ranking(ranking, tried=tried)
    if debug:
        for trial_id, traceback in ranking.tracebacks.items():
            print(f"\ntrial {trial_id}:\n{traceback}", file=sys.stderr)
    if not ranking.complete:
        raise typer.Exit(1)
