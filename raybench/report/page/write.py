"""The command `report`: finds the run that is meant, makes its report and writes it.

write_report("jobs/quickstart.yaml", form="html", output=None, figures=None, examples=True, why=0, skipped=skipped)
"""

from __future__ import annotations

import sys
from pathlib import Path

from raybench.core.errors import RaybenchError, StoreError
from raybench.job import Job, load_job
from raybench.report.page.html import html_of
from raybench.report.page.make import make_report
from raybench.report.page.model import Report
from raybench.report.page.pictures import pictures_of
from raybench.report.page.texts import as_csv, as_json, as_latex, as_markdown
from raybench.report.page.theme import PRINT, file_of, style
from raybench.results.references import open_run
from raybench.results.stored import StoredRun, finished_runs, read_run
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.runs import RunDirectory

__all__ = ["write_report"]

_JOB_FILES = (".yaml", ".yml")
_WITH_EXAMPLES = ("html", "json")
_TEXTS = {"md": as_markdown, "csv": as_csv, "latex": as_latex, "json": as_json}


def write_report(
    name: str,
    *,
    form: str,
    output: str | None,
    figures: str | None,
    examples: bool,
    why: int,
    store: str,
    skipped: Skipped,
) -> None:
    """`form` is html, md, csv, latex or json; `why`: so many examples of each dataset are explained.

    A page goes beside the run's tables, another form to standard output, unless `output` names a file.
    """
    if why and form not in _WITH_EXAMPLES:
        raise RaybenchError(f"report: --why explains examples, which --format {form} has not; html and json have them")
    if why and not examples:
        raise RaybenchError("report: --why explains the examples that --no-examples leaves out; give one of them")
    job = load_job(name) if name.endswith(_JOB_FILES) else None
    run = _run_of(job, name, skipped) if job is not None else open_run(name, store, skipped)
    report = make_report(run, skipped, job=job, examples=examples, why=why, tell=_tell)
    text = html_of(report) if form == "html" else _TEXTS[form](report)
    if output is not None:
        _write(Path(output), text.encode(errors="replace"))
        print(f"written to {output}")
    elif form == "html":
        run.directory.write_text("report.html", text)
        print(f"written to {run.directory.location('report.html')}")
    else:
        print(text, end="")
    if figures is not None:
        print(f"{_write_figures(report, Path(figures))} pictures, each as SVG and PNG, written to {figures}")


def _tell(line: str) -> None:
    """Beside what is printed to be kept."""
    print(line, file=sys.stderr, flush=True)


def _run_of(job: Job, name: str, skipped: Skipped) -> StoredRun:
    """The latest finished run of a job file, as it is now or, where there is none, as it was."""
    store = Store.open(job.store)
    runs = finished_runs(store)
    same = [run for run in runs if _job_text(run) == job.text]
    alike = [run for run in runs if run.run_id.rpartition("-")[0] == job.name]
    if not same and not alike:
        raise StoreError(f"store {job.store}: holds no finished run of {name}; `raybench run {name}` makes one")
    if not same:
        skipped(name, f"has changed since its last finished run {alike[-1].run_id}, which is shown")
    return read_run(store, (same or alike)[-1], skipped)


def _job_text(run: RunDirectory) -> str:
    try:
        return run.files.read(run.path("job.yaml")).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _write_figures(report: Report, folder: Path) -> int:
    """Under names of our own, never those of the data."""
    pictures = list(pictures_of(report))
    with style(PRINT):
        for picture in pictures:
            figure = picture.draw(PRINT)
            for form in ("svg", "png"):
                _write(folder / f"{picture.key}.{form}", file_of(figure, form, PRINT))
    return len(pictures)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise RaybenchError(f"report: {path} cannot be written: {error.strerror}") from error
