"""What `raybench clean` says: what would go or has gone, by reason, with sizes."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console

from raybench.store import Store
from raybench.store.clean import remove, survey
from raybench.store.garbage import Waste
from raybench.store.parquet import Skipped

__all__ = ["clean", "size_text"]

_UNIT = 1000


def clean(url: str, skipped: Skipped, *, yes: bool, older_than_days: float, console: Console | None = None) -> None:
    """Say what can go from a store and, if it may, remove it."""
    console = console or Console(highlight=False, soft_wrap=True)
    store = Store.open(url)
    found = survey(store, skipped, abandoned_days=older_than_days)
    for holder in found.holders:
        console.print(f"left alone: {len(holder.trial_ids)} trials of {holder}", markup=False)
    if not found.garbage:
        console.print(f"store {url}: nothing to clean", markup=False)
        return
    gone = remove(store, found, skipped, abandoned_days=older_than_days) if yes else found.garbage
    by_reason = defaultdict(list)
    for waste in gone:
        by_reason[waste.why].append(waste)
    for why, wastes in sorted(by_reason.items()):
        console.print(f"{_amount(wastes)}  {why}", markup=False)
    total = f"{_amount(gone)}  in all"
    console.print(f"{total}, removed" if yes else f"{total}; `raybench clean {url} --yes` removes them", markup=False)


def size_text(num_bytes: float) -> str:
    """Bytes in the unit that reads best: 12 B, 3.4 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < _UNIT:
            return f"{num_bytes:.0f} B" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= _UNIT
    return f"{num_bytes:.1f} TB"


def _amount(wastes: list[Waste]) -> str:
    return f"{len(wastes):6,} files  {size_text(sum(waste.size for waste in wastes)):>9}"
