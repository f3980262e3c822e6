"""The order in which examples are drawn without replacement, and after how many of them one looks.

    places = np.argsort(draw_keys(ids, seed=0))     # the first of them is drawn first
    looks(5_000)                                    # (128, 160, 200, 250, …, 5000)

The order is that of a hash of seed and id: the same for every model, tokenizer and order of rows, and it knows nothing
of what is easy. Looks grow by a quarter, so there are few of them, and whatever is found is found after at most a
quarter as many examples again as it took.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from raybench.metrics.coverage import id_hashes, mix

__all__ = ["draw_keys", "looks"]

_FIRST = 128  # two batches of 64
_LAST_SHARE = 0.9  # of all: a look after it could save next to nothing


def draw_keys(ids: pa.ChunkedArray | pa.Array | Sequence[str], *, seed: int) -> np.ndarray:
    """A uint64 an example, [N]; whoever has the least is drawn first."""
    salt = mix(np.array([seed], dtype=np.uint64))
    return mix(id_hashes(ids)[:, 0] ^ salt)


def looks(num_examples: int) -> tuple[int, ...]:
    """After how many examples one looks, the last time after all of them."""
    found, count = [], _FIRST
    while count < _LAST_SHARE * num_examples:
        found.append(count)
        count += count // 4
    return (*found, num_examples)
