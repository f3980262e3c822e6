"""What of a store's files nobody needs any more: decided from a listing, so that it can be told before it is done.

    for waste in find_garbage(store.files.entries(), state): waste.path, waste.size, waste.why

Runs, ends of trials, records of trials that ended well and files that are not raybench's are never garbage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from raybench.store.files import Entry

__all__ = ["ABANDONED_DAYS", "StoreState", "Waste", "find_garbage", "trial_of"]

ABANDONED_DAYS = 7.0  # after so long nobody goes on with a run that was stopped
_OF_A_TRIAL = re.compile(
    r"(?:checkpoints/trial=([^/.]+)|unfinished/trial=([^/.]+)\.[^/.]+)\.safetensors"
    r"|(?:shards|records)/trial=([^/.]+)/(?:part-[^/]*\.parquet|\.[^/]*\.tmp)"
)
_LEASE = re.compile(r"\d{8}-[0-9a-f]{32}\.(?:json|beat)")
_WRITE_SECONDS = 3600.0  # no single write takes longer


class Waste(NamedTuple):
    """A file that can go, and why."""

    path: str
    size: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What must be known beside the listing."""

    now: float  # by the store's clock
    ended: Mapping[str, str | None]  # trial → the basis of its records; None of one that ended for good without any
    held: frozenset[str]  # trials of living runs: never touched
    running: frozenset[str] = frozenset()  # ids of living runs
    dead_leases: frozenset[str] = frozenset()  # their files' names, without what follows the dot
    living_leases: frozenset[str] = frozenset()
    abandoned_seconds: float = ABANDONED_DAYS * 86400


def trial_of(path: str) -> str | None:
    """The trial whose file raybench has written here, None of any other file."""
    found = _OF_A_TRIAL.fullmatch(path)
    return found.group(found.lastindex) if found is not None and found.lastindex is not None else None


def find_garbage(entries: Iterable[Entry], state: StoreState) -> list[Waste]:
    """Every file that can go, by path."""
    entries = sorted(entries)
    touched: dict[str, float] = {}  # trial → when something of it was written last
    for entry in entries:
        trial_id = trial_of(entry.path)
        if trial_id is not None:
            touched[trial_id] = max(touched.get(trial_id, 0.0), entry.modified)
    found = []
    for entry in entries:
        trial_id = trial_of(entry.path)
        is_old = state.now - (touched[trial_id] if trial_id else entry.modified) > (
            state.abandoned_seconds if trial_id else _WRITE_SECONDS
        )
        why = _why(entry.path, trial_id, state, is_old=is_old)
        if why is not None:
            found.append(Waste(entry.path, entry.size, why))
    return found


def _why(path: str, trial_id: str | None, state: StoreState, *, is_old: bool) -> str | None:
    room, _, rest = path.partition("/")
    name = path.rpartition("/")[2]
    if trial_id in state.held:
        return None
    if name.startswith(".") and name.endswith(".tmp"):
        return "unfinished files of writes that were killed" if is_old or trial_id in state.ended else None
    if room == "leases":
        lease = rest.partition(".")[0]
        is_lost = is_old and _LEASE.fullmatch(rest) and lease not in state.living_leases  # torn, or half gone
        if lease in state.dead_leases or is_lost:
            return "leases of runs that are gone"
    if room == "runs" and name.startswith("driver-") and is_old and rest.partition("/")[0] not in state.running:
        return "words of drivers that were killed"
    if trial_id is None:
        return None
    if room == "records" and state.ended.get(trial_id) is not None:
        basis = state.ended[trial_id]
        return None if name.startswith(f"part-{basis}-" if basis else "part-") else "records on another basis"
    if room == "checkpoints" and state.ended.get(trial_id) is not None and not is_old:
        return None  # trials that are scored on other rows by this fit may still read it
    if trial_id in state.ended:
        return {
            "checkpoints": "checkpoints of trials that have ended",
            "shards": "shards of trials that have ended",
            "unfinished": "states of fits of trials that have ended",
            "records": "records of trials that ended without a score",
        }[room]
    return f"{room} of trials that nobody has gone on with" if is_old else None
