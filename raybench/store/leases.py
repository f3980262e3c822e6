"""A run's hold on the trials that it does, so that several runs share a store: each trial is done by one at a time.

    with Lease(files, run_id, trial_ids) as lease:
        take, wait = lease.divide(trial_ids)
        ...
        lease.check()                       # StoreError once another run has taken over

    STORE/leases/<number>-<owner>.json      who it is and which trials it wants, written once
    STORE/leases/<number>-<owner>.beat      rewritten every few seconds: the sign of life

Ages are differences of the store's own clock, so that machines need not agree on the time.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

from raybench.core.errors import StoreError
from raybench.store.claims import (
    BEAT_SECONDS,
    DEAD_SECONDS,
    Claim,
    Division,
    Ticket,
    divide,
    is_dead,
    is_late,
    next_number,
)
from raybench.store.files import Files
from raybench.store.process import Process, still_runs, this_process

__all__ = ["Holder", "Lease", "read_holders", "read_living", "remove_lease"]

_FOLDER = "leases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A run that holds trials: who it is, since when (seconds since 1970, by its own clock), and its last sign."""

    ticket: Ticket
    run_id: str
    trial_ids: frozenset[str]
    process: Process
    began_at: float
    modified: float  # its last sign of life, by the store's clock

    @property
    def name(self) -> str:
        """Of its files, without what follows the dot."""
        return _path(self.ticket, "").rpartition("/")[2].removesuffix(".")

    def is_dead(self, now: float, dead_seconds: float = DEAD_SECONDS) -> bool:
        """Whether its trials may be taken; `now` by the store's clock."""
        return is_dead(now - self.modified, still_runs(self.process), dead_seconds)

    def __str__(self) -> str:
        return f"{self.process}, since {time.strftime('%H:%M:%S', time.localtime(self.began_at))}"


class Lease:
    """This process's hold; released when it is left, and taken for dead when it falls silent."""

    def __init__(
        self,
        files: Files,
        run_id: str,
        trial_ids: Collection[str],
        *,
        beat_seconds: float = BEAT_SECONDS,
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        self._files = files
        self.owner = uuid.uuid4().hex
        self._body = json.dumps(
            {
                "run_id": run_id,
                "trial_ids": sorted(trial_ids),
                "process": asdict(this_process()),
                "began_at": time.time(),
            }
        ).encode()
        self._beat_seconds, self._dead_seconds = beat_seconds, dead_seconds
        self._ticket = Ticket(0, self.owner)
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True, name="raybench-lease")
        self.holders: dict[Ticket, Holder] = {}  # the others, as they were last seen

    def __enter__(self) -> Lease:
        while True:
            self._ticket = Ticket(next_number(_tickets(self._files)), self.owner)
            self._files.write(_path(self._ticket, "json"), self._body)
            if not is_late(self._ticket, _tickets(self._files)):
                self._beating.start()
                return self
            self._files.remove(_path(self._ticket, "json"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._beating.join(self._beat_seconds)
        with suppress(StoreError):  # then it is taken for dead: this process ends, or falls silent
            remove_lease(self._files, self._ticket)

    def divide(self, wanted: Collection[str]) -> Division:
        """Of these trials, which are to be done here now, and which are under way elsewhere; the dead are removed."""
        self.check()
        self._sign()
        now = self._files.modified(_path(self._ticket, "beat"))
        self.holders = {
            holder.ticket: holder for holder in read_holders(self._files, self.holders) if holder.ticket != self._ticket
        }
        claims = []
        for ticket, holder in self.holders.items():
            dead = holder.is_dead(now, self._dead_seconds)
            claims.append(Claim(ticket, holder.trial_ids, dead))
            if dead:
                remove_lease(self._files, ticket)
        return divide(self._ticket, wanted, claims)

    def check(self) -> None:
        """Raise StoreError when another run has taken this one for dead, and its trials."""
        if not self._files.exists(_path(self._ticket, "json")):
            raise StoreError(
                f"store {self._files.url}: this run was silent for more than {self._dead_seconds:g} s, and another one "
                "goes on with its trials; run the same command again to wait for that one"
            )

    def _beat(self) -> None:
        while not self._over.wait(self._beat_seconds):
            with suppress(StoreError):  # a store out of reach for long makes it silent
                if self._files.exists(_path(self._ticket, "json")):
                    self._sign()

    def _sign(self) -> None:
        self._files.write(_path(self._ticket, "beat"), b"")


def read_holders(files: Files, known: dict[Ticket, Holder] | None = None) -> Iterator[Holder]:
    """Every run that holds a lease, alive or dead; tickets never change, so `known` ones are not read again."""
    for ticket in _tickets(files):
        try:
            modified = files.modified(_path(ticket, "json"))
            with suppress(FileNotFoundError):
                modified = max(modified, files.modified(_path(ticket, "beat")))
            before = (known or {}).get(ticket)
            if before is not None:
                yield replace(before, modified=modified)
                continue
            data = files.read(_path(ticket, "json"))
        except FileNotFoundError:
            continue  # released since it was listed
        try:
            yield _holder(ticket, json.loads(data), modified)
        except (ValueError, KeyError, TypeError):
            continue  # of another program, or of a raybench to come


def read_living(files: Files) -> list[Holder]:
    """The runs that hold a lease and are alive, by this machine's clock where they are on another one."""
    return [holder for holder in read_holders(files) if not holder.is_dead(time.time())]


def _holder(ticket: Ticket, body: dict[str, Any], modified: float) -> Holder:
    return Holder(
        ticket=ticket,
        run_id=body["run_id"],
        trial_ids=frozenset(body["trial_ids"]),
        process=Process(**body["process"]),
        began_at=body["began_at"],
        modified=modified,
    )


def remove_lease(files: Files, ticket: Ticket) -> None:
    """End a lease, one's own or a dead one's."""
    files.remove(_path(ticket, "json"))
    files.remove(_path(ticket, "beat"))


def _tickets(files: Files) -> list[Ticket]:
    names = [path.rpartition("/")[2].removesuffix(".json") for path in files.find(_FOLDER, ".json")]
    parts = [name.partition("-") for name in names]
    return [Ticket(int(number), owner) for number, _, owner in parts if number.isdecimal() and owner]


def _path(ticket: Ticket, suffix: str) -> str:
    return f"{_FOLDER}/{ticket.number:08d}-{ticket.owner}.{suffix}"
