"""What ranks: a metric, or several with weights, as one text that job files, commands and tables share.

    read_rank_by({"macro_f1": 2, "ece": 1})     # "2 macro_f1 + 1 ece"
    weights_of("2 macro_f1 + 1 ece")            # {"macro_f1": 2.0, "ece": 1.0}
    weights_of("macro_f1")                      # {"macro_f1": 1.0}

What weights of several metrics mean is `raybench.results.criterion`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["read_rank_by", "told", "weights_of"]

_TERM = re.compile(r"(?:(\S+)\s+)?([^\s+*]+)")
_WANTED = "want a metric, or several with weights such as {macro_f1: 2, ece: 1}"


def read_rank_by(value: Any) -> str:
    """The text of what a job or a command gives; ValueError for what is none."""
    if isinstance(value, str):
        terms: list[tuple[Any, Any]] = []
        for part in value.split(" + "):
            found = _TERM.fullmatch(part.strip())
            if found is None:
                raise ValueError(_WANTED)
            terms.append((found[2], 1.0 if found[1] is None else _number(found[1])))
    elif isinstance(value, Mapping) and value:
        terms = list(value.items())
    else:
        raise ValueError(_WANTED)
    for name, weight in terms:
        if not isinstance(name, str) or _TERM.fullmatch(name) is None or " " in name:
            raise ValueError(_WANTED)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
            raise ValueError(
                f"the weight of {name} is {weight}; want a number above 0 (that less of a metric is better is known)"
            )
    if len({name for name, _ in terms}) < len(terms):
        raise ValueError("a metric stands in it twice")
    return terms[0][0] if len(terms) == 1 else " + ".join(f"{weight:.12g} {name}" for name, weight in terms)


def weights_of(rank_by: str) -> dict[str, float]:
    """By metric its weight, in the order written; of one metric alone it is 1."""
    terms = [part.rpartition(" ") for part in rank_by.split(" + ")]
    return {name: float(weight or 1.0) for weight, _, name in terms}


def told(rank_by: str) -> str:
    """What ranks, for a reader: a metric's name, or that ranks by several are averaged."""
    return rank_by if len(weights_of(rank_by)) == 1 else f"weighted mean rank ({rank_by})"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(_WANTED) from None
