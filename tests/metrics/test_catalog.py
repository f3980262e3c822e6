"""The catalog: every metric in it passes the shared laws on records of its task, and importing it stays light."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from raybench.core.errors import MetricError
from raybench.metrics import METRICS, MetricSet, describe, evaluate

ROWS = 24
LABELS = {"labels": ["no", "yes"]}
TAGS = {"labels": ["O", "B-PER", "I-PER", "B-LOC"]}


def lists(rows, kind=None) -> pa.Array:
    return pa.array([list(row) for row in rows], pa.list_(kind or pa.float64()))


def tables(classified) -> dict[str, tuple[pa.Table, dict]]:
    """Small records of every task, with a configuration."""
    rng = np.random.default_rng(0)
    ids = {"id": [f"r{k:02d}" for k in range(ROWS)]}
    sizes = rng.integers(2, 6, ROWS)
    real = rng.random(ROWS) < 0.5
    words = [[str(word) for word in rng.choice(["a", "b", "c", "d"], size)] for size in sizes]
    tags = [[str(tag) for tag in rng.choice(TAGS["labels"], size)] for size in sizes]
    found_tags = tags[:12] + [["O"] * int(size) for size in sizes[12:]]
    boxes = [rng.random(8) * 50 + 5 for _ in range(ROWS)]
    pixels = rng.integers(0, 30, (ROWS, 2))
    target = rng.normal(size=ROWS)
    columns = {
        "classification": classified(ROWS, 2),
        "multilabel": {
            "targets": lists(rng.integers(0, 2, (ROWS, 2)), pa.int8()),
            "predictions": lists(rng.integers(0, 2, (ROWS, 2)), pa.int8()),
            "scores": lists(rng.normal(size=(ROWS, 2))),
        },
        "regression": {"target": target, "prediction": target + rng.normal(size=ROWS)},
        "language": {
            "nll": rng.random(ROWS) * sizes,
            "num_tokens": sizes,
            "num_words": sizes,
            "num_bytes": sizes * 4,
            "num_right": sizes // 2,
        },
        "choices": {"target": sizes % 3, "prediction": sizes % 2, "prediction_norm": sizes % 4 - 1},
        "text": {
            "hypothesis": [" ".join(row[:-1]) for row in words],
            "references": lists([[" ".join(row)] for row in words], pa.string()),
        },
        "entity": {"target_tags": lists(tags, pa.string()), "tags": lists(found_tags, pa.string())},
        "segmentation": {
            "intersection": lists(pixels, pa.int64()),
            "predicted_pixels": lists(pixels + 3, pa.int64()),
            "target_pixels": lists(pixels + 5, pa.int64()),
        },
        "detection": {
            "truth_boxes": lists(boxes),
            "truth_labels": lists(rng.integers(0, 2, (ROWS, 2)), pa.int32()),
            "boxes": lists([box + rng.normal(size=8) for box in boxes]),
            "labels": lists(rng.integers(0, 2, (ROWS, 2)), pa.int32()),
            "box_scores": lists(rng.random((ROWS, 2))),
        },
        "generation": {
            "real": real,
            "features": lists(rng.normal(size=(ROWS, 2))),
            "probabilities": lists(rng.dirichlet([1, 1, 1], ROWS)),
        },
        "recommendation": {
            "relevance": lists([[1.0, *rng.integers(0, 2, size - 1)] for size in sizes]),
            "scores": lists([rng.random(size) for size in sizes]),
        },
    }
    found = {task: made if isinstance(made, pa.Table) else pa.table({**ids, **made}) for task, made in columns.items()}
    return {task: (table, TAGS if task == "entity" else LABELS) for task, table in found.items()}


def task_of(name: str) -> str:
    module = METRICS[name].removeprefix("raybench.metrics.").partition(":")[0]
    kinds = {
        "multilabel": ["multilabel"],
        "regression": ["regression", "rank_correlation"],
        "language": ["perplexity", "masked"],
        "choices": ["choices"],
        "text": ["overlap", "rouge", "answers", "word_error"],
        "entity": ["entity", "tags"],
        "segmentation": ["segmentation"],
        "detection": ["detection"],
        "generation": ["frechet"],
        "recommendation": ["retrieval"],
    }
    if name.startswith("multilabel"):
        return "multilabel"
    return next((task for task, modules in kinds.items() if module in modules), "classification")


TASKS = sorted({task_of(name) for name in METRICS})


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_of_the_catalog_conforms(task, conforms, classified):
    table, config = tables(classified)[task]
    names = [name for name in METRICS if task_of(name) == task]
    assert names
    conforms(names, table, config, examples=2)


@pytest.mark.parametrize("task", TASKS)
def test_every_defined_metric_has_an_interval_also_by_cluster(task, classified):
    table, config = tables(classified)[task]
    names = [name for name in METRICS if task_of(name) == task]
    group = pa.array([f"g{row // 2}" for row in range(ROWS)])
    for records in (table, table.append_column("group", group)):
        for name, score in evaluate(names, records, config).items():
            assert score.value is None or score.low is not None, name
            assert score.value is None or score.low <= score.high, name


def test_a_metric_may_be_named_by_module_and_attribute(classified):
    name = "raybench.metrics.classification:ACCURACY"
    scores = evaluate([name, "accuracy"], classified(20, 2), LABELS)
    assert scores[name] == scores["accuracy"]
    with pytest.raises(MetricError, match="cannot be loaded"):
        MetricSet(["raybench.metrics.nowhere:X"], LABELS)
    with pytest.raises(MetricError, match="is a dict; expected a Metric"):
        MetricSet(["raybench.metrics.catalog:METRICS"], LABELS)


def test_a_number_in_a_name_sets_the_parameter(classified):
    table = classified(30, 4)
    config = {"labels": list("abcd")}
    assert (
        evaluate(["top_2_accuracy"], table, config)["top_2_accuracy"]
        == (evaluate(["top_k_accuracy"], table, {**config, "top_k": 2})["top_k_accuracy"])
    )
    with pytest.raises(MetricError, match="unknown metric 'ndcg_at_0'"):
        MetricSet(["ndcg_at_0"], {})
    with pytest.raises(MetricError, match="unknown metric 'bleu_4'"):
        MetricSet(["bleu_4"], {})


def test_every_entry_says_what_it_is():
    for info in describe():
        assert info.source
        assert info.unit
        assert info.range[0] < info.range[1]
        assert info.higher_is_better is not None


def test_importing_the_metrics_imports_nothing_heavy():
    heavy = ("torch", "scipy", "sklearn", "pandas", "ray")
    code = f"import sys, raybench.metrics; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
