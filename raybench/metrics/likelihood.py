"""Log-loss and Brier score: means over examples of what the records carry for the target's probability.

`nll` is −ln p(target) from float32 logits, so a gap of 120 between logits stays 120 and does not become infinity.
With `eps` in the configuration a probability is never taken below it (−ln eps caps each nll); without, a target of
probability 0 makes the log-loss infinite, as it is.
"""

from __future__ import annotations

from math import inf, log

import numpy as np
import pyarrow as pa

from raybench.errors import MetricError
from raybench.metrics.columns import integers_of, numbers_of
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Metric, Options

__all__ = ["BRIER", "LOG_LOSS"]


def _nll(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
    nll, eps = numbers_of(records, "nll"), options["eps"]
    if eps is not None:
        if not 0 < eps < 1:
            raise MetricError(f"'eps' is {eps!r}; expected a probability between 0 and 1")
        nll = np.where(np.isnan(nll), nll, np.minimum(nll, -log(eps)))
    return nll, integers_of(records, "target") != options["ignore_index"]


def _brier(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
    return numbers_of(records, "brier"), integers_of(records, "target") != options["ignore_index"]


LOG_LOSS = Metric(
    measure=mean_measure("nll", ("target", "nll"), _nll, {"eps": None, "ignore_index": IGNORE_INDEX}),
    value=mean,
    interval="mean",
    higher_is_better=False,
    unit="nats an example",
    range=(0.0, inf),
    source="https://scikit-learn.org/stable/modules/model_evaluation.html#log-loss",
)
BRIER = Metric(
    measure=mean_measure("brier", ("target", "brier"), _brier, {"ignore_index": IGNORE_INDEX}),
    value=mean,
    interval="mean",
    higher_is_better=False,
    unit="squared probability, summed over classes",
    range=(0.0, 2.0),
    source="Brier 1950; summed over classes, so twice scikit-learn's binary figure",
)
