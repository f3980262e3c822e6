"""Words travel between processes whole."""

from __future__ import annotations

import pickle

from raybench.core import Score


def test_a_score_travels_with_all_that_it_says():
    part = Score(value=None, n=3, reason="no prediction is a class")
    score = Score(value=0.25, low=0.125, high=0.5, n=8, per_class={"sport": part, "tech": Score(value=1.0, n=5)})
    assert pickle.loads(pickle.dumps(score)) == score
