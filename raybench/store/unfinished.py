"""States of fits under way, so that one that was preempted or killed goes on elsewhere; removed when the fit ends.

    shelf = UnfinishedFits(files)
    shelf.write("3f…", key, data); shelf.read(key); shelf.remove(["3f…"])

What a key stands for and what the bytes are, is `raybench.runtime.training.unfinished`'s. A file lies with one of
the trials that may go on from it.
"""

from __future__ import annotations

from collections.abc import Collection

from raybench.store.files import Files

__all__ = ["UnfinishedFits"]

_SUFFIX = ".safetensors"


class UnfinishedFits:
    """Files `unfinished/trial=<id>.<key>.safetensors`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._paths: dict[str, str] = {}

    def keys(self) -> Collection[str]:
        """Of all states that are there now."""
        found = self._files.find("unfinished", _SUFFIX)
        self._paths = {path.removesuffix(_SUFFIX).rsplit(".", 1)[-1]: path for path in found}
        return self._paths.keys()

    def read(self, key: str) -> bytes:
        """A state's bytes; FileNotFoundError when it is gone."""
        return self._files.read(self._paths[key])

    def write(self, trial_id: str, key: str, data: bytes) -> None:
        """Keep a state with a trial."""
        path = f"unfinished/trial={trial_id}.{key}{_SUFFIX}"
        self._files.write(path, data, most_tries=1)  # the fit goes on without it, and had better not wait
        self._paths[key] = path

    def drop(self, key: str) -> None:
        """Remove one state."""
        self._files.remove(self._paths.pop(key))

    def remove(self, trial_ids: Collection[str]) -> None:
        """Remove all that lies with these trials."""
        for key in list(self.keys()):
            if _trial_id(self._paths[key]) in trial_ids:
                self.drop(key)


def _trial_id(path: str) -> str:
    return path.removeprefix("unfinished/trial=").removesuffix(_SUFFIX).rsplit(".", 1)[0]
