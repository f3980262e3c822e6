"""Which libraries make numbers here: what stands in a trial's row, and what shards of one trial must share."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import version

from raybench.core.identity import VERSION

__all__ = ["library_releases", "library_versions", "processor_name"]

_LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "scikit-learn")


@cache
def library_versions() -> dict[str, str]:
    """Of raybench and of every library that may change a number."""
    return {"raybench": VERSION, **{name: version(name) for name in _LIBRARIES}}


def library_releases() -> dict[str, str]:
    """The same without the build, such as torch's +cpu: a head without a GPU may drive nodes that have one."""
    return {name: found.partition("+")[0] for name, found in library_versions().items()}


@cache
def processor_name() -> str:
    """The model of this machine's processor, as the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            named = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        named = []
    return named[0] if named else platform.processor() or os.uname().machine
