"""How far the runs of a store have got, from their progress.json."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raybench.core.errors import StoreError
from raybench.report.output import output_console
from raybench.store import Store
from raybench.store.runs import list_runs

__all__ = ["print_status", "state_text"]

_SILENT_SECONDS = 30.0  # progress is written every second or so: after this the driver is gone


def print_status(url: str, console: Console | None = None) -> None:
    """A line a run, the newest first."""
    console = console or output_console()
    runs = list_runs(Store.open(url).files)
    progress = [(run.run_id, state) for run in runs if (state := run.read_json("progress.json")) is not None]
    if not progress:
        raise StoreError(f"store {url}: holds no runs; `raybench run JOB` with `store: {url}` makes one")
    table = Table(box=None, pad_edge=False)
    for name in ("run", "state", "trials", "shards", "examples/s", "took", "left"):
        table.add_column(name, justify="left" if name in ("run", "state") else "right")
    rows = []
    for run_id, state in progress:
        try:
            rows.append((float(state["began_at"]), _cells(run_id, state)))
        except (KeyError, TypeError, ValueError):  # of another program, or of a raybench to come
            rows.append((0.0, [run_id, "its progress.json cannot be read; run the job again to know", *[""] * 5]))
    for _, cells in sorted(rows, key=lambda row: -row[0]):
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for run_id, state in progress:
        if state.get("state") == "running" and isinstance(doing := state.get("doing"), list):
            for words in doing:
                console.print(f"{run_id}: {words}", markup=False, soft_wrap=True)


def state_text(state: dict[str, Any]) -> str:
    """What a run does, from its progress.json; KeyError and such where that is another program's."""
    silent = time.time() - state["updated_at"]
    name = str(state["state"])
    if name == "running" and silent > _SILENT_SECONDS:
        return f"silent for {silent:.0f} s; run the job again to go on"
    return name


def _cells(run_id: str, state: dict[str, Any]) -> list[str]:
    name = state_text(state)
    rate, left = state["examples_per_second"], state["seconds_left"]
    bad = {status: count for status, count in state["statuses"].items() if status != "ok"}
    trials = f"{state['trials_done']}/{state['trials']}" + "".join(f", {n} {status}" for status, n in bad.items())
    took = [f"{state['seconds']:.0f} s", f"{left:.0f} s" if left else ""]
    return [run_id, name, trials, str(state["shards_scored"]), f"{rate:.0f}" if rate else "", *took]
