"""Whether a checkpoint's own head speaks the dataset's labels, and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["match_labels", "order_of_labels", "own_labels", "saved_with_head"]

_UNNAMED = re.compile(r"LABEL_\d+")


def saved_with_head(config: PretrainedConfig, suffix: str | tuple[str, ...]) -> bool:
    """Whether the checkpoint was saved from an architecture whose name ends so, such as ForTokenClassification."""
    return any(name.endswith(suffix) for name in config.architectures or ())


def order_of_labels(
    model: ModelSpec, labels: Sequence[str], suffix: str | tuple[str, ...], *, problem: str | None = None
) -> tuple[int, ...]:
    """The order that puts the outputs of the checkpoint's own head into the dataset's labels.

    Raises:
        IncompatibleError: it has no trained head of this kind (and problem type), or one for other labels.
    """
    config = open_config(model)
    do = "method 'frozen' or 'full' would train a head"
    if from_scratch(model) or not saved_with_head(config, suffix):
        saved_as = (config.architectures or [config.model_type])[0] if not from_scratch(model) else "random weights"
        raise IncompatibleError(f"model {model.reference!r}: no trained head to score as it is ({saved_as}); {do}")
    if problem is not None and config.problem_type != problem:
        raise IncompatibleError(
            f"model {model.reference!r}: its head was trained for {config.problem_type or 'one label a row'}; {do}"
        )
    order = match_labels(config, labels)
    if order is None:
        raise IncompatibleError(
            f"model {model.reference!r}: its head knows {_list(own_labels(config))}, "
            f"the dataset has {_list(labels)}; {do}"
        )
    return order


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


def _list(names: Sequence[str], shown: int = 5) -> str:
    more = f" … ({len(names)})" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
