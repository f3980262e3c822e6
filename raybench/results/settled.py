"""Which trials that were stopped need nothing more: a race or halving has shown what was to be shown of them.

is_settled(row.status, row.reason)

Whoever stops trials so begins the reason with its words.
"""

from __future__ import annotations

__all__ = ["HALVED", "WORSE", "is_settled"]

WORSE = "worse than "  # a race
HALVED = "halving: "


def is_settled(status: str, reason: str | None) -> bool:
    """Whether it ended well, or was stopped by a rule of the job that would stop it again."""
    return status == "ok" or (status == "stopped" and (reason or "").startswith((WORSE, HALVED)))
