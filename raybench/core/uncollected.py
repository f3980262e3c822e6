"""Importing without Python's collector, which looks through all that imports leave again and again and finds nothing.

    with uncollected():
        import transformers.modeling_utils

Of what an actor imports it takes a fifth of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """What is made inside stays as long as the process, and is never looked through again."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
