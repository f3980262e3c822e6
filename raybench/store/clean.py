"""Cleaning a store: what would go, and making it go, while runs go on beside.

found = survey(store, skipped)                 # changes nothing
remove(store, found, skipped)                  # what is still garbage once its trials are held
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from raybench.core import Status
from raybench.store.garbage import ABANDONED_DAYS, StoreState, Waste, find_garbage, trial_of
from raybench.store.leases import Holder, Lease, read_holders
from raybench.store.parquet import Skipped
from raybench.store.store import Store

__all__ = ["Survey", "remove", "survey"]

_THREADS = 16
_RUN_ID = "clean"
_WITHOUT_A_SCORE = (Status.NAN, Status.INCOMPATIBLE)  # and not tried again


class Survey(NamedTuple):
    """What can go, and the runs whose trials were left alone."""

    garbage: list[Waste]
    holders: list[Holder]


def survey(
    store: Store, skipped: Skipped, *, abandoned_days: float = ABANDONED_DAYS, but: Collection[str] = ()
) -> Survey:
    """Look at the whole store; leases whose owner is in `but` are one's own."""
    now = time.time()
    holders = list(read_holders(store.files))  # first: whoever comes later waits for what is held then
    living = [one for one in holders if not one.is_dead(now) and one.ticket.owner not in but]
    ended: dict[str, str | None] = {}
    for trial_id, row in store.trials.read(skipped, states_of=()).items():
        if row.status is Status.OK:
            ended[trial_id] = row.basis
        elif row.status in _WITHOUT_A_SCORE:
            ended[trial_id] = None
    state = StoreState(
        now=now,
        ended=ended,
        held=frozenset().union(*(one.trial_ids for one in living)),
        running=frozenset(one.run_id for one in living),
        dead_leases=frozenset(one.name for one in holders if one.is_dead(now)),
        living_leases=frozenset(one.name for one in holders if not one.is_dead(now)),
        abandoned_seconds=abandoned_days * 86400,
    )
    return Survey(find_garbage(store.files.entries(), state), living)


def remove(store: Store, found: Survey, skipped: Skipped, *, abandoned_days: float = ABANDONED_DAYS) -> list[Waste]:
    """Remove what was found, and is garbage still now that no run can begin with its trials."""
    trial_ids = {trial_id for waste in found.garbage if (trial_id := trial_of(waste.path)) is not None}
    with Lease(store.files, _RUN_ID, trial_ids) as lease:
        take = lease.divide(trial_ids).take
        again = survey(store, skipped, abandoned_days=abandoned_days, but=[lease.owner]).garbage
        before = {waste.path for waste in found.garbage}
        going = [one for one in again if one.path in before and (trial_of(one.path) or "") in {*take, ""}]
        folders = defaultdict(set)
        for waste in going:
            folders[waste.path.rpartition("/")[0]].add(waste.path)
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(store.files.remove, (waste.path for waste in going)))
        for folder in folders:  # one that is empty now, where there are folders at all
            if "/trial=" in folder and not store.files.find(folder, ""):
                store.files.remove(folder)
    return going
