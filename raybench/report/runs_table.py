"""What a store holds, a line a run; and one run in detail."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raybench.core.errors import StoreError
from raybench.core.suggestion import did_you_mean
from raybench.job.rank_by import told, weights_of
from raybench.report.clean_table import size_text
from raybench.report.numbers import number, seconds
from raybench.report.output import output_console
from raybench.report.status_table import state_text
from raybench.results.names import names
from raybench.results.run_list import RunSummary, job_words, list_summaries
from raybench.results.stored import RESCORED, StoredRun
from raybench.results.values import values_of
from raybench.store import Store
from raybench.store.merge import ORIGINS
from raybench.store.runs import JOB_DIRECTORY, NOTES

__all__ = ["print_run", "print_runs"]

_UNITS = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0))


def print_runs(url: str, tag: str | None = None, console: Console | None = None) -> None:
    """A line a run, the one written last first; with `tag` those of jobs that have it."""
    console = console or output_console()
    listing = list_summaries(Store.open(url))
    if not listing.runs:
        raise StoreError(f"store {url}: holds no runs; `raybench run JOB` with `store: {url}` makes one")
    runs = [run for run in listing.runs if tag is None or tag in run.tags]
    if not runs:
        tags = {known for run in listing.runs for known in run.tags}
        raise StoreError(f"store {url}: no run is tagged {tag!r}{did_you_mean(str(tag), tags)}")
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True)
    tagged = ("tags",) if any(run.tags for run in runs) else ()
    for name in ("job", *tagged, "state", "ended", "datasets", "written", "by"):
        table.add_column(name, overflow="fold")
    table.add_column("size", justify="right")
    for run in runs:
        cells = [
            run.run_id,
            run.job,
            *(", ".join(run.tags) for _ in tagged),
            _state(run),
            ", ".join(f"{count} {status}" for status, count in run.statuses.items()),
            ", ".join(run.datasets),
            age_text(run.written_at),
            run.written_by,
            size_text(run.num_bytes),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    several = "; runs share trials, so theirs may count several times" if len(listing.runs) > 1 else ""
    of = f" of {len(listing.runs)}" if len(runs) < len(listing.runs) else ""
    size = f"{size_text(listing.num_bytes)} in all{several}"
    console.print(f"{len(runs)}{of} runs; the store takes {size}", soft_wrap=True)


def print_run(run: StoredRun, console: Console | None = None) -> None:
    """What a run holds: its job and its files, its datasets, a line a trial, what did not end well, its notes."""
    console = console or output_console()

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    environment = run.directory.read_json("environment.json") or {}
    by = f" by {environment['written_by']}" if environment.get("written_by") else ""
    words = job_words(run.directory)
    tagged = f", tagged {', '.join(words.tags)}" if words.tags else ""
    say(f"run {run.run_id}, of job {words.name!r}{tagged}, written {run.written_at} ({age_text(run.written_at)}){by}")
    if environment.get(JOB_DIRECTORY):
        say(f"job file from {environment[JOB_DIRECTORY]}; kept as {run.directory.location('job.yaml')}")
    origins = (run.directory.read_json(ORIGINS) or {}).get("origins", ())
    for one in origins:
        say(f"merged from {one['store']}, written {one['written_at']} by {one['written_by'] or 'whom it does not say'}")
    for dataset in {one.trial.dataset.name: one.trial.dataset for one in run.trials}.values():
        labels = f", {len(dataset.labels)} labels" if dataset.labels else ""
        ranked = told(run.rank_by[dataset.name]) if dataset.name in run.rank_by else "a metric that it does not say"
        say(
            f"dataset {dataset.name}: {dataset.task}{labels}, ranked by {ranked}, fingerprint {dataset.fingerprint[:8]}"
        )
    console.print(_trials(run))
    for end in run.bad_ends:
        say(f"{end.configuration.candidate} on {end.dataset} is {end.status}: {end.reason}")
    for made in environment.get("trials", ()):
        say(f"made on: {_made_on_text(made)} ({made.get('num_trials', 0)} trials)")
    for note in environment.get(NOTES, ()):
        say(f"note: {note}")


def age_text(written_at: str) -> str:
    """How long ago, in the largest unit that fits: 3 days ago."""
    try:
        then = datetime.fromisoformat(written_at)
    except ValueError:
        return written_at
    passed = (datetime.now(UTC) - then).total_seconds()
    for unit, size in _UNITS:
        if passed >= size:
            count = math.floor(passed / size)
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return "just now"


def _state(run: RunSummary) -> str:
    if run.run_id.startswith(RESCORED):
        return "rescored"
    try:
        return state_text(dict(run.progress)) if run.progress is not None else ""
    except (KeyError, TypeError, ValueError):  # of another program, or of a raybench to come
        return "its progress.json cannot be read"


def _trials(run: StoredRun) -> Table:
    table = Table(box=None, pad_edge=False)
    metrics = list(dict.fromkeys(name for rank_by in run.rank_by.values() for name in weights_of(rank_by)))
    for name in ("trial", "candidate", "dataset", "seed", *metrics, "n", "fit s", "score s", "weights"):
        is_number = name in ("seed", "n", "fit s", "score s", *metrics)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    named = names([one.configuration._asdict() for one in run.trials])
    values = values_of(run.directory)
    for one, name in zip(run.trials, named, strict=True):
        trial, cost = one.trial, one.row.cost
        scores = [values.get((trial.trial_id, metric)) for metric in metrics]
        cells = [
            trial.trial_id[:8],
            name,
            trial.dataset.name,
            str(trial.seed),
            *("" if score is None else number(score.value) for score in scores),
            f"{one.row.num_examples:,}",
            seconds(cost.get("fit_seconds")),
            seconds(cost.get("score_seconds")),
            trial.weights_fingerprint[:8],
        ]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _made_on_text(made: dict[str, Any]) -> str:
    part = made.get("score", {})
    named = {name: values for name, values in part.items() if name != "versions"} | part.get("versions", {})
    return "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in named.items())
