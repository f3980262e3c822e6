"""Whether a checkpoint's own head speaks the dataset's labels, and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["has_head", "match_labels", "own_labels"]

_UNNAMED = re.compile(r"LABEL_\d+")


def has_head(config: PretrainedConfig) -> bool:
    """Whether the checkpoint was saved from a classifier of whole texts or images."""
    return any(name.endswith(("ForSequenceClassification", "ForImageClassification")) for name in _saved_as(config))


def own_labels(config: PretrainedConfig) -> tuple[str, ...]:
    """The names of the head's outputs, in their order."""
    names: dict[Any, str] = dict(config.id2label or {})
    return tuple(str(names[index]) for index in sorted(names, key=int))


def match_labels(config: PretrainedConfig, labels: Sequence[str]) -> tuple[int, ...] | None:
    """For each of the dataset's labels the head's output that means it; None when they do not match.

    Names match in any case; every label must be among the head's, which may know more. Heads that only say
    LABEL_0, LABEL_1 … match by their number alone.
    """
    own = own_labels(config)
    if all(_UNNAMED.fullmatch(name) for name in own):
        return tuple(range(len(own))) if len(own) == len(labels) else None
    index_of = {name.strip().casefold(): index for index, name in enumerate(own)}
    found = [index_of.get(label.strip().casefold()) for label in labels]
    return None if None in found or len(set(found)) < len(found) else tuple(i for i in found if i is not None)


def _saved_as(config: PretrainedConfig) -> list[str]:
    return list(config.architectures or [])
