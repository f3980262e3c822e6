"""Edges that an outsider found: each is a value that was wrong, or an input that was let through."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core.errors import MergeError, MetricError
from raybench.metrics import MetricSet, StateSet, evaluate
from raybench.metrics.average_precision import AVERAGE_PRECISION, average_precision
from raybench.metrics.entity import spans
from raybench.metrics.records import classification_records, multilabel_records, segmentation_records
from raybench.metrics.roc import ROC_AUC

INF = math.inf
FLOATS, INTEGERS, TEXTS = (pa.list_(kind()) for kind in (pa.float64, pa.int64, pa.string))
ABC = {"labels": ["a", "b", "c"]}
YES = {"labels": ["no", "yes"]}


def table(**columns) -> pa.Table:
    num_rows = len(next(iter(columns.values())))
    return pa.table({"id": [f"r{k}" for k in range(num_rows)], **columns})


def classes(target, prediction, **columns) -> pa.Table:
    return table(target=pa.array(target, pa.int32()), prediction=pa.array(prediction, pa.int32()), **columns)


def queries(relevance, scores) -> pa.Table:
    return table(relevance=pa.array(relevance, FLOATS), scores=pa.array(scores, FLOATS))


def value(name, records, config=None):
    return evaluate([name], records, config or {})[name].value


# --- equal infinities


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["ndcg", "mrr", "mean_average_precision", "hit_rate_at_1", "precision_at_1"])
def test_equal_infinite_scores_are_ties_in_retrieval(name, sign):
    relevance = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    infinite = value(name, queries(relevance, [[sign * INF] * 3] * 2))
    assert infinite == value(name, queries(relevance, [[7.0] * 3] * 2))


def test_equal_infinite_scores_are_ties_in_auc_and_average_precision_values_and_influences():
    target = [0, 1, 0, 1, 1, 0]
    infinite, plain = [INF, INF, -INF, -INF, 0.0, 0.0], [9.0, 9.0, -9.0, -9.0, 0.0, 0.0]
    both = [table(target=target, score=score) for score in (infinite, plain)]
    for name in ("roc_auc", "average_precision"):
        first, second = (evaluate([name], records, YES)[name] for records in both)
        assert first == second
    options = {**YES, "positive": None, "ignore_index": -100}
    for metric in (ROC_AUC, AVERAGE_PRECISION):
        assert np.array_equal(*(metric.influence(records, options) for records in both))
    assert average_precision(np.array([INF, INF]), np.array([True, False])) == 0.5


# --- strings where lists belong


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter", "rouge1", "rouge2", "rougeL", "exact_match", "qa_f1", "wer"])
def test_references_given_as_strings_are_one_reference_each(name):
    hypothesis, references = ["the cat sat on the mat", "a dog ran"], ["the cat sat on a mat", "a dog ran off"]
    as_lists = table(hypothesis=hypothesis, references=pa.array([[text] for text in references], TEXTS))
    assert value(name, table(hypothesis=hypothesis, references=references)) == value(name, as_lists)


def test_tags_and_labels_given_as_strings_are_lists_of_one():
    tagged = table(target_tags=["B-PER", "O"], tags=["B-PER", "B-PER"])
    assert value("entity_precision", tagged, {"labels": ["B-PER"]}) == 0.5
    assert value("entity_precision", tagged, {"labels": "B-PER"}) == 0.5
    assert list(evaluate(["macro_f1"], classes([0], [0]), {"labels": "ab"})["macro_f1"].per_class) == ["ab"]


# --- pictures


def test_a_predicted_class_outside_the_classes_is_wrong_and_stays_in_its_image():
    target = torch.tensor([[[0, 1]], [[0, 1]]])
    for outside in (2, 5, -1, 255):
        found = segmentation_records(torch.tensor([[[0, outside]], [[0, 1]]]), target, 2)
        assert found["predicted_pixels"].tolist() == [[1, 0], [1, 1]]
        assert found["intersection"].tolist() == [[1, 0], [1, 1]]
        assert found["target_pixels"].tolist() == [[1, 1], [1, 1]]


def test_a_target_pixel_that_is_no_class_names_its_image():
    with pytest.raises(MetricError, match="target pixel of image 1 is no class: expected 0 to 1, or 255"):
        segmentation_records(torch.zeros(2, 1, 2).long(), torch.tensor([[[0, 1]], [[0, 7]]]), 2)


@pytest.mark.parametrize("column", ["truth_areas", "truth_crowd"])
def test_surplus_truth_areas_and_crowds_are_refused(column):
    boxes = {"truth_boxes": [[0.0, 0, 9, 9]], "truth_labels": [[0]], "boxes": [[0.0, 0, 9, 9]], "labels": [[0]]}
    records = table(**boxes, box_scores=[[0.5]], **{column: [[1.0, 0.0]]})
    with pytest.raises(MetricError, match=rf"row 0 \(id 'r0'\) has 2 {column} for 1 truth_labels"):
        value("coco_ap_small", records, {"labels": ["cat"]})


# --- saturation


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_saturated_scores_keep_their_order(num_classes):
    logits = torch.zeros(4, num_classes)
    logits[:, 1] = torch.tensor([30.0, 40.0, 50.0, 60.0])
    target = torch.tensor([0, 0, 1, 1])
    columns = classification_records(logits, target)
    scores = columns.pop("scores")
    records = table(target=target.numpy(), **columns, scores=pa.array(list(scores), pa.list_(pa.float32())))
    labels = {"labels": list(range(num_classes))}
    assert (np.diff(scores[:, 1]) > 0).all()
    assert value("roc_auc", records, labels) == value("average_precision", records, labels) == 1.0


def test_scores_are_the_log_odds_of_each_class():
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    expected = logits.softmax(1).logit()
    found = classification_records(logits, torch.zeros(50, dtype=torch.int64))["scores"]
    assert found == pytest.approx(expected.numpy(), abs=1e-4)


# --- targets out of range

SCORES = {"scores": [[0.0] * 3] * 2}
NEEDS_TARGETS = {
    "accuracy": {}, "macro_f1": {}, "mcc": {}, "cohen_kappa": {}, "log_loss": {"nll": [0.1, 0.2]},
    "brier": {"brier": [0.1, 0.2]}, "ece": {"confidence": [0.5, 0.6]}, "mce": {"confidence": [0.5, 0.6]},
    "top_1_accuracy": {"rank": [0, 1]}, "roc_auc": SCORES, "roc_auc_ovo": SCORES,
    "average_precision": SCORES, "weighted_roc_auc": SCORES,
}  # fmt: skip


@pytest.mark.parametrize("name", NEEDS_TARGETS)
@pytest.mark.parametrize("target", [-7, -1, 3])
def test_every_metric_refuses_a_target_out_of_range_and_names_the_row(name, target):
    records = classes([0, target], [0, 0], **NEEDS_TARGETS[name])
    expected = rf"target {target} \(row 1 \(id 'r1'\)\) is no class: expected 0 to 2, or -100"
    with pytest.raises(MetricError, match=expected):
        value(name, records, ABC)
    assert evaluate([name], records, {**ABC, "ignore_index": target})[name].n == 1


@pytest.mark.parametrize("name", ["log_loss", "brier", "ece", "top_1_accuracy"])
def test_a_negative_target_is_refused_also_where_the_classes_are_not_known(name):
    with pytest.raises(MetricError, match=r"target -7.*expected 0 or more"):
        value(name, classes([0, -7], [0, 0], **NEEDS_TARGETS[name]))


@pytest.mark.parametrize("target", [3, 99])
def test_logits_with_a_target_beyond_the_classes_are_refused(target):
    with pytest.raises(MetricError, match=rf"target {target} \(row 1\) is no class: expected 0 to 2"):
        classification_records(torch.zeros(2, 3), torch.tensor([0, target]))


# --- nothing but NaN


@pytest.mark.parametrize("num_known", [0, 1])
@pytest.mark.parametrize(
    ("name", "column"), [("mce", "confidence"), ("ece", "confidence"), ("log_loss", "nll"), ("brier", "brier")]
)
def test_nan_leaves_a_metric_of_probabilities_undefined_with_the_callers_word(name, column, num_known):
    records = classes([0, 0], [0, 0], **{column: [0.5] * num_known + [math.nan] * (2 - num_known)})
    score = evaluate([name], records, ABC)[name]
    assert score.value is None
    assert score.reason == f"{2 - num_known} of 2 records have NaN for '{column}'"


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "r2", "pearson", "spearman", "kendall"])
def test_nan_leaves_a_metric_of_numbers_undefined_with_the_callers_word(name):
    for target in ([1.0, math.nan, 2.0], [math.nan] * 3):
        score = evaluate([name], table(target=target, prediction=[1.0, 2.0, 3.0]), {})[name]
        assert score.value is None
        assert "have NaN for" in score.reason
        assert "target" in score.reason


@pytest.mark.parametrize("name", ["ndcg", "mrr", "mean_average_precision", "hit_rate_at_k"])
def test_nan_scores_of_documents_leave_retrieval_undefined(name):
    score = evaluate([name], queries([[1.0, 0.0]], [[math.nan, math.nan]]), {})[name]
    assert (score.value, score.reason) == (None, "1 of 1 records have NaN for 'scores'")


# --- ranking


def test_map_at_k_divides_by_all_relevant_documents_as_trec_eval_does():
    records = queries([[1.0, 0.0, 1.0, 1.0]], [[4.0, 3.0, 2.0, 1.0]])
    assert value("mean_average_precision_at_1", records) == pytest.approx(1 / 3)
    assert value("mean_average_precision_at_3", records) == pytest.approx((1 + 2 / 3) / 3)
    assert value("mean_average_precision", records) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


# --- tags


def test_the_lenient_scheme_reads_bilou():
    bilou = ["B-PER", "L-PER", "U-PER", "U-PER", "O", "B-LOC", "I-LOC", "L-LOC", "U-LOC"]
    iobes = [tag.replace("L-", "E-", 1).replace("U-", "S-", 1) for tag in bilou]
    expected = {("PER", 0, 2), ("PER", 2, 3), ("PER", 3, 4), ("LOC", 5, 8), ("LOC", 8, 9)}
    assert spans(bilou, "lenient") == spans(iobes, "lenient") == spans(bilou, "BILOU") == expected


@pytest.mark.parametrize("tag", ["X-PER", "PER", "B", "", "b-PER"])
def test_a_tag_of_no_scheme_is_refused_with_its_row(tag):
    with pytest.raises(MetricError, match=r"in row 1 \(id 'r1'\) is none of 'labels'"):
        value("entity_f1", table(target_tags=[["O"], ["O"]], tags=[["O"], [tag]]), {"labels": ["B-PER"]})


# --- inputs outside their range

OUTSIDE = [
    ("ece", {"target": [0, 0], "prediction": [0, 0], "confidence": [0.5, 2.5]}, "'confidence' has 2.5 in row 1"),
    ("mce", {"target": [0, 0], "prediction": [0, 0], "confidence": [0.5, -0.1]}, "'confidence' has -0.1 in row 1"),
    ("log_loss", {"target": [0, 0], "nll": [0.5, -1.0]}, "'nll' has -1 in row 1"),
    ("perplexity", {"nll": [0.5, -1.0], "num_tokens": [1, 1]}, "'nll' has -1 in row 1"),
    ("perplexity", {"nll": [0.5, 1.0], "num_tokens": [1, -1]}, "'num_tokens' has -1 in row 1"),
    ("brier", {"target": [0, 0], "brier": [0.5, 2.5]}, "'brier' has 2.5 in row 1"),
    ("top_1_accuracy", {"target": [0, 0], "rank": [0, -1]}, "'rank' has -1 in row 1"),
    ("accuracy", {"target": [0.0, 1.0], "prediction": [0, 0]}, "'target' holds double; expected integers"),
    ("accuracy", {"target": ["0", "1"], "prediction": [0, 0]}, "'target' has '0' in row 0"),
    ("mse", {"target": ["0", "1"], "prediction": [0.0, 0.0]}, "'target' holds strings"),
    ("spearman", {"target": [0.0, 1.0], "prediction": ["0", "1"]}, "'prediction' holds strings"),
    ("ndcg", {"relevance": [[1.0], [math.nan]], "scores": [[1.0], [1.0]]}, "'relevance' has nan in row 1"),
    ("mrr", {"relevance": [[1.0], [-1.0]], "scores": [[1.0], [1.0]]}, "'relevance' has -1 in row 1"),
    ("ndcg", {"relevance": [["1"], ["1"]], "scores": [[1.0], [1.0]]}, "expected lists of numbers"),
    ("multilabel_macro_f1", {"targets": [[1, 0], [257, 0]], "predictions": [[1, 0]] * 2}, "'targets' has 257 in row 1"),
    (
        "multilabel_macro_f1",
        {"targets": [[1, 0]] * 2, "predictions": [[1.0, 0.0], [math.nan, 0.0]]},
        "'predictions' has nan in row 1",
    ),
    ("multilabel_roc_auc", {"targets": [[1, 0], [2, 1]], "scores": [[0.0, 1.0]] * 2}, "'targets' has 2 in row 1"),
    (
        "mean_iou",
        {"intersection": [[0, 0]], "predicted_pixels": [[1, -1]], "target_pixels": [[1, 1]]},
        "'predicted_pixels' has -1 in row 0",
    ),
    (
        "mean_iou",
        {"intersection": [[3, 0]], "predicted_pixels": [[2, 1]], "target_pixels": [[4, 1]]},
        "'intersection' has 3 in row 0",
    ),
    ("inception_score", {"probabilities": [[0.5, 0.5], [2.5, 0.5]]}, "'probabilities' has 2.5 in row 1"),
    ("inception_score", {"probabilities": [[0.5, 0.5], [0.1, 0.2]]}, "'probabilities' has a sum of 0.3 in row 1"),
    ("fid", {"features": [[0.5], [0.1]], "real": [1, 2]}, "'real' has 2 in row 1"),
    ("fid", {"features": [[0.5], [math.inf]], "real": [True, False]}, "'features' has inf in row 1"),
    ("fid", {"features": [[0.5], [0.5, 0.5]], "real": [True, False]}, "'features' has 2 numbers in row 1"),
]


@pytest.mark.parametrize(("name", "columns", "expected"), OUTSIDE)
def test_input_outside_its_range_is_refused_with_its_place(name, columns, expected):
    with pytest.raises(MetricError, match=expected) as caught:
        value(name, table(**columns), YES)
    assert "row 1" not in expected or "(id 'r1')" in str(caught.value)


def test_records_from_scores_refuse_what_they_cannot_read():
    two, ones = torch.zeros(2, 2), torch.ones(2, 2)
    for call, expected in (
        (lambda: classification_records(two, torch.zeros(2).long(), kind="probs"), "'kind' is 'probs'"),
        (lambda: multilabel_records(two, two.long(), kind="logit"), "'kind' is 'logit'"),
        (lambda: multilabel_records(two, torch.tensor([[0, 1], [257, 0]])), "targets of row 1"),
        (lambda: multilabel_records(two, torch.tensor([[0, 1], [math.nan, 0]])), "targets of row 1"),
        (lambda: multilabel_records(ones * 2, two.long(), kind="probabilities"), "row 0 has a probability outside"),
        (lambda: multilabel_records(two, two.long(), threshold=2.0), "'threshold' is 2.0"),
        (lambda: classification_records(ones * 1.5, torch.zeros(2).long(), kind="probabilities"), "row 0 has a prob"),
        (lambda: classification_records(two, torch.zeros(2)), "targets are torch.float32"),
        (lambda: classification_records(two, torch.zeros(3).long()), r"shapes \[2, 2\] and \[3\]"),
        (lambda: classification_records(torch.zeros(2), torch.zeros(2).long()), "shapes"),
    ):
        with pytest.raises(MetricError, match=expected):
            call()


# --- options


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("ece", {"bins": 0}, "'bins' is 0; expected an integer from 1 up"),
        ("ece", {"bins": 2.5}, "'bins' is 2.5"),
        ("ece", {"bins": "15"}, "'bins' is '15'"),
        ("top_k_accuracy", {"top_k": 0}, "'top_k' is 0"),
        ("ndcg", {"cutoff": 0}, "'cutoff' is 0"),
        ("ndcg", {"cutoff": -3}, "'cutoff' is -3"),
        ("ndcg", {"empty_queries": "drop"}, "'empty_queries' is 'drop'; expected one of skip, zero, one"),
        ("log_loss", {"eps": 1.0}, "'eps' is 1.0"),
        ("entity_f1", {"labels": ["B-X"], "scheme": "BIO"}, "'scheme' is 'BIO'"),
        ("wer", {"transform": "upper"}, "'transform' is 'upper'"),
        ("bleu", {"tokenize": "13b"}, "'tokenize' is '13b'"),
        ("bleu", {"lowercase": 1.5}, "'lowercase' is 1.5"),
        ("accuracy", {"labels": 2}, "'labels' is 2; expected a list"),
        ("accuracy", {"labels": []}, r"'labels' is \[\]"),
        ("accuracy", {"labels": ["a", "a"]}, "'labels' is"),
        ("accuracy", {"labels": ["a", "b"], "ignore_index": "x"}, "'ignore_index' is 'x'"),
        ("accuracy", {"labels": ["a", "b"], "group": 3}, "'group' is 3"),
    ],
)
def test_options_are_checked_before_any_record_is_read(name, config, expected):
    with pytest.raises(MetricError, match=expected):
        MetricSet([name], config)


# --- states


def test_states_of_another_configuration_are_refused_by_compute():
    records = classes([0, 1], [0, 1], confidence=[0.5, 0.6])
    states = MetricSet(["ece"], {**ABC, "bins": 10}).states(records)
    for other in (MetricSet(["ece"], {**ABC, "bins": 20}), MetricSet(["accuracy"], ABC)):
        with pytest.raises(MetricError, match="another configuration"):
            other.compute(states)
    of_ranks = MetricSet(["roc_auc"], YES).states(table(target=[0, 1], score=[0.0, 1.0]))
    with pytest.raises(MetricError, match="another configuration"):
        MetricSet(["accuracy"], YES).compute(of_ranks)


def test_overlapping_shards_are_refused_by_merge_alone_also_after_a_round_trip():
    metrics = MetricSet(["accuracy"], ABC)
    records = classes([0, 1, 2, 0], [0, 1, 2, 1])
    first, second, third = (metrics.states(records.slice(start, 2)) for start in (0, 1, 2))
    read = StateSet.from_arrow(first.to_arrow()), StateSet.from_bytes(second.to_bytes())
    for left, right in ((first, second), read):
        with pytest.raises(MergeError, match="1 examples were to be merged twice"):
            left.merge(right)
    whole = first.merge(third)
    assert whole == metrics.states(records)
    with pytest.raises(MergeError, match="2 examples were to be merged twice"):
        StateSet.from_bytes(whole.to_bytes()).merge(second)


def test_states_written_before_hashes_were_kept_are_still_read():
    metrics = MetricSet(["accuracy"], ABC)
    records = classes([0, 1], [0, 1])
    rows = metrics.states(records).to_arrow().to_pylist()
    rows[0]["values"] = None
    old = StateSet.from_arrow(pa.RecordBatch.from_pylist(rows, schema=metrics.states(records).to_arrow().schema))
    assert old == metrics.states(records)
    assert metrics.compute(old)["accuracy"].value == 1.0
    with pytest.raises(MergeError, match="twice"):
        old.merge(old)


# --- ranges


def test_values_and_intervals_stay_within_the_declared_range():
    rng = np.random.default_rng(0)
    target = rng.normal(size=200)
    near = table(target=target, prediction=target + 1e-5 * rng.normal(size=200))
    score = evaluate(["r2", "pearson"], near, {})
    assert score["r2"].high <= 1.0
    assert score["pearson"].high <= 1.0
    for size in range(2, 60):
        codes = np.arange(size) % 3
        found = evaluate(["mcc", "cohen_kappa", "macro_f1", "weighted_f1"], classes(codes, codes), ABC)
        for one in found.values():
            assert one.value == 1.0
            assert one.low is None or one.low <= one.high <= 1.0
