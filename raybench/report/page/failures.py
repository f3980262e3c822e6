"""What did not end well, grouped by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raybench.report.page.model import Failure
from raybench.report.page.secrets import without_secrets
from raybench.results.names import names

__all__ = ["failures_of"]


def failures_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Failure, ...]:
    """Of the rows of single datasets; the cause that struck most comes first."""
    struck: dict[tuple[str, str], list[str]] = {}
    for row, name in zip(rows, names(rows), strict=True):
        if row["status"] != "ok" or row["reason"]:
            status = row["status"] if row["status"] != "ok" else "undefined"
            cause = (status, without_secrets(row["reason"] or "no reason was kept"))
            struck.setdefault(cause, []).append(f"{name} on {row['dataset']}")
    found = [Failure(status=status, reason=reason, where=tuple(where)) for (status, reason), where in struck.items()]
    return tuple(sorted(found, key=lambda one: -len(one.where)))
