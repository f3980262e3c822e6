"""What `raybench replay` and `export` say: the same to the bit or what has changed, and where it was written."""

from __future__ import annotations

from rich.console import Console

from raybench.models.export import HEAD_FILE
from raybench.replay.export import Exported
from raybench.replay.find import FoundTrial
from raybench.replay.verdict import Verdict
from raybench.report.numbers import number
from raybench.report.output import output_console

__all__ = ["print_export", "print_replay"]

_SHOWN = 5


def print_replay(found: FoundTrial, verdict: Verdict, console: Console | None = None) -> None:
    """A line where it is the same; else why, how far the metrics moved and which examples differ."""
    console = console or output_console()
    trial = found.one.trial
    name = f"{trial.candidate} on {trial.dataset.name}, seed {trial.seed} (trial {trial.trial_id[:8]})"
    if verdict.is_same:
        line = f"{name}: the same to the bit, on all of {verdict.num_examples:,} examples"
        console.print(line, markup=False, soft_wrap=True)
        return
    lines = [f"{name}: other than it was", f"  why: {'; '.join(verdict.causes)}"]
    lines += [f"  {metric}: {number(a)} → {number(b)}" for metric, (a, b) in verdict.values.items()]
    if verdict.changed:
        more = ", …" if len(verdict.changed) > _SHOWN else ""
        ids = ", ".join(one[:12] for one in verdict.changed[:_SHOWN])
        lines.append(f"  other outputs for {len(verdict.changed):,} of {verdict.num_examples:,} examples ({ids}{more})")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def print_export(exported: Exported, console: Console | None = None) -> None:
    """What was fitted again, and how it is opened."""
    console = console or output_console()
    print_replay(exported.replayed.found, exported.replayed.verdict, console)
    head = f", its head in {HEAD_FILE}" if exported.has_own_head else ""
    line = f"written to {exported.directory}: {exported.opened_by}.from_pretrained opens it{head}; README.md says how"
    console.print(line, markup=False, soft_wrap=True)
