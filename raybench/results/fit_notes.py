"""What a table says of its trials' fits where another device may give other last digits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["fit_notes"]


def fit_notes(fits: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes on fits, by what their checkpoints say: on smaller micro-batches, and on algorithms that vary."""
    stepped = [fit for fit in fits if "micro_batch_tokens_wanted" in fit]
    pairs = Counter((fit["micro_batch_tokens"], fit["micro_batch_tokens_wanted"]) for fit in stepped)
    notes = [
        f"trials fitted in micro-batches of {used} tokens instead of {wanted} for lack of memory: {count} of "
        f"{len(fits)}; last digits may differ from those of a larger device"
        for (used, wanted), count in sorted(pairs.items())
        if used != wanted
    ]
    if loose := sum(fit.get("deterministic") is False for fit in fits):
        notes.append(
            f"trials fitted with an operation that has no deterministic algorithm: {loose} of {len(fits)}; "
            "last digits may differ from run to run"
        )
    return notes
