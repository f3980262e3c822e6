"""Where the time of a run went: what `--timing` prints."""

from __future__ import annotations

from raybench.core.timing import Timing

__all__ = ["timing_lines"]

_WORDS = {
    "imports": "Python and its modules are there",
    "rows": "rows are read and hashed, or remembered",
    "plan": "the plan is made",
    "Ray": "Ray answers",
    "actor": "the first actor has imported what it needs",
    "fit": "the first fit begins",
    "step": "the first step of training",
    "scored": "all is fitted and scored (of several rounds the first)",
    "work": "scores, intervals and replicates are there",
    "tables": "results are reduced, ranked and written",
}


def timing_lines(timing: Timing) -> list[str]:
    """A line a moment that was reached, in seconds from the command."""
    return ["seconds from the command", *(f"{at:8.2f}  {_WORDS[name]}" for name, at in timing.moments.items())]
