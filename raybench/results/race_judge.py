"""What judges a race at a look: it learns what examples are worth, and says who is surely not among the best."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

__all__ = ["Judge", "Verdict"]


class Verdict(NamedTuple):
    """Who is surely not among the best, the leader that is best so far, and by how much at least that one is better."""

    place: int
    leader: int
    margin: float  # in the metric's own unit


class Judge(ABC):
    """One race's evidence."""

    sure: str  # in which sense its verdicts are: a word of the line that is told

    @abstractmethod
    def learn(self, trial_id: str, places: np.ndarray, values: np.ndarray | pa.Table) -> None:
        """What the examples at these places of the draw are worth by a trial, a row each."""

    @abstractmethod
    def verdicts(self, contestants: Sequence[tuple[str, ...]], upto: int) -> list[Verdict]:
        """Of those still in the race, each the trials of its seeds, who is out after the first `upto` examples."""
