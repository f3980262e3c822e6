"""Equal pieces of work shared out among actors that have nothing else to do, to whoever holds what they read.

divide([0, 0, 1, None], [0, 1])       # {0: [0, 1], 1: [2, 3]}
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["divide"]

_SLACK = 1.1  # times an equal share that one takes of what it holds: reading anew costs about as much as doing


def divide(holders: Sequence[int | None], actors: Sequence[int]) -> dict[int, list[int]]:
    """By actor the places of its pieces; `holders` says of each piece which actor holds what it reads, if one does."""
    shares: dict[int, list[int]] = {actor: [] for actor in actors}
    if not shares:
        return {}
    most = math.ceil(_SLACK * len(holders) / len(actors))
    others = []
    for place, holder in enumerate(holders):
        if holder in shares and len(shares[holder]) < most:
            shares[holder].append(place)
        else:
            others.append(place)
    for place in others:
        min(shares.values(), key=len).append(place)
    return shares
