"""Stores of several people or machines as one: what another has and this one lacks is copied, nothing here is changed.

    merged = merge_store(Store.open("./ann"), into, skipped)         # again: nothing more to do

Copied are trials that ended, with their whole records, and runs with tables; trials under way stay where they are.
What both have stays as it is here. Records go before the row that speaks of them, so a merge that is cut short leaves
nothing untrue. Each run says from which stores it came, by whom and when it was written there (`ORIGINS`).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from raybench.core import Status
from raybench.store.leases import read_living
from raybench.store.parquet import Skipped
from raybench.store.records import count_records, list_records
from raybench.store.runs import RunDirectory, list_runs
from raybench.store.store import Store
from raybench.store.trials import TrialRow

__all__ = ["ORIGINS", "Merged", "merge_store"]

ORIGINS = "origins.json"  # of a run: the stores it was merged from
_ENDED = (Status.OK, Status.NAN, Status.INCOMPATIBLE)  # and not tried again
_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What was added and what was there already."""

    new_trials: int
    known_trials: int
    new_runs: tuple[str, ...]
    known_runs: tuple[str, ...]
    busy_runs: tuple[str, ...]  # under way here: their directory is their own
    num_bytes: int


def merge_store(source: Store, into: Store, skipped: Skipped) -> Merged:
    """Add what `source` holds to `into`."""
    known = into.trials.read(skipped)
    rows = source.trials.read(skipped)
    records = list_records(source.files)
    new = [
        row
        for trial_id, row in sorted(rows.items())
        if trial_id not in known or (known[trial_id].status not in _ENDED and row.status in _ENDED)
    ]

    def copy(row: TrialRow) -> int | None:
        return _copy_records(source, into, row, records.get(row.trial_id, []), skipped)

    with ThreadPoolExecutor(_THREADS) as pool:
        copied = list(pool.map(copy, new))
    added = [row for row, num_bytes in zip(new, copied, strict=True) if num_bytes is not None]
    for row in added:
        into.trials.append(row)
    into.flush()
    into.trials.compact(skipped)
    runs: dict[str, list[str]] = {"new": [], "known": [], "busy": []}
    num_bytes = sum(size for size in copied if size is not None)
    living = {one.run_id for one in read_living(into.files)}
    for run in list_runs(source.files):
        if not source.files.exists(run.path("scores.parquet")):
            continue
        if run.run_id in living:
            runs["busy"].append(run.run_id)
            continue
        target = into.run(run.run_id)
        is_known = into.files.exists(target.path("scores.parquet"))
        runs["known" if is_known else "new"].append(run.run_id)
        if not is_known:
            num_bytes += _copy_run(run, target)
        _note_origins(run, target)
    return Merged(
        new_trials=len(added),
        known_trials=len(rows) - len(new),
        new_runs=tuple(runs["new"]),
        known_runs=tuple(runs["known"]),
        busy_runs=tuple(runs["busy"]),
        num_bytes=num_bytes,
    )


def _copy_records(source: Store, into: Store, row: TrialRow, paths: list[str], skipped: Skipped) -> int | None:
    """Bytes copied; None of a trial whose records are not whole, which is said and left out."""
    if row.status is not Status.OK:
        return 0
    if count_records(source.files, row.trial_id, paths, row.basis, skipped) != row.num_examples:
        skipped(f"trials: {row.trial_id}", "its records are not whole; not merged")
        return None
    num_bytes = 0
    for path in paths:
        if path.rpartition("/")[2].startswith(f"part-{row.basis}-" if row.basis else "part-"):
            data = source.files.read(path)
            into.files.write(path, data)
            num_bytes += len(data)
    return num_bytes


def _copy_run(run: RunDirectory, target: RunDirectory) -> int:
    """A run's files, its scores last: with them it counts as finished."""
    paths = run.files.find(f"runs/{run.run_id}", "")
    num_bytes = 0
    for path in sorted(paths, key=lambda path: path.endswith("scores.parquet")):
        if not path.rpartition("/")[2].startswith("driver-"):
            data = run.files.read(path)
            target.files.write(path, data)
            num_bytes += len(data)
    return num_bytes


def _note_origins(run: RunDirectory, target: RunDirectory) -> None:
    """Add where a run comes from, with the origins that it had there."""
    environment = run.read_json("environment.json") or {}
    own = {
        "store": run.files.absolute_url,
        "written_by": environment.get("written_by", ""),
        "written_at": environment.get("written_at", ""),
    }
    before = _origins(target)
    known = {_key(one): one for one in before}
    for one in [*_origins(run), own]:
        known.setdefault(_key(one), one)
    if len(known) > len(before):
        target.write_json(ORIGINS, {"origins": sorted(known.values(), key=_key)})


def _origins(run: RunDirectory) -> list[Mapping[str, Any]]:
    found = (run.read_json(ORIGINS) or {}).get("origins", [])
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _key(origin: Mapping[str, Any]) -> tuple[str, str, str]:
    store, by, at = (str(origin.get(name, "")) for name in ("store", "written_by", "written_at"))
    return at, by, store
