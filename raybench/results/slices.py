"""Scores of parts of the test examples: one for every value of a column.

slice_scores(metric_set, records, {"source": values})["source=web"]["accuracy"]
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Score
from raybench.job.paths import natural
from raybench.metrics import MetricSet

__all__ = ["slice_scores"]


def slice_scores(
    metric_set: MetricSet, records: pa.Table, columns: Mapping[str, pa.ChunkedArray | pa.Array]
) -> dict[str, dict[str, Score]]:
    """ "column=value" → scores of the records that have it; `columns` hold one value a record, in their order."""
    scores = {}
    for name, values in columns.items():
        for value in sorted((value.as_py() for value in pc.unique(values)), key=natural):
            part = records.filter(pc.equal(values, value))
            scores[f"{name}={value}"] = _scores(metric_set, part)
    return scores


def _scores(metric_set: MetricSet, records: pa.Table) -> dict[str, Score]:
    return metric_set.compute(metric_set.states(records), records=lambda: records)
