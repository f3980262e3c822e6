"""Entity precision, recall and F1 by whole spans with their type, from tag sequences.

`scheme` decides what an entity is. `lenient`: the convention of CoNLL-2000's scorer: an I- that follows nothing of
its type opens an entity. `IOB2`: strictly B- then I- of one type; an I- without a B- is no entity. `IOBES`: strictly
B- … E- or a lone S-; `BILOU` the same with L- and U-, which `lenient` reads too. A file without any entity on either
side has no F1.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.classification import mean_over
from raybench.metrics.columns import place_of
from raybench.metrics.metric import REQUIRED, Contribution, Measure, Metric, Options, ratio
from raybench.metrics.state import Sums
from raybench.metrics.tags import tag_pairs

__all__ = [
    "ENTITY_F1",
    "ENTITY_MACRO_F1",
    "ENTITY_PRECISION",
    "ENTITY_RECALL",
    "SCHEMES",
    "entity_types",
    "scheme_of",
    "spans",
]

Span = tuple[str, int, int]  # type, first, one past the last
_LAST, _ALONE = ("E", "L"), ("S", "U")  # IOBES and BILOU write the same with other letters
_PREFIXES = ("B", "I", *_LAST, *_ALONE)


def _lenient(tags: Sequence[str]) -> set[Span]:
    found, kind, start, previous = set(), "", 0, "O"
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        goes_on = kind and name == kind and prefix in ("I", *_LAST) and previous not in (*_LAST, *_ALONE)
        if kind and not goes_on:
            found.add((kind, start, place))
            kind = ""
        if not goes_on and prefix != "O":
            kind, start = name, place
        previous = prefix
    return found


def _iob2(tags: Sequence[str]) -> set[Span]:
    found, kind, start = set(), "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and not (prefix == "I" and name == kind):
            found.add((kind, start, place))
            kind = ""
        if prefix == "B":
            kind, start = name, place
    return found


def _iobes(tags: Sequence[str]) -> set[Span]:
    found, kind, start = set(), "", 0
    for place, tag in enumerate(tags):
        prefix, _, name = tag.partition("-")
        if prefix in _ALONE:
            found.add((name, place, place + 1))
        if prefix in _LAST and kind == name:
            found.add((name, start, place + 1))
        if prefix == "B":
            kind, start = name, place
        elif not (prefix == "I" and name == kind):
            kind = ""
    return found


SCHEMES: dict[str, Callable[[Sequence[str]], set[Span]]] = {
    "lenient": _lenient,
    "IOB2": _iob2,
    "IOBES": _iobes,
    "BILOU": _iobes,
}


def spans(tags: Sequence[str], scheme: str) -> set[Span]:
    """The entities of a sequence of tags."""
    if scheme not in SCHEMES:
        raise MetricError(f"'scheme' is {scheme!r}; expected one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme](tags)


def scheme_of(labels: Sequence[object]) -> str | None:
    """How tags write entities: BIO, BIOES or BILOU; None where one of them is neither O nor a prefix with a type."""
    prefixes = {str(tag).partition("-")[0] for tag in labels if tag != "O"}
    typed = all("-" in str(tag) for tag in labels if tag != "O")
    if not prefixes or not typed or not prefixes <= set(_PREFIXES):
        return None
    if prefixes & {"L", "U"}:
        return None if prefixes & {"E", "S"} else "BILOU"
    return "BIOES" if prefixes & {"E", "S"} else "BIO"


def _check(options: Options) -> None:
    """MetricError where the labels are no tags of entities."""
    tags = [str(tag) for tag in options["labels"] if tag != "O"]
    odd = [tag for tag in tags if "-" not in tag or tag.partition("-")[0] not in _PREFIXES]
    if odd:
        raise MetricError(
            f"'labels' hold {odd[0]!r}, which is no tag of entities: expected O, or one of {', '.join(_PREFIXES)} "
            "with a type, such as B-PER"
        )


def entity_types(options: Options) -> list[str]:
    """The types that the tags in `labels` name, sorted."""
    return sorted({tag.partition("-")[2] for tag in options["labels"] if "-" in tag})


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    types = {name: place for place, name in enumerate(entity_types(options))}
    counts = {field: np.zeros((records.num_rows, len(types)), dtype=np.int64) for field in ("tp", "predicted", "true")}
    for row, (target_tags, tags) in enumerate(tag_pairs(records)):
        unknown = {tag for tag in (*target_tags, *tags) if not _is_known(tag, types)}
        if unknown:
            known = f"O, or one of {', '.join(_PREFIXES)} with a type: {', '.join(types)}"
            raise MetricError(f"tag {min(unknown)!r} in {place_of(records, row)} is none of 'labels': {known}")
        true, predicted = spans(target_tags, options["scheme"]), spans(tags, options["scheme"])
        for field, found in (("tp", true & predicted), ("predicted", predicted), ("true", true)):
            for name, _, _ in found:
                counts[field][row, types[name]] += 1
    return {"n": np.ones(records.num_rows, dtype=np.int64), **counts}


def _is_known(tag: str, types: Container[str]) -> bool:
    prefix, _, name = tag.partition("-")
    return tag == "O" or (prefix in _PREFIXES and name in types)


ENTITIES = Measure(
    name="entities",
    columns=("target_tags", "tags"),
    options={"labels": REQUIRED, "scheme": "lenient"},
    contributions=_contributions,
)
Parts = Callable[[Sums], tuple[np.ndarray, np.ndarray]]


def _entity(parts: Parts, average: str, undefined: str) -> Metric:
    def value(sums: Sums, options: Options) -> np.ndarray:
        numerator_RT, denominator_RT = parts(sums)
        if average == "micro":
            return ratio(numerator_RT.sum(axis=1), denominator_RT.sum(axis=1))
        occurs_RT = (sums["true"] + sums["predicted"] > 0).astype(np.float64)
        return mean_over(ratio(numerator_RT, denominator_RT), occurs_RT)

    return Metric(
        measure=ENTITIES,
        value=value,
        per_class=lambda sums, options: (ratio(*parts(sums)), sums["true"]),
        macro=average == "macro",
        classes=entity_types,
        check=_check,
        higher_is_better=True,
        source="Tjong Kim Sang and De Meulder 2003, https://aclanthology.org/W03-0419",
        undefined=undefined,
        undefined_class="the type has no entity to divide by",
    )


def _f1(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    return 2 * sums["tp"], sums["predicted"] + sums["true"]


ENTITY_PRECISION = _entity(lambda sums: (sums["tp"], sums["predicted"]), "micro", "no entity is predicted")
ENTITY_RECALL = _entity(lambda sums: (sums["tp"], sums["true"]), "micro", "no entity is true")
ENTITY_F1 = _entity(_f1, "micro", "no entity is true or predicted")
ENTITY_MACRO_F1 = _entity(_f1, "macro", "no entity is true or predicted")
