"""What `raybench merge` says: of each store what was added and what was there already."""

from __future__ import annotations

from rich.console import Console

from raybench.core.errors import StoreError
from raybench.report.clean_table import size_text
from raybench.store import Store
from raybench.store.merge import Merged, merge_store
from raybench.store.parquet import Skipped
from raybench.store.runs import list_runs

__all__ = ["merge_stores"]


def merge_stores(urls: list[str], into: str, skipped: Skipped, console: Console | None = None) -> None:
    """Merge them one after the other; StoreError before anything is written where one of them is no store."""
    console = console or Console(highlight=False, soft_wrap=True)
    target = Store.open(into)
    sources = [Store.open(url) for url in urls]
    for url, source in zip(urls, sources, strict=True):
        if source.files.absolute_url.rstrip("/") == target.files.absolute_url.rstrip("/"):
            raise StoreError(f"store {url}: is the one to merge into; leave it out")
        if not list_runs(source.files) and not source.trials.files():
            raise StoreError(f"store {url}: holds no runs")
    target.files.check_writable()
    for url, source in zip(urls, sources, strict=True):
        console.print(f"{url}: {_told(merge_store(source, target, skipped))}", markup=False)
    console.print(f"merged into {into}; `raybench runs {into}` lists what it holds", markup=False)


def _told(merged: Merged) -> str:
    parts = [f"{merged.new_trials:,} trials and {len(merged.new_runs)} runs added ({size_text(merged.num_bytes)})"]
    if merged.known_trials or merged.known_runs:
        parts.append(f"{merged.known_trials:,} trials and {len(merged.known_runs)} runs were there")
    if merged.busy_runs:
        parts.append(f"{', '.join(merged.busy_runs)} under way there and left alone; merge again when it has ended")
    return "; ".join(parts)
