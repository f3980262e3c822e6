"""Log-loss and Brier score: means over examples of what the records carry for the target's probability.

`nll` is −ln p(target) from float32 logits, so a gap of 120 between logits stays 120 and does not become infinity.
With `eps` in the configuration a probability is never taken below it (−ln eps caps each nll); without, a target of
probability 0 makes the log-loss infinite, as it is.
"""

from __future__ import annotations

from math import inf, log

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import class_targets, numbers_of, refuse
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import Metric, Options

__all__ = ["BRIER", "LOG_LOSS"]

_ROUNDING = 1e-5  # of a Brier score from float32 probabilities


def _nll(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
    nll, eps = numbers_of(records, "nll", low=0.0), options["eps"]
    if eps is not None:
        nll = np.where(np.isnan(nll), nll, np.minimum(nll, -log(eps)))
    return nll, _kept(records, options)


def _brier(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
    brier = numbers_of(records, "brier")
    outside = (brier < -_ROUNDING) | (brier > 2.0 + _ROUNDING)
    if outside.any():
        row = int(np.argmax(outside))
        refuse(records, "brier", row, f"{brier[row]:g}", "a number from 0 to 2")
    return np.clip(brier, 0.0, 2.0), _kept(records, options)


def _kept(records: pa.Table, options: Options) -> np.ndarray:
    return class_targets(records, options["labels"], options["ignore_index"])[1]


_TARGETS: Options = {"labels": None, "ignore_index": IGNORE_INDEX}
LOG_LOSS = Metric(
    measure=mean_measure("nll", ("target", "nll"), _nll, {"eps": None, **_TARGETS}),
    value=mean,
    interval="mean",
    higher_is_better=False,
    unit="nats an example",
    range=(0.0, inf),
    source="https://scikit-learn.org/stable/modules/model_evaluation.html#log-loss",
)
BRIER = Metric(
    measure=mean_measure("brier", ("target", "brier"), _brier, _TARGETS),
    value=mean,
    interval="mean",
    higher_is_better=False,
    unit="squared probability, summed over classes",
    range=(0.0, 2.0),
    source="Brier 1950; summed over classes, so twice scikit-learn's binary figure",
)
