"""Masked tokens that a model puts back: the share of them, over all tokens of all texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import integers_of, refuse
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio

__all__ = ["MASKED_ACCURACY"]


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    count, right = integers_of(records, "num_tokens", low=0), integers_of(records, "num_right", low=0)
    if (right > count).any():
        row = int(np.argmax(right > count))
        refuse(records, "num_right", row, int(right[row]), f"at most the {count[row]} tokens of the row")
    return {"n": (count > 0).astype(np.int64), "right": right, "count": count}


MASKED_ACCURACY = Metric(
    measure=Measure(name="masked tokens", columns=("num_right", "num_tokens"), contributions=_contributions),
    value=lambda sums, options: ratio(sums["right"], sums["count"]),
    higher_is_better=True,
    source="Devlin et al. 2019, arXiv:1810.04805",
    undefined="no text has a token",
)
