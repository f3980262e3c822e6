"""Datasets that are like another: its training rows and its task, and other test rows.

    with_originals(specs)       # each `like` resolved: what it does not say is its original's

Either the original's test rows are perturbed, or the test rows are those of a source of its own. Whatever is fitted for
the one is fitted for the other, so candidates, methods and seeds are compared on both as the same networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from raybench.core.errors import JobError
from raybench.core.suggestion import did_you_mean
from raybench.job.spec import DatasetSpec

__all__ = ["with_originals"]

_OF_THE_FIT = ("task", "task_config", "max_length")
_OWN = frozenset({"name", "like", "perturb"})


def with_originals(specs: Sequence[DatasetSpec]) -> list[DatasetSpec]:
    """The datasets whole, in their order; JobError, whose `key` leads to it from `datasets`, for one that cannot be."""
    places = {spec.name: place for place, spec in reversed(list(enumerate(specs)))}
    resolved: dict[int, DatasetSpec] = {}

    def whole(place: int, above: tuple[int, ...]) -> DatasetSpec:
        if place not in resolved:
            spec = specs[place]
            if spec.like is not None:
                if spec.like not in places:
                    known = did_you_mean(spec.like, [name for name in places if name != spec.name])
                    raise JobError(f"no dataset of this job is named {spec.like!r}{known}", key=(place, "like"))
                if places[spec.like] in (*above, place):
                    raise JobError(f"{spec.like!r} is like this one itself, by way of `like`", key=(place, "like"))
                spec = _joined(place, spec, whole(places[spec.like], (*above, place)))
            resolved[place] = spec
        return resolved[place]

    return [whole(place, ()) for place in range(len(specs))]


def _joined(place: int, spec: DatasetSpec, original: DatasetSpec) -> DatasetSpec:
    given = spec.model_fields_set
    if spec.perturb:
        if other := sorted(given - _OWN):
            raise JobError(
                f"where test rows are perturbed, all else is as in {spec.like!r}; leave {other[0]} out",
                key=(place, other[0]),
            )
        if original.perturb:
            raise JobError(
                f"{original.name!r} is perturbed itself; be like {original.like!r}, and name all perturbations",
                key=(place, "like"),
            )
        inherited = [name for name in DatasetSpec.model_fields if name not in _OWN]
    else:
        for name in _OF_THE_FIT:
            if name in given and getattr(spec, name) != getattr(original, name):
                raise JobError(
                    f"{name} is that of {spec.like!r}, for nothing else is fitted; leave it out", key=(place, name)
                )
        for name in ("splits", "limit"):
            for role in ("train", "validation"):
                if getattr(getattr(spec, name), role) is not None:
                    raise JobError(
                        f"its {role} rows are those of {spec.like!r}; name test alone", key=(place, name, role)
                    )
        inherited = list(_OF_THE_FIT)
    whole = spec.model_copy(update={name: getattr(original, name) for name in inherited})
    whole._original = original
    return whole
