"""The baselines by name; the user's own are `module:attribute`."""

from __future__ import annotations

from raybench.baselines.baseline import Baseline
from raybench.catalog import make_entry

__all__ = ["BASELINES", "get_baseline"]

BASELINES = {
    "majority": "raybench.baselines.majority:Majority",
    "tfidf-logistic": "raybench.baselines.tfidf_logistic:TfidfLogistic",
    "pixels-logistic": "raybench.baselines.pixels_logistic:PixelsLogistic",
}


def get_baseline(name: str) -> Baseline:
    """The baseline of this name; JobError when there is none."""
    baseline: Baseline = make_entry("baseline", name, BASELINES, Baseline)
    return baseline
