"""A perfect, an empty or a constant sample is no certainty: no interval has width 0, and none leaves its range."""

import numpy as np
import pyarrow as pa
import pytest

from raybench.metrics import METRICS, MetricSet
from raybench.metrics.intervals import interval_of, wilson

N = 100
LABELS = {"labels": list("abcd")}


def perfect() -> dict[str, tuple[dict, dict]]:
    """Columns of perfect records, and the configuration, by kind of task."""
    target = np.arange(N) % 4
    texts = ["the cat sat on the mat today", "a dog ran over the green hill"] * (N // 2)
    hot = np.eye(4, dtype=np.int8)[target]
    boxes = [[0.0, 0.0, 20.0, 20.0, 50.0, 0.0, 50.0, 50.0, 150.0, 0.0, 120.0, 120.0]] * N
    return {
        "classes": (
            {
                "target": target.astype(np.int32),
                "prediction": target.astype(np.int32),
                "confidence": np.ones(N),
                "nll": np.zeros(N),
                "brier": np.zeros(N),
                "rank": np.zeros(N, np.int32),
                "scores": list(hot.astype(np.float32)),
            },
            LABELS,
        ),
        "two": (
            {
                "target": (target % 2).astype(np.int32),
                "prediction": (target % 2).astype(np.int32),
                "score": (target % 2).astype(np.float32),
            },
            {"labels": ["n", "y"]},
        ),
        "labels": ({"targets": list(hot), "predictions": list(hot), "scores": list(hot.astype(np.float32))}, LABELS),
        "numbers": ({"target": np.arange(N) * 1.0, "prediction": np.arange(N) * 1.0}, {}),
        "language": (
            {"nll": np.zeros(N), **{f"num_{unit}": np.full(N, 10) for unit in ("tokens", "right", "words", "bytes")}},
            {},
        ),
        "texts": ({"hypothesis": texts, "references": [[text] for text in texts]}, {}),
        "entities": (
            {"target_tags": [["B-PER", "O", "B-LOC"]] * N, "tags": [["B-PER", "O", "B-LOC"]] * N},
            {"labels": ["O", "B-PER", "B-LOC"]},
        ),
        "pixels": (
            {name: [[5, 6, 7, 8]] * N for name in ("intersection", "predicted_pixels", "target_pixels")},
            LABELS,
        ),
        "boxes": (
            {
                "truth_boxes": boxes,
                "truth_labels": [[0, 1, 1]] * N,
                "boxes": boxes,
                "labels": [[0, 1, 1]] * N,
                "box_scores": [[0.9, 0.8, 0.7]] * N,
            },
            {"labels": ["a", "b"]},
        ),
        "documents": ({"relevance": [[1.0, 0.0, 0.0]] * N, "scores": [[0.9, 0.2, 0.1]] * N}, {}),
    }


_OF_TASK = {
    "two": ["precision", "recall", "f1", "specificity", "roc_auc", "average_precision"],
    "documents": ["ndcg", "mrr", "mean_average_precision", "hit_rate_at_3", "recall_at_3"],
    "numbers": ["mse", "rmse", "mae", "r2", "pearson", "spearman", "kendall"],
}


def scores_of(kind: str, columns: dict, config: dict, **more) -> dict:
    from raybench.metrics.requirements import misfit

    table = pa.table({"id": [f"r{k:03d}" for k in range(N)], **{c: pa.array(v) for c, v in columns.items()}, **more})
    config = {**config, **({"group": "group"} if "group" in more else {})}
    names = _OF_TASK.get(kind) or [n for n in METRICS if n != "fid" and misfit(n, table.schema, config) is None]
    names = [name for name in names if kind != "classes" or name not in ("precision", "recall", "f1", "specificity")]
    metrics = MetricSet(names, config)
    return metrics.compute(metrics.states(table), lambda: table)


@pytest.mark.parametrize("kind", perfect())
@pytest.mark.parametrize("grouped", [False, True])
def test_perfect_records_leave_no_interval_of_width_zero(kind, grouped):
    more = {"group": [f"g{k // 5}" for k in range(N)]} if grouped else {}
    scores = scores_of(kind, *perfect()[kind], **more)
    assert len(scores) > 2
    for name, score in scores.items():
        for part in (score, *score.per_class.values()):
            assert part.low is None or part.low < part.high, name
            assert part.value is None or part.low is None or part.low <= part.value <= part.high, name
    bounded = [name for name in scores if name not in _UNBOUNDED]
    assert all(scores[name].low is not None for name in bounded if scores[name].value is not None), scores


_UNBOUNDED = {  # a loss of exactly 0 says nothing of the size of the next one
    "mse", "rmse", "mae", "log_loss",
    "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "token_nll",
}  # fmt: skip


def test_micro_f1_is_accuracy_and_has_its_interval():
    target = np.arange(N) % 4
    prediction = np.where(np.arange(N) % 9 == 0, (target + 1) % 4, target)
    scores = scores_of("some", {"target": target.astype(np.int32), "prediction": prediction.astype(np.int32)}, LABELS)
    assert scores["micro_f1"] == scores["micro_precision"] == scores["accuracy"]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 100.0), (0.0, np.inf), (-np.inf, 1.0)])
@pytest.mark.parametrize("variance", [0.0, 1e-6, 0.3, 1e6])
def test_intervals_stay_inside_the_range_and_around_the_value(bounds, variance):
    for value in (*(end for end in bounds if np.isfinite(end)), -0.5, 0.3, 0.999):
        if bounds[0] <= value <= bounds[1]:
            ends = interval_of(value, variance=variance, df=10, bounds=bounds, trials=50, whole=0.5)
            if ends is not None:
                assert bounds[0] <= ends[0] <= value <= ends[1] <= bounds[1]
                assert ends[0] < ends[1]


def test_a_proportion_by_its_variance_is_a_proportion_by_its_trials():
    by_variance = interval_of(0.9, variance=0.09 / 200, df=1e9, bounds=(0.0, 1.0), trials=200)
    assert by_variance == pytest.approx(wilson(180, 200))
