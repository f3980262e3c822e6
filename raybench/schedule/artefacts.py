"""What work leaves behind for other work: prepared rows, features of frozen networks, checkpoints of fits.

    artefacts = Artefacts({"trial-a": ["rows", "net:train"], "trial-b": ["rows"]})      # who reads what
    artefacts.want(Artefact(key="rows", parts=(Prepare(data_key="rows"),)))
    artefacts.made(part); artefacts.there(["rows"])
    artefacts.lost(part)                                        # whether it is to be made again
    artefacts.end("trial-b"); artefacts.end("trial-a")          # [], ["rows", "net:train"]: nobody reads them any more

An artefact is wanted once, made part by part, read when all of it is there, made again where a part was lost, and let
go once, with its last reader. A part is the work that makes it; where it lies is for whoever holds it to know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raybench.schedule.work import Part

__all__ = ["Artefact", "Artefacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A key, the parts to make (none: it is there already), and the keys of what making them reads."""

    key: str
    parts: tuple[Part, ...] = ()
    needs: tuple[str, ...] = ()


class Artefacts:
    """Those that are wanted and still read: what making them needs, and which of their parts are not there."""

    def __init__(self, reads: Mapping[str, Iterable[str]]) -> None:
        self._reads = {reader: tuple(dict.fromkeys(keys)) for reader, keys in reads.items()}
        self._num_readers = Counter(key for keys in self._reads.values() for key in keys)
        self._needs: dict[str, tuple[str, ...]] = {}
        self._absent: dict[str, set[Part]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether it is wanted and still read."""
        return key in self._absent

    def want(self, artefact: Artefact) -> None:
        """All its parts are to be made."""
        self._needs[artefact.key] = artefact.needs
        self._absent[artefact.key] = set(artefact.parts)

    def needs(self, part: Part) -> tuple[str, ...]:
        """The keys of what the work that makes it reads."""
        return tuple(dict.fromkeys(need for key in part.makes for need in self._needs[key]))

    def missing(self, keys: Iterable[str]) -> str | None:
        """The first of these that is not there, or None."""
        return next((key for key in keys if key not in self._absent or self._absent[key]), None)

    def there(self, keys: Iterable[str]) -> bool:
        """Whether nothing of these is missing."""
        return self.missing(keys) is None

    def made(self, part: Part) -> None:
        """It is there, or whoever reads it does without."""
        for key in part.makes:
            self._absent.get(key, set()).discard(part)

    def lost(self, part: Part) -> bool:
        """It is not there any more: whether it is to be made again, as somebody reads it and it is not being made."""
        (key,) = part.makes
        if key not in self or part in self._absent[key]:
            return False
        self._absent[key].add(part)
        return True

    def end(self, reader: str) -> list[str]:
        """A reader has ended: the keys that nobody reads any more."""
        keys = self._reads.pop(reader, ())
        self._num_readers.subtract(keys)
        unread = [key for key in keys if self._num_readers[key] == 0]
        for key in unread:
            self._needs.pop(key, None)
            self._absent.pop(key, None)
        return unread
