"""What is said of a file in a store that cannot be trusted and was left out."""

from __future__ import annotations

import warnings

__all__ = ["StoreWarning", "warn_skipped"]


class StoreWarning(UserWarning):
    """Something in the store cannot be trusted and was left out."""


def warn_skipped(path: str, reason: str) -> None:
    """Say what was skipped in a store, and why."""
    warnings.warn(f"store: {path}: {reason}", StoreWarning, stacklevel=2)
