"""A process that sleeps as long as its parent lives, in the place of an agent of Ray's: a raylet ends with its agents.

Started as a script, by a Python without site packages, it is there in some hundredths of a second.
"""

from __future__ import annotations

import os
import time

__all__ = ["sleep"]


def sleep() -> None:
    """Until the parent is another one, as when a raylet is killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1.0)


if __name__ == "__main__":
    sleep()
