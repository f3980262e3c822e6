"""How often the 95 % interval of a metric held the truth, where it was measured: measured.json, told in a line.

tests/bench/bench_intervals.py makes the file: a cell a metric, setting (easy, hard, imbalanced, clustered) and number
of records. A cell is named where it is outside 93 to 97 % by more than the standard error of its simulations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from math import sqrt
from typing import Any

from raybench.metrics.catalog import find

__all__ = ["coverage_of", "outside"]

ASKED = (93.0, 97.0)

Cell = Mapping[str, Any]


@cache
def _cells() -> Mapping[str, Sequence[Cell]]:
    """The cells of each metric."""
    found: dict[str, list[Cell]] = {}
    for cell in json.loads(files("raybench.metrics").joinpath("measured.json").read_text()):
        if cell["simulations"]:
            found.setdefault(cell["metric"], []).append(cell)
    return found


def standard_error(simulations: int) -> float:
    """Of a share of simulations that is 95 %, in per cent."""
    return 100 * sqrt(0.95 * 0.05 / simulations)


def outside(cell: Cell) -> bool:
    error = standard_error(cell["simulations"])
    return not ASKED[0] - error <= cell["coverage"] <= ASKED[1] + error


def coverage_of(name: str) -> str:
    """What was measured, in a line; empty where nothing was. `top_5_accuracy` has what `top_2_accuracy` has."""
    cells = _cells().get(name) or next((_cells()[one] for one in _kin(name)), [])
    if not cells:
        return ""
    odd = [cell for cell in cells if outside(cell)]
    line = f"measured to hold in 93 to 97 % in {len(cells) - len(odd)} of {len(cells)} settings"
    told = [f"{cell['coverage']:g} % ({cell['setting']}, n = {cell['n']})" for cell in odd]
    return f"{line}, but in {', '.join(told)}" if told else line


def _kin(name: str) -> list[str]:
    """Other names of the same metric, with other numbers in them."""
    metric = find(name)[0]
    return [one for one in _cells() if find(one)[0] is metric]
