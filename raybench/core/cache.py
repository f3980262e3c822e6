"""Where raybench keeps on this machine what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_directory"]


def cache_directory() -> Path | None:
    """`RAYBENCH_CACHE`, or ~/.cache/raybench; None where it is set and empty: nothing is kept."""
    asked = os.environ.get("RAYBENCH_CACHE")
    if asked == "":
        return None
    return Path(asked) if asked else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "raybench"
