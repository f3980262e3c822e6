"""Axes along which a metric can be drawn.

Rows to learn from, where datasets differ in that alone; strengths of what the same test rows are perturbed by; steps of
training, where candidates are checkpoints of one run.

    dataset_axes(specs)                 # [Axis("training rows", "bbc", {"bbc-100": 100.0, "bbc-300": 300.0})]
    strength_axes(specs)                # [Axis("strength of typos", "bbc", {"bbc": 0.0, "bbc-some": 0.1, …})]
    checkpoint_axes(["run/checkpoint-10", "run/checkpoint-20", "other"])
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from raybench.core.identity import canonical_json
from raybench.job import DatasetSpec

__all__ = ["Axis", "checkpoint_axes", "dataset_axes", "strength_axes"]

_NUMBERED = re.compile(r"(.*?)(\d+)")


class Axis(NamedTuple):
    """`places` are where its members stand, in ascending order."""

    title: str
    name: str
    places: Mapping[str, float]


def dataset_axes(specs: Iterable[DatasetSpec]) -> list[Axis]:
    """Datasets that are equal but for how many training rows are used."""
    alike: dict[str, list[DatasetSpec]] = defaultdict(list)
    for spec in specs:
        rest = spec.model_dump(mode="json", exclude={"name", "limit", "like"})
        alike[canonical_json([rest, spec.limit.test])].append(spec)
    axes = []
    for group in alike.values():
        places = {spec.name: float(spec.limit.train) for spec in group if spec.limit.train is not None}
        if len(set(places.values())) > 1 and len(set(places.values())) == len(places):
            axes.append(Axis("training rows", _common(list(places)), _ascending(places)))
    return axes


def strength_axes(specs: Sequence[DatasetSpec]) -> list[Axis]:
    """Datasets that are like one, perturbed by the same and one thing alone, of two strengths or more.

    The original is where nothing is done, if it is among them.
    """
    alike: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for spec in specs:
        if spec.like is not None and spec.perturb is not None and len(spec.perturb) == 1:
            ((name, strength),) = spec.perturb.items()
            alike[spec.like, name][spec.name] = strength
    known = {spec.name for spec in specs}
    axes = []
    for (original, name), places in alike.items():
        if len(set(places.values())) == len(places) > 1:
            clean = {original: 0.0} if original in known else {}
            axes.append(Axis(f"strength of {name}", original, _ascending({**clean, **places})))
    return axes


def checkpoint_axes(candidates: Sequence[str], *, least: int = 3) -> list[Axis]:
    """Candidates whose names differ in the number at their end alone, `least` at the least."""
    alike: dict[str, dict[str, float]] = defaultdict(dict)
    for name in candidates:
        found = _NUMBERED.fullmatch(name)
        if found is not None and found[1]:
            alike[found[1]][name] = float(found[2])
    return [
        Axis("step", prefix.rstrip("-_/ ."), _ascending(places))
        for prefix, places in alike.items()
        if len(places) >= least
    ]


def _ascending(places: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(places.items(), key=lambda place: place[1]))


def _common(names: Sequence[str]) -> str:
    """What names begin with, all of them."""
    first, last = min(names), max(names)
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:length].rstrip("-_/ .") or ", ".join(names)
