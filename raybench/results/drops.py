"""What perturbing the test rows changes, candidate by candidate, on the same examples of the same fitted networks.

    table = drops_table(entries, {"bbc": "macro_f1", "bbc-typos": "macro_f1"}, records)
    table.column("change"), table.column("low"), table.column("high"), table.column("adjusted")

Each row is a paired comparison (`metrics/compare.py`) of a configuration on a perturbed dataset with itself on the
original, all seeds together as in `paired.py`; p-values are corrected by Holm over all of the table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from raybench.core import DatasetKey, Status
from raybench.core.errors import MetricError
from raybench.job.rank_by import weights_of
from raybench.metrics.compare import Difference, compare
from raybench.metrics.permutation import holm
from raybench.results.entry import Configuration, Entry
from raybench.results.paired import stacked
from raybench.tasks.catalog import task_of

__all__ = ["drops_table"]

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*Configuration._fields, "dataset", "original", "metric")),
        *((name, pa.float64()) for name in ("value", "original_value", "change", "low", "high", "p_value", "adjusted")),
        ("test", pa.string()),
        ("n", pa.int64()),
    ]
)


def drops_table(
    entries: Sequence[Entry], rank_by: Mapping[str, str], records: Callable[[str], pa.Table]
) -> pa.Table | None:
    """A row a configuration, perturbed dataset and metric that ranks it; None where no dataset is perturbed.

    `rank_by` says what ranks each dataset, `records` gives those of a trial by its id. What has no value, or no test,
    has null in its place.
    """
    seeds: dict[tuple[str, Configuration], dict[int, Entry]] = defaultdict(dict)
    for entry in (one for one in entries if one.trial.dataset.scored == "test" and one.status is Status.OK):
        seeds[entry.trial.dataset.name, Configuration.of(entry.trial)][entry.trial.seed] = entry
    rows: list[dict[str, Any]] = []
    for (dataset, configuration), perturbed in seeds.items():
        key = next(iter(perturbed.values())).trial.dataset
        before = seeds.get((key.original, configuration), {})
        if not key.original or before.keys() != perturbed.keys():
            continue
        pair = [[records(side[seed].trial.trial_id) for seed in sorted(side)] for side in (perturbed, before)]
        after, then = (stacked(tables, len(tables)) for tables in pair)
        for metric in weights_of(rank_by[dataset]):
            found = _difference(metric, after, then, key)
            if found is None:
                continue
            rows.append(
                {
                    **configuration._asdict(),
                    "dataset": dataset,
                    "original": key.original,
                    "metric": metric,
                    "value": found.a,
                    "original_value": found.b,
                    "change": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "test": found.test,
                    "n": found.n,
                }
            )
    tested = [row for row in rows if row["p_value"] is not None]
    for row, adjusted in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["adjusted"] = adjusted
    return pa.Table.from_pylist(rows, _SCHEMA) if any(entry.trial.dataset.original for entry in entries) else None


def _difference(metric: str, after: pa.Table, before: pa.Table, key: DatasetKey) -> Difference | None:
    config = task_of(key).metric_config(key.labels, key.task_config)
    try:
        return compare([metric], after, before, config)[metric]
    except MetricError:  # undefined on one side
        return None
