"""Right choices of a multiple-choice question, of which each may have its own number of choices: there are no classes.

`choice_accuracy` takes the likeliest choice, `choice_accuracy_norm` the likeliest a byte of it (longer choices are less
likely by their length alone; Gao et al., lm-evaluation-harness, `acc_norm`). −1 is no prediction, and wrong.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import integers_of
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio
from raybench.metrics.state import Sums

__all__ = ["CHOICE_ACCURACY", "CHOICE_ACCURACY_NORM"]


def _right(column: str) -> Metric:
    def contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
        right = integers_of(records, "target", low=0) == integers_of(records, column)
        return {"n": np.ones(records.num_rows, dtype=np.int64), "right": right.astype(np.int64)}

    def parts(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
        return sums["right"], sums["n"]

    return Metric(
        measure=Measure(name=f"right {column}", columns=("target", column), contributions=contributions),
        value=lambda sums, options: ratio(*parts(sums, options)),
        proportion=parts,
        trial_each=True,
        interval="wilson",
        higher_is_better=True,
        source="https://github.com/EleutherAI/lm-evaluation-harness, acc and acc_norm",
    )


CHOICE_ACCURACY = _right("prediction")
CHOICE_ACCURACY_NORM = _right("prediction_norm")
