"""How a run is named on the command line.

    open_run("2026-11-25", "./raybench-store", skipped)

A store (its latest run), STORE/runs/<run id>, or of a store given beside it a run id, `latest`, `previous` (the run of
the same job before the latest), a date (the last run whose tables were written on that day, UTC), `today`, `yesterday`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from raybench.core.errors import StoreError
from raybench.core.suggestion import did_you_mean
from raybench.results.stored import RESCORED, StoredRun, find_run, finished_runs, read_run, written_at
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.runs import RunDirectory, list_runs

__all__ = ["open_run"]

_IN_A_STORE = re.compile(r"(?P<store>.+?)/runs/(?P<run>[^/]+)/?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_WORDS = ("latest", "previous", "today", "yesterday")


def open_run(name: str, store_url: str, skipped: Skipped) -> StoredRun:
    """The run that is meant; StoreError where nothing is."""
    if found := _IN_A_STORE.fullmatch(name):
        store = Store.open(found["store"])
        return read_run(store, find_run(store, found["run"]), skipped)
    if name not in _WORDS and not _DATE.fullmatch(name) and _is_store(name):
        store = Store.open(name)
        return read_run(store, find_run(store, None), skipped)
    store = Store.open(store_url)
    return read_run(store, _find(store, name), skipped)


def _is_store(name: str) -> bool:
    if "/" not in name and "\\" not in name and "://" not in name and not name.startswith("."):
        return bool(list_runs(Store.open(name).files))  # a folder of this name, or a run id
    if not list_runs(Store.open(name).files):
        raise StoreError(f"store {name}: holds no runs; `raybench run JOB` with `store: {name}` makes one")
    return True


def _find(store: Store, name: str) -> RunDirectory:
    own = [run for run in finished_runs(store) if not run.run_id.startswith(RESCORED)]
    if not own:
        raise StoreError(f"store {store.files.url}: holds no finished run; --store names another")
    if name == "latest":
        return own[-1]
    if name == "previous":
        job = _job(own[-1])
        before = [run for run in own[:-1] if _job(run) == job]
        if not before:
            raise StoreError(f"store {store.files.url}: holds no run of {job!r} before {own[-1].run_id}")
        return before[-1]
    day = _day(name)
    if day is None:
        if all(run.run_id != name for run in finished_runs(store)):
            known = [run.run_id for run in own] + list(_WORDS)
            raise StoreError(
                f"{name!r} is no store, no date and no run of store {store.files.url}{did_you_mean(name, known)}"
            )
        return find_run(store, name)
    on_day = [run for run in own if written_at(run).startswith(day.isoformat())]
    if not on_day:
        days = sorted({written_at(run)[:10] for run in own if written_at(run)})
        raise StoreError(f"store {store.files.url}: no run of {day} (UTC){did_you_mean(str(day), days, noun='days')}")
    return on_day[-1]


def _day(name: str) -> date | None:
    today = datetime.now(UTC).date()
    if name in ("today", "yesterday"):
        return today - timedelta(days=name == "yesterday")
    if not _DATE.fullmatch(name):
        return None
    try:
        return date.fromisoformat(name)
    except ValueError as error:
        raise StoreError(f"{name!r} is no date: {error}") from None


def _job(run: RunDirectory) -> str:
    """A run's id without the hash at its end: the job's name."""
    return run.run_id.rpartition("-")[0]
