"""Whether this process waits for the hub: for its own download, or for that of another process of its node.

Both use next to no processor time, as hanging does. The stacks of the process show it, without any help from the code
that waits; the hub's client has time limits of its own, and the lock of a process that ends is free.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType

__all__ = ["waits_for_hub"]

_PACKAGES = {"huggingface_hub", "filelock", "hf_xet"}


def waits_for_hub(frames: Iterable[FrameType] | None = None) -> bool:
    """Whether any thread (of this process, unless frames are given) is inside the hub's client or its file locks."""
    for innermost in sys._current_frames().values() if frames is None else frames:
        frame: FrameType | None = innermost
        while frame is not None:
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES:
                return True
            frame = frame.f_back
    return False
