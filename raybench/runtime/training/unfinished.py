"""Fits that outlive their process: where a fit is after an epoch is written now and then, and gone on from elsewhere.

    resuming = Resuming(epochs, trials, last, saving, budget=2048)
    waiting = resuming.start()                       # where earlier processes were, else the beginning
    resuming.after_epoch(members, progress, waiting)
    resuming.at_end(members, progress)               # where a trial that goes on as another one begins

A state is named by all that decides its bits, so trials that share epochs share it and nothing stale is found, and it
says for which trials it was written. Of trials that have parted, the state where they parted is kept as well (as long
as a state was written before that moment), so a walk through a tree of epochs goes on in all its branches.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from raybench.core import Trial
from raybench.core.errors import StoreError
from raybench.core.identity import content_hash
from raybench.recipes.methods.shared_steps import beginning
from raybench.runtime.training.epochs import Best, Epochs, Progress
from raybench.runtime.training.snapshot import Kept, Snapshot

__all__ = ["Resuming", "Saving", "Shelf", "Waiting"]

_MOST_SHARE = 0.05  # of a fit's time that writing may take


class Shelf(Protocol):
    """Where states are kept, by key. Whatever goes wrong with it is an OSError or a StoreError."""

    def keys(self) -> Collection[str]: ...

    def read(self, key: str) -> bytes: ...

    def write(self, trial_id: str, key: str, data: bytes) -> None: ...

    def drop(self, key: str) -> None: ...


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """How fits are to outlive their process."""

    shelf: Shelf
    basis: str  # what else decides a fit's bits: libraries, device, threads
    every_seconds: float  # at most so often is a state written
    urgent: Callable[[], bool] = _never  # whether this process is about to go: then after every epoch
    goes_on_as: Mapping[str, str] = field(default_factory=dict)  # trial → the one that begins where its fit ends


class Waiting(NamedTuple):
    """Trials that go on together, what they have behind them, and from where (None: what is in the network)."""

    members: list[int]
    progress: Progress
    snapshot: Snapshot | None


class Resuming:
    """One walk's states on the shelf."""

    def __init__(
        self,
        epochs: Epochs,
        trials: Sequence[Trial],
        last: Sequence[int],  # of each trial the epochs after which its fit ends
        saving: Saving | None,
        *,
        budget: int,
    ) -> None:
        self._epochs, self._trials, self._last, self._saving = epochs, trials, last, saving
        first = beginning(trials[0], epochs.num_rows)
        self._decided = [saving.basis if saving else "", budget, torch.are_deterministic_algorithms_enabled(), first]
        self._ours: set[str] = set()  # keys on the shelf that this walk has read or written
        self._due = time.monotonic() + (saving.every_seconds if saving else 0.0)

    def start(self) -> list[Waiting]:
        """Where each trial can go on from, the last of them first."""
        everyone = list(range(len(self._trials)))
        if self._saving is None:
            return [Waiting(everyone, Progress(), None)]
        try:
            there = self._saving.shelf.keys()
        except (OSError, StoreError):
            there = ()
        groups: dict[str | None, list[int]] = {}
        for index in everyone:
            groups.setdefault(self._latest(index, self._last[index] - 1, there), []).append(index)
        fresh, waiting = groups.pop(None, []), []
        for key, members in groups.items():
            state = None if key is None else self._read(key)
            if key is None or state is None or any(self._trials[i].trial_id not in state.trial_ids for i in members):
                fresh += members
            else:
                waiting.append(Waiting(members, state.progress, state.snapshot))
                self._ours.add(key)
        return [*waiting, *([Waiting(sorted(fresh), Progress(), None)] if fresh else [])]

    def after_epoch(self, members: Sequence[int], progress: Progress, waiting: Sequence[Waiting]) -> None:
        """Write where `members` are, if it is time, and drop what nobody among those `waiting` would go on from."""
        saving, began = self._saving, time.monotonic()
        if saving is None or not (saving.urgent() or began >= self._due):
            return
        last = max(members, key=lambda index: self._last[index])
        key = self._key(last, progress.epochs)
        try:
            data = self._to_bytes(progress, [self._trials[index].trial_id for index in members])
            saving.shelf.write(self._trials[last].trial_id, key, data)
            self._ours.add(key)
            needed = {self._latest(one.members[0], one.progress.epochs, self._ours) for one in waiting}
            for old in self._ours - needed:
                saving.shelf.drop(old)
            self._ours &= needed
        except (OSError, StoreError):
            pass  # the fit needs none of it; what is wrong with the store, its checkpoint will say
        now = time.monotonic()
        self._due = now + max(saving.every_seconds, (now - began) / _MOST_SHARE)

    def at_end(self, members: Sequence[int], progress: Progress) -> None:
        """Write where `members` have ended for those that they go on as, if they do."""
        saving = self._saving
        heirs = [saving.goes_on_as.get(self._trials[index].trial_id, "") for index in members] if saving else []
        if saving is None or not any(heirs):
            return
        try:
            data = self._to_bytes(progress, [one for one in heirs if one])
            saving.shelf.write(max(heirs), self._key(members[0], progress.epochs), data)
        except (OSError, StoreError):
            pass  # they begin anew

    def _key(self, index: int, num_epochs: int) -> str:
        """What decides the state after so many epochs of a trial."""
        return content_hash([self._decided, [self._epochs.key(index, epoch) for epoch in range(num_epochs)]])

    def _latest(self, index: int, most: int, there: Collection[str]) -> str | None:
        """The key of a trial's last state that is there, of at most so many epochs."""
        keys = (self._key(index, num_epochs) for num_epochs in range(most, 0, -1)) if there else ()
        return next((key for key in keys if key in there), None)

    def _to_bytes(self, progress: Progress, trial_ids: Sequence[str]) -> bytes:
        kept, best = self._epochs.live(), progress.best
        tensors = {name: tensor.cpu().contiguous() for name, tensor in kept.tensors.items()}
        tensors = {name: t.clone() if name.startswith("buffer:") else t for name, t in tensors.items()}  # may be views
        if best is not None:
            tensors |= {f"best:{name}": torch.from_numpy(array) for name, array in best.arrays.items()}
        behind = {**dataclasses.asdict(dataclasses.replace(progress, best=None)), "best": best and best[:2]}
        meta = json.dumps({"progress": behind, "scale": dict(kept.scale), "trials": list(trial_ids)})
        return safetensors_torch.save(tensors, metadata={"state": meta})

    def _read(self, key: str) -> _State | None:
        """A state, or None where it is torn, gone or not of this network."""
        assert self._saving is not None
        try:
            data = self._saving.shelf.read(key)
            tensors = safetensors_torch.load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # length, JSON, values
            meta = json.loads(header["__metadata__"]["state"])
            best = {name[5:]: t.numpy().copy() for name, t in tensors.items() if name.startswith("best:")}
            loss, epoch = meta["progress"]["best"] or (0.0, 0)
            progress = Progress(**{**meta["progress"], "best": Best(loss, epoch, best) if best else None})
        except (OSError, StoreError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        snapshot = self._epochs.snapshot(Kept(tensors, meta["scale"]))
        return _State(progress, snapshot, frozenset(meta["trials"]))


class _State(NamedTuple):
    progress: Progress
    snapshot: Snapshot
    trial_ids: frozenset[str]
