"""Detection, segmentation, generation and retrieval against pycocotools, scikit-learn, torchmetrics and brute force."""

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from scipy.linalg import sqrtm
from sklearn import metrics as reference

from raybench.metrics import evaluate
from raybench.metrics.detection import FIGURES, match
from raybench.metrics.retrieval import (
    average_precision_of_query,
    hit_of_query,
    ndcg_of_query,
    reciprocal_rank_of_query,
)

COCO = [f"coco_{figure}" for figure in FIGURES]
QUERIES = ["ndcg", "ndcg_at_5", "mrr", "mean_average_precision", "hit_rate_at_3", "recall_at_3", "precision_at_3"]


def scenes(num_images: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns: dict[str, list] = {"truth_boxes": [], "truth_labels": [], "boxes": [], "labels": [], "box_scores": []}
    for _ in range(num_images):
        count = int(rng.integers(0, 5))
        truth = np.concatenate([rng.random((count, 2)) * 200, rng.random((count, 2)) * 120 + 5], axis=1)
        classes = rng.integers(0, 2, count)
        kept = rng.random(count) < 0.8
        found = np.concatenate([truth[kept] + rng.normal(size=(int(kept.sum()), 4)) * 4, rng.random((2, 4)) * 90 + 5])
        columns["truth_boxes"].append(truth.reshape(-1).tolist())
        columns["truth_labels"].append(classes.tolist())
        columns["boxes"].append(np.abs(found).reshape(-1).tolist())
        columns["labels"].append([*classes[kept].tolist(), *rng.integers(0, 2, 2).tolist()])
        columns["box_scores"].append(np.round(rng.random(len(found)), 1).tolist())
    ids = [f"image-{k:03d}" for k in rng.permutation(num_images)]
    types = {"truth_labels": pa.int32(), "labels": pa.int32()}
    return pa.table(
        {"id": ids, **{name: pa.array(c, pa.list_(types.get(name, pa.float64()))) for name, c in columns.items()}}
    )


def crowded(num_images: int, seed: int) -> pa.Table:
    """Scenes with up to 260 detections an image of equal scores, crowds, and areas that are not those of the boxes."""
    rng = np.random.default_rng(seed)
    rows = []
    for image in range(num_images):
        count, detected = int(rng.integers(1, 12)), int(rng.choice([0, 3, 30, 260]))
        truth = np.concatenate([rng.random((count, 2)) * 300, rng.random((count, 2)) * 150 + 3], axis=1)
        found = np.abs(truth[rng.integers(0, count, detected)] + rng.normal(size=(detected, 4)) * 6)
        row = {
            "id": f"image-{image:03d}",
            "truth_boxes": truth.reshape(-1).tolist(),
            "truth_labels": rng.integers(0, 2, count).tolist(),
            "truth_areas": (truth[:, 2] * truth[:, 3] * rng.choice([0.5, 1.0], count)).tolist(),
            "truth_crowd": rng.integers(0, 5, count).tolist(),
            "boxes": found.reshape(-1).tolist(),
            "labels": rng.integers(0, 2, detected).tolist(),
            "box_scores": np.round(rng.random(detected), 1).tolist(),
        }
        rows.append({**row, "truth_crowd": [int(number == 0) for number in row["truth_crowd"]]})
    return pa.Table.from_pylist(rows)


def with_pycocotools(table: pa.Table) -> list[float]:
    from pycocotools import coco, cocoeval

    rows = table.sort_by("id").to_pylist()
    annotations, found = [], []
    for image, row in enumerate(rows, 1):
        for place, label in enumerate(row["truth_labels"]):
            box = row["truth_boxes"][4 * place : 4 * place + 4]
            entry = {"image_id": image, "category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            if "truth_crowd" in row:
                entry |= {"area": row["truth_areas"][place], "iscrowd": row["truth_crowd"][place]}
            annotations.append({"id": len(annotations) + 1, **entry})
        for place, label in enumerate(row["labels"]):
            box = row["boxes"][4 * place : 4 * place + 4]
            found.append({"image_id": image, "category_id": label + 1, "bbox": box, "score": row["box_scores"][place]})
    truth = coco.COCO()
    images = [{"id": image} for image in range(1, len(rows) + 1)]
    truth.dataset = {"info": {}, "images": images, "categories": [{"id": 1}, {"id": 2}], "annotations": annotations}
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


def test_detection_conforms(conforms):
    conforms(["coco_ap", "coco_ap_50", "coco_ar_10"], scenes(24), {"labels": ["cat", "dog"]}, examples=2)


@pytest.mark.parametrize(("draw", "seed"), [(scenes, 0), (scenes, 1), (scenes, 2), (crowded, 0), (crowded, 1)])
def test_detection_equals_pycocotools(draw, seed):
    table = draw(30, seed)
    scores = evaluate(COCO, table, {"labels": ["cat", "dog"]})
    for name, expected in zip(COCO, with_pycocotools(table), strict=True):
        if expected < 0:
            assert scores[name].value is None
        else:
            assert scores[name].value == pytest.approx(expected, abs=1e-14), name


@pytest.mark.parametrize("seed", range(3))
def test_matches_of_some_images_are_those_of_these_images_alone(seed):
    table, options = crowded(20, seed), {"labels": ["cat", "dog", "cow"]}
    kept = np.random.default_rng(seed).random(20) < 0.7
    part, alone = match(table, options).part(kept), match(table.filter(pa.array(kept)), options)
    for name in FIGURES:
        np.testing.assert_array_equal(part.figure(name), alone.figure(name), name)


def pixels(num_images: int, seed: int = 0) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    import torch

    from raybench.metrics.records import segmentation_records

    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, (num_images, 8, 8))
    prediction = np.where(rng.random(target.shape) < 0.7, target, rng.integers(0, 3, target.shape))
    target = np.where(rng.random(target.shape) < 0.1, 255, target)
    columns = segmentation_records(torch.from_numpy(prediction), torch.from_numpy(target), 4)
    ids = [f"i{k}" for k in range(num_images)]
    table = pa.table({"id": ids, **{name: pa.array(c.tolist(), pa.list_(pa.int64())) for name, c in columns.items()}})
    return table, target, prediction


def test_segmentation_conforms(conforms):
    conforms(["mean_iou", "dice", "pixel_accuracy"], pixels(20)[0], {"labels": list("abcd")}, examples=3)


def test_segmentation_equals_scikit_learn_over_all_pixels():
    table, target, prediction = pixels(20)
    t, p = target[target != 255], prediction[target != 255]
    scores = evaluate(["mean_iou", "dice", "pixel_accuracy"], table, {"labels": list("abcd")})
    assert scores["mean_iou"].value == pytest.approx(reference.jaccard_score(t, p, average="macro"))
    assert scores["dice"].value == pytest.approx(reference.f1_score(t, p, average="macro"))
    assert scores["pixel_accuracy"].value == reference.accuracy_score(t, p)
    assert scores["mean_iou"].per_class["d"].value is None


def features(num_rows: int, seed: int = 0, *, width: int = 4) -> pa.Table:
    rng = np.random.default_rng(seed)
    real = rng.random(num_rows) < 0.5
    values = rng.normal(size=(num_rows, width)).astype(np.float32) + 0.3 * real[:, None]
    probability = rng.dirichlet(np.ones(5) * 0.3, num_rows)
    return pa.table(
        {
            "id": [f"f{k}" for k in range(num_rows)],
            "real": real,
            "features": pa.array(values.tolist(), pa.list_(pa.float32())),
            "probabilities": pa.array(probability.tolist(), pa.list_(pa.float64())),
        }
    )


def test_generation_conforms(conforms):
    conforms(["fid", "kid", "inception_score"], features(60), {}, examples=3)


def test_fid_kid_and_inception_score_equal_direct_formulas():
    table = features(300)
    x = np.array(table["features"].to_pylist())
    real = np.array(table["real"].to_pylist())
    a, b = x[real], x[~real]
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    scores = evaluate(["fid", "kid", "inception_score"], table, {})
    assert scores["fid"].value == pytest.approx(expected, rel=1e-3)

    def kernel(p, q):
        return (p @ q.T / 4 + 1) ** 3

    within = [
        (kernel(side, side).sum() - np.trace(kernel(side, side))) / (len(side) * (len(side) - 1)) for side in (a, b)
    ]
    assert scores["kid"].value == pytest.approx(sum(within) - 2 * kernel(a, b).mean(), abs=1e-4)
    p = np.array(table["probabilities"].to_pylist())
    expected = np.exp((p * np.log(np.maximum(p, 1e-300) / p.mean(0))).sum(1).mean())
    assert scores["inception_score"].value == pytest.approx(expected, rel=1e-12)


def test_the_inception_score_is_of_the_rows_that_have_probabilities():
    table = features(60)
    real = np.array(table["real"].to_pylist())
    told = [[] if is_real else row for is_real, row in zip(real, table["probabilities"].to_pylist(), strict=True)]
    place = table.column_names.index("probabilities")
    mixed = table.set_column(place, "probabilities", pa.array(told, pa.list_(pa.float64())))
    alone, beside = (evaluate(["inception_score"], one, {}) for one in (table.filter(pa.array(~real)), mixed))
    assert beside["inception_score"].value == alone["inception_score"].value
    assert beside["inception_score"].n == int((~real).sum())
    nobody = evaluate(["inception_score"], mixed.filter(pa.array(real)), {})["inception_score"]
    assert nobody.value is None
    assert nobody.reason


def test_influences_of_fid_and_kid_are_the_derivatives_by_a_record_weight():
    from raybench.metrics.frechet import FID, KID

    table = features(80)
    copies = 300
    many = pa.concat_tables([table] * copies)
    for row in (0, 5, 11):
        more = pa.concat_tables([many, table.slice(row, 1)])
        values = [float(FID.value(FID.measure.state(t, {}).sums(), {})[0]) for t in (many, more)]
        assert FID.influence(table, {})[row] == pytest.approx((values[1] - values[0]) * copies, rel=0.05, abs=1e-3)
    influence = KID.influence(table, {})
    without = np.array([KID.measure(table.filter(pa.array(np.arange(80) != row)), {}) for row in range(80)])
    assert np.corrcoef(influence, KID.measure(table, {}) - without)[0, 1] > 0.999


def queries(num_queries: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 9, num_queries)
    relevance = [np.r_[1.0, rng.integers(0, 3, size - 1)].tolist() for size in sizes]
    scores = [np.round(rng.random(size), 1).tolist() for size in sizes]
    kind = pa.list_(pa.float64())
    ids = [f"q{k}" for k in range(num_queries)]
    return pa.table({"id": ids, "relevance": pa.array(relevance, kind), "scores": pa.array(scores, kind)})


def test_retrieval_conforms(conforms):
    conforms(QUERIES, queries(40), {}, examples=3)


def test_ndcg_equals_scikit_learn_ties_included():
    rows = queries(60).to_pylist()
    for k in (None, 3):
        expected = np.mean([reference.ndcg_score([row["relevance"]], [row["scores"]], k=k) for row in rows])
        name = "ndcg" if k is None else "ndcg_at_3"
        assert evaluate([name], queries(60), {})[name].value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("cutoff", [2, 3, 6])
def test_ties_give_the_mean_over_all_their_orders(cutoff):
    rng = np.random.default_rng(cutoff)
    for _ in range(6):
        relevance = np.r_[1.0, rng.integers(0, 2, 4)]
        scores = rng.integers(0, 2, 5).astype(float)
        for figure in (ndcg_of_query, reciprocal_rank_of_query, average_precision_of_query, hit_of_query):
            orders = [np.argsort(-scores[list(order)], kind="stable") for order in permutations(range(5))]
            untied = [
                figure(relevance[list(order)][rank], np.arange(5, 0, -1.0), cutoff)
                for order, rank in zip(permutations(range(5)), orders, strict=True)
            ]
            assert figure(relevance, scores, cutoff) == pytest.approx(np.mean(untied), abs=1e-12), figure.__name__


def test_untied_figures_equal_the_textbook():
    relevance, scores = np.array([0.0, 1.0, 0.0, 1.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert reciprocal_rank_of_query(relevance, scores, 4) == 1 / 2
    assert average_precision_of_query(relevance, scores, 4) == (1 / 2 + 2 / 4) / 2
    assert hit_of_query(relevance, scores, 1) == 0.0
