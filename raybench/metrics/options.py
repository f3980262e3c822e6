"""What each option means and which values it takes: checked where a configuration is read, shown by `describe`.

    check_option("bins", 0)        # MetricError: 'bins' is 0; expected an integer from 1 up
    OPTIONS["bins"].meaning        # "bins of equal width for the confidence"

An option that is not listed is a user's metric's own, and its metric checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from raybench.core.errors import MetricError
from raybench.core.suggestion import did_you_mean

__all__ = ["GENERAL", "OPTIONS", "Option", "check_option", "check_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of one or several metrics: what it does, what it takes, and whether a value is one of these."""

    meaning: str
    expected: str
    takes: Callable[[Any], bool]


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _count(meaning: str, *, optional: bool = False) -> Option:
    return Option(
        meaning=meaning,
        expected="an integer from 1 up" + (", or None for all" if optional else ""),
        takes=lambda value: (value is None and optional) or (_is_integer(value) and value >= 1),
    )


def _choice(meaning: str, *names: str) -> Option:
    return Option(meaning=meaning, expected=f"one of {', '.join(names)}", takes=lambda value: value in names)


def _column(meaning: str) -> Option:
    return Option(
        meaning=meaning,
        expected="the name of a column",
        takes=lambda value: value is None or (isinstance(value, str) and value != ""),
    )


def _are_labels(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return value is None
    return all(isinstance(label, str | Integral) for label in value) and len(set(map(str, value))) == len(value)


GENERAL = ("labels", "group", "weight")  # known to every configuration, whatever its metrics read
OPTIONS: dict[str, Option] = {
    "labels": Option(
        meaning="the classes in the order of their numbers",
        expected="a list of different names, such as ['cat', 'dog']",
        takes=_are_labels,
    ),
    "positive": Option(
        meaning="the class that counts as positive; of two the second",
        expected="one of 'labels'",
        takes=lambda value: value is None or isinstance(value, str | Integral),
    ),
    "ignore_index": Option(
        meaning="the target that drops its row",
        expected="an integer, or None for no such target",
        takes=lambda value: value is None or _is_integer(value),
    ),
    "top_k": _count("how many of the best classes may hold the target"),
    "bins": _count("bins of equal width for the confidence"),
    "cutoff": _count("how many of the first documents count", optional=True),
    "eps": Option(
        meaning="no probability is taken below it",
        expected="a probability between 0 and 1, or None",
        takes=lambda value: value is None or (isinstance(value, int | float) and 0 < value < 1),
    ),
    "empty_queries": _choice("what a query without a relevant document counts as", "skip", "zero", "one"),
    "scheme": _choice("what makes an entity of tags", "lenient", "IOB2", "IOBES", "BILOU"),
    "transform": _choice("how texts are made comparable", "none", "lower", "words", "squad", "basic", "english"),
    "tokenize": _choice("sacrebleu's tokenizer", "13a", "intl", "char", "none", "zh", "ja-mecab", "ko-mecab"),
    "lowercase": Option(
        meaning="whether case is ignored", expected="true or false", takes=lambda value: isinstance(value, bool)
    ),
    "group": _column("the column whose equal values are drawn together (document, query, speaker)"),
    "weight": _column("the column that says how much a record counts"),
}


def check_option(name: str, value: Any) -> None:
    """MetricError with what was given and what would do."""
    option = OPTIONS.get(name)
    if option is not None and not option.takes(value):
        raise MetricError(f"{name!r} is {_shown(value)}; expected {option.expected}")


def check_options(config: Any, declared: Collection[str] = ()) -> dict[str, Any]:
    """The configuration as a dict of its own; MetricError for a name that is no option and not `declared`.

    Options that the metrics at hand do not read may be there: one configuration serves several.
    """
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise MetricError(
            f"the configuration is {_shown(config)}; expected a dict of options, such as {{'labels': [...]}}; "
            "columns are given by name: target=…, prediction=…"
        )
    found = dict(config)
    for name in found:
        if name not in OPTIONS and name not in declared:
            raise MetricError(f"unknown option {name!r}{did_you_mean(str(name), {*OPTIONS, *declared})}")
    if "labels" in found:
        found["labels"] = _labels(found["labels"])
    for name in GENERAL:
        check_option(name, found.get(name))
    return found


def _shown(value: Any) -> str:
    """A value in one short line."""
    said = " ".join(repr(value).split())
    return said if len(said) <= 80 else f"{said[:79]}…"


def _labels(given: Any) -> Any:
    """Labels as a list, where a string is a list of one and an array or a Series is its values; all else as it came."""
    if isinstance(given, str):
        return [given]
    return given.tolist() if hasattr(given, "tolist") else list(given) if isinstance(given, range) else given
