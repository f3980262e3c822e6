"""A run all of whose names, labels, texts and reasons try to be something else than text."""

from __future__ import annotations

from pathlib import Path

from raybench.store.runs import RunDirectory
from tests.report.made_run import make_rows, make_run

MARK = "window.ran=true"
SCRIPT = f"<script>{MARK}</script>"
IMAGE = f'"><img src=x onerror="{MARK}">'
RIGHT_TO_LEFT = "\u202eשלום مرحبا\u202c"
LONG = "x" * 10_000
SECRETS = ("hf_abcdefghijklmnopqrstuv", "hunter2", "s3cr3t-value")


def make_hostile_run(folder: Path, *, examples: int = 300, seeds: tuple[int, ...] = (0,)) -> RunDirectory:
    """Two datasets, 30 candidates and one that failed."""
    labels = (SCRIPT, IMAGE, RIGHT_TO_LEFT)
    rows = [
        (f"{text} {SCRIPT} {RIGHT_TO_LEFT} </div></section>{{{{7*7}}}}<svg onload={MARK}>\x07", label, source)
        for text, label, source in make_rows(examples, labels)
    ]
    rows[::3] = [(f"{text}{LONG}", label, SCRIPT) for text, label, _ in rows[::3]]
    candidates = {SCRIPT: 3.0, IMAGE: 2.9, "$x_1$ & co": 2.7, "W" * 150: 2.2, RIGHT_TO_LEFT: 1.5}
    candidates |= {f"checkpoint-{step}": step / 20 for step in range(2, 27)}
    return make_run(
        folder,
        datasets={IMAGE: rows, "two labels": make_rows(examples, ("no", "yes"))},
        candidates=candidates,
        seeds=seeds,
        failed={
            f"broken {SCRIPT}": f"OSError: {IMAGE} token={SECRETS[0]} at s3://me:{SECRETS[1]}@bucket?sig={SECRETS[2]}"
        },
        notes=(f"a note {SCRIPT}",),
    )
