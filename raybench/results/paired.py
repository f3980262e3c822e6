"""Who differs from whom on one dataset: paired tests of its best configurations, corrected for their number.

    pairs = paired_tests([[records of each seed] of each configuration, best first], "accuracy", config, work=200_000)
    pairs[0].first, pairs[0].second, pairs[0].difference, pairs[0].adjusted     # Holm's, over all pairs tested

The seeds of a configuration are taken together: an example's records are one cluster, flipped as a whole, so the test
is over examples and says nothing of other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import MetricError
from raybench.metrics import Metric, MetricSet
from raybench.metrics.compare import compare
from raybench.metrics.permutation import holm

__all__ = ["PairTest", "paired_tests", "stacked"]

_PROPORTION_SHARE = 0.1  # of what a permutation costs: McNemar's test needs no draws


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTest:
    """`difference` is first − second, by their places in the ranking; `adjusted` is the p-value after Holm."""

    first: int
    second: int
    difference: float
    low: float | None
    high: float | None
    p_value: float
    adjusted: float
    test: str


def paired_tests(
    configurations: Sequence[Sequence[pa.Table]], metric: str, config: Mapping[str, Any], *, work: float
) -> tuple[PairTest, ...]:
    """Pairs in the order of interest (the best with each other, then the next), as many as `work` allows.

    `work` counts rows drawn for a permutation; a test of proportions takes a tenth of it.
    """
    most_seeds = max((len(seeds) for seeds in configurations), default=0)
    tables = [stacked(seeds, most_seeds) for seeds in configurations]
    if len(tables) < 2:
        return ()
    measured, _ = MetricSet([metric], config).metric(metric)
    is_quick = most_seeds == 1 and isinstance(measured, Metric) and measured.proportion is not None
    cost = max(1, tables[0].num_rows) * (_PROPORTION_SHARE if is_quick else 1.0)
    wanted = [(a, b) for a in range(len(tables)) for b in range(a + 1, len(tables))]
    found = []
    for first, second in wanted[: max(1, int(work / cost))]:
        try:
            one = compare([metric], tables[first], tables[second], config)[metric]
        except MetricError:  # one has no value, or their examples differ
            continue
        if one.difference is not None and one.p_value is not None:
            test = PairTest(
                first=first,
                second=second,
                difference=one.difference,
                low=one.low,
                high=one.high,
                p_value=one.p_value,
                adjusted=one.p_value,
                test=one.test or "",
            )
            found.append(test)
    adjusted = holm([test.p_value for test in found])
    return tuple(replace(test, adjusted=value) for test, value in zip(found, adjusted, strict=True))


def stacked(seeds: Sequence[pa.Table], times: int) -> pa.Table:
    """The records of all seeds under one another; what needed fewer seeds than others is repeated, to be paired."""
    if times == 1:
        return seeds[0]
    parts = []
    for place in range(times):
        table = seeds[place % len(seeds)]
        ids = table.column("id")
        if "group" not in table.column_names:
            table = table.append_column("group", ids)
        named = pc.binary_join_element_wise(ids.cast(pa.string()), str(place), "#")
        parts.append(table.set_column(table.column_names.index("id"), "id", named))
    return pa.concat_tables(parts, promote_options="default")
