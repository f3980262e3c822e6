"""Who may do a trial when several runs want it: the oldest run that is alive.

    number = next_number(tickets)                    # then the ticket is written, and the folder listed once more
    if is_late(mine, tickets): ...                   # it is withdrawn, and drawn anew
    divide(mine, wanted, claims)                     # what to take, and for whom to wait

Why no two take the same trial, with plain writes and listings that see all writes before them (a disk, S3): of two
runs that both found no younger ticket, the one that wrote last has seen the other's, so it is the younger one, and
waits. A file system need not offer conditional creation for it. A run that is taken for dead and is not, finds its
ticket gone before it writes how a trial ended (`Lease.check`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

__all__ = ["BEAT_SECONDS", "DEAD_SECONDS", "Claim", "Division", "Ticket", "divide", "is_dead", "is_late", "next_number"]

BEAT_SECONDS = 5.0  # between two signs of life
DEAD_SECONDS = 60.0  # of silence: longer than a store's faults are outlived


class Ticket(NamedTuple):
    """A run's place in the order of all: smaller is older."""

    number: int
    owner: str  # unique; decides between equal numbers


class Claim(NamedTuple):
    """Another run, what it wants, and whether it is dead."""

    ticket: Ticket
    trial_ids: frozenset[str]
    dead: bool


class Division(NamedTuple):
    """Trials to do now, and those that an older run does, by its ticket."""

    take: frozenset[str]
    wait: dict[Ticket, frozenset[str]]


def next_number(tickets: Iterable[Ticket]) -> int:
    """Of a ticket younger than all these."""
    return max((ticket.number for ticket in tickets), default=0) + 1


def is_late(mine: Ticket, tickets: Iterable[Ticket]) -> bool:
    """Whether a younger run has written its ticket before mine was seen: it may hold what I would take."""
    return any(ticket > mine for ticket in tickets)


def is_dead(silent_seconds: float, process_runs: bool | None, dead_seconds: float = DEAD_SECONDS) -> bool:
    """By the process where it can be looked up (None: on another machine), else by its last sign of life."""
    return process_runs is False or silent_seconds > dead_seconds


def divide(mine: Ticket, wanted: Collection[str], claims: Iterable[Claim]) -> Division:
    """Take what no older living run wants."""
    left = frozenset(wanted)
    wait = {}
    for ticket, trial_ids, dead in sorted(claims):
        if ticket < mine and not dead and (shared := left & trial_ids):
            wait[ticket] = shared
            left -= shared
    return Division(left, wait)
