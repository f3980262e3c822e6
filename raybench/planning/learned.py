"""What the store has seen of a cost model's errors: a factor for each kind of work, drawn towards that of its like.

    learned = Learned([Sample("fit", "full", "minilm", seconds=51.0, predicted=40.0), …], never_seen=0.4)
    learned.factor("fit", "full", "minilm")         # (factor, standard deviation of its logarithm)

Factors are means of logarithms: of a model's trials, drawn towards the mean over the models of its kind of work, which
is drawn towards no error at all. So one trial tells something of its kind, and much of its own model.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Factor", "Learned", "Sample"]

_PRIOR = 0.5  # trials that the next wider group's mean counts for
_KIND_SEEN, _MODEL_SEEN = 0.25, 0.1  # standard deviations of a prediction's logarithm


class Sample(NamedTuple):
    """What a part of a trial ("fit" or "score") of a kind of work took, and what was predicted of it."""

    part: str
    kind: str
    model: str
    seconds: float
    predicted: float


class Factor(NamedTuple):
    """By what a prediction is multiplied, and how far off its logarithm may still be (standard deviation)."""

    value: float
    error: float


class Learned:
    """Factors by part, kind and model; `never_seen` is the error of a kind of which there is no sample."""

    def __init__(self, samples: Iterable[Sample], *, never_seen: float) -> None:
        self._never_seen = never_seen
        logs: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for one in samples:
            if one.seconds > 0 and one.predicted > 0:
                logs[one.part, one.kind][one.model].append(math.log(one.seconds / one.predicted))
        self._models = {kind: dict(models) for kind, models in logs.items()}
        self._kinds = {kind: _drawn(map(_mean, models.values()), 0.0) for kind, models in self._models.items()}

    def factor(self, part: str, kind: str, model: str) -> Factor:
        """For a trial of this kind of work and model."""
        if (part, kind) not in self._kinds:
            return Factor(1.0, self._never_seen)
        of_kind, of_model = self._kinds[part, kind], self._models[part, kind].get(model, [])
        error = _MODEL_SEEN if of_model else _KIND_SEEN
        return Factor(math.exp(_drawn(of_model, of_kind)), error)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _drawn(values: Iterable[float], towards: float) -> float:
    """The mean, drawn towards what is expected without any."""
    given = list(values)
    return (math.fsum(given) + _PRIOR * towards) / (len(given) + _PRIOR)
