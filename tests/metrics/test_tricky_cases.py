"""The sixty tricky cases: sharding, numbers, labels, ranking, texts, detection, statistics."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import stats

from raybench.core.errors import CoverageError, MergeError, MetricError
from raybench.metrics import Coverage, Metric, MetricSet, StateSet, evaluate
from raybench.metrics.classification import MCC
from raybench.metrics.confusion import count_cells
from raybench.metrics.e_process import EProcess, is_dropped
from raybench.metrics.intervals import wilson
from raybench.metrics.records import classification_records, multilabel_records, token_nll
from raybench.metrics.state import Cells, State

ABC = {"labels": ["a", "b", "c"]}
YES = {"labels": ["no", "yes"]}


def rows(target, prediction, **columns) -> pa.Table:
    table = {"id": [f"r{k}" for k in range(len(target))], "target": pa.array(target, pa.int32())}
    return pa.table({**table, "prediction": pa.array(prediction, pa.int32()), **columns})


def scored(target, score) -> pa.Table:
    ids = [f"r{k}" for k in range(len(target))]
    return pa.table({"id": ids, "target": pa.array(target, pa.int32()), "score": pa.array(score, pa.float32())})


def numbers(target, prediction) -> pa.Table:
    ids = [f"r{k}" for k in range(len(target))]
    return pa.table(
        {"id": ids, "target": pa.array(target, pa.float64()), "prediction": pa.array(prediction, pa.float64())}
    )


def from_logits(logits, target, **arguments) -> pa.Table:
    columns = classification_records(torch.as_tensor(logits), torch.as_tensor(target), **arguments)
    scores = columns.pop("scores")
    table = {"id": [f"r{k}" for k in range(len(target))], "target": pa.array(list(target), pa.int32()), **columns}
    return pa.table({**table, "scores": pa.array(scores.tolist(), pa.list_(pa.float32()))})


def said(hypotheses, references) -> pa.Table:
    ids = [f"r{k}" for k in range(len(hypotheses))]
    return pa.table(
        {
            "id": ids,
            "hypothesis": pa.array(hypotheses, pa.string()),
            "references": pa.array(references, pa.list_(pa.string())),
        }
    )


def value(name, table, config=None):
    return evaluate([name], table, config or {})[name].value


def with_counts(metric: Metric, cells: list[list[int]]) -> float:
    """A metric of a confusion matrix given as it is."""
    num_classes = len(cells)
    padded = np.array([[*row, 0] for row in cells], dtype=object).reshape(-1)
    total = sum(map(sum, cells))
    fields = {
        "n": Cells.from_dense([total], size=None),
        "cells": Cells.from_dense(padded, size=num_classes * (num_classes + 1)),
    }
    sums = State(measure="confusion", config="", fields=fields).sums()
    return float(metric.value(sums, {"labels": list(range(num_classes))})[0])


# --- sharding


def test_01_an_empty_shard_is_the_identity():
    metrics = MetricSet(["accuracy", "log_loss"], ABC)
    table = rows([0, 1], [0, 2], nll=[0.1, 3.0])
    whole = metrics.states(table)
    assert whole.merge(metrics.states(table.slice(0, 0))) == whole


def test_02_zero_examples_have_no_value_but_a_reason():
    score = evaluate(["accuracy"], rows([], []), ABC)["accuracy"]
    assert (score.value, score.n, score.reason) == (None, 0, "no examples")


def test_03_a_class_absent_from_a_shard_merges_by_counts_not_by_averaging_f1():
    metrics = MetricSet(["macro_f1"], ABC)
    table = rows([0, 0, 1, 1], [0, 1, 1, 1])
    halves = [metrics.states(table.slice(0, 2)), metrics.states(table.slice(2))]
    merged = metrics.compute(halves[0].merge(halves[1]))["macro_f1"].value
    of_halves = [metrics.compute(half)["macro_f1"].value for half in halves]
    assert merged == value("macro_f1", table, ABC) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert merged != pytest.approx(np.mean(of_halves))


def test_04_a_class_absent_everywhere_is_left_out_of_the_macro_mean():
    score = evaluate(["macro_f1"], rows([0, 1], [0, 1]), ABC)["macro_f1"]
    assert score.value == 1.0
    assert list(score.per_class) == ["a", "b", "c"]  # C is recorded all the same
    assert score.per_class["c"].value is None


def test_05_a_label_absent_everywhere_is_left_out_as_well():
    lists = pa.array([[1, 0], [0, 0]], pa.list_(pa.int8()))
    table = pa.table({"id": ["a", "b"], "targets": lists, "predictions": lists})
    assert value("multilabel_macro_f1", table, {"labels": ["x", "y"]}) == 1.0


def test_06_a_class_that_is_predicted_but_never_true_has_f1_zero_and_counts():
    score = evaluate(["macro_f1"], rows([0, 0], [0, 1]), {"labels": ["a", "b"]})["macro_f1"]
    assert score.per_class["b"].value == 0.0
    assert score.value == pytest.approx((2 / 3 + 0) / 2)


def test_07_an_example_twice_in_a_shard_is_an_error():
    table = pa.concat_tables([rows([0, 1], [0, 1]), rows([2], [2])])
    with pytest.raises(MetricError, match="'r0' occurs twice"):
        MetricSet(["accuracy"], ABC).states(table)


def test_08_a_shard_committed_twice_is_refused_so_it_counts_once():
    metrics = MetricSet(["accuracy"], ABC)
    a, b = metrics.states(rows([0, 1], [0, 1])), metrics.states(rows([0], [1]).set_column(0, "id", [["other"]]))
    total = a.merge(b)
    with pytest.raises(MergeError, match="twice"):
        total.merge(StateSet.from_arrow(a.to_arrow()))
    assert total.coverage.n == 3


def test_09_a_missing_shard_is_seen_by_the_coverage():
    metrics = MetricSet(["accuracy"], ABC)
    table = rows([0, 1, 2], [0, 1, 1])
    with pytest.raises(CoverageError, match="2 of 3 examples are missing"):
        metrics.states(table.slice(0, 1)).coverage.check(Coverage.of(table["id"]))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("ece", {"bins": 10}, {"bins": 15}), ("accuracy", ABC, YES), ("log_loss", {"eps": 1e-9}, {})],
)
def test_10_another_configuration_is_refused(name, one, other):
    table = rows([0, 1], [0, 1], nll=[0.1, 0.2], confidence=[0.5, 0.6])
    left, right = (
        MetricSet([name], {**ABC, **config}).states(part)
        for config, part in ((one, table.slice(0, 1)), (other, table.slice(1)))
    )
    with pytest.raises(MergeError, match="measured differently"):
        left.merge(right)


def test_11_any_order_and_any_tree_give_the_same_bits(classified):
    table = classified(64, 3)
    metrics = MetricSet(["log_loss", "macro_f1", "ece"], ABC)
    parts = [metrics.states(table.slice(k, 1)) for k in range(64)]
    whole = metrics.compute(metrics.states(table), lambda: table)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(64)
        forest = [parts[k] for k in order]
        while len(forest) > 1:
            forest = [a.merge(*b) for a, *b in (forest[k : k + 2 + seed] for k in range(0, len(forest), 2 + seed))]
        assert metrics.compute(forest[0], lambda: table) == whole


def test_12_a_ragged_last_batch_weighs_as_many_examples_as_it_has():
    metrics = MetricSet(["accuracy"], ABC)
    table = rows([0] * 7, [0] * 6 + [1])
    states = [metrics.states(table.slice(start, 3)) for start in (0, 3, 6)]
    assert metrics.compute(states[0].merge(*states[1:]))["accuracy"].value == 6 / 7


def test_13_another_dtype_gives_other_bits_and_its_shards_of_the_same_rows_do_not_merge():
    logits = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(20, dtype=torch.int64)
    full, half = (from_logits(logits.to(kind), target) for kind in (torch.float32, torch.bfloat16))
    assert value("log_loss", full, ABC) != value("log_loss", half, ABC)
    metrics = MetricSet(["log_loss"], ABC)
    with pytest.raises(MergeError, match="twice"):
        metrics.states(full).merge(metrics.states(half))


def test_14_the_documents_of_a_query_stay_together_in_one_record():
    lists = {name: pa.array([[0.0, 1.0]], pa.list_(pa.float64())) for name in ("relevance", "scores")}
    assert value("ndcg", pa.table({"id": ["q"], **lists})) == 1.0
    with pytest.raises(MetricError, match="1 scores for 2 documents"):
        value(
            "ndcg",
            pa.table(
                {"id": ["q"], "relevance": lists["relevance"], "scores": pa.array([[1.0]], pa.list_(pa.float64()))}
            ),
        )


@pytest.mark.parametrize("name", ["ece", "roc_auc", "mcc"])
def test_15_the_whole_is_never_the_mean_of_shards(name, classified):
    table = classified(60, 2)
    whole = value(name, table, YES)
    parts = [value(name, table.slice(start, 20), YES) for start in (0, 20, 40)]
    assert whole != pytest.approx(np.mean(parts), abs=1e-9)


# --- numbers


@pytest.mark.parametrize("count", [2**31 + 1, 2**53 + 1, 2**63 + 1])
def test_16_counts_beyond_int32_and_float64_are_exact(count):
    state = State(measure="m", config="c", fields={"n": Cells.from_dense([count], size=None)})
    assert state.merge(state).n == 2 * count


def test_17_counts_go_on_beyond_float32():
    state = State(measure="m", config="c", fields={"n": Cells.from_dense([2**24], size=None)})
    one = State(measure="m", config="c", fields={"n": Cells.from_dense([1], size=None)})
    assert state.merge(one).n == 2**24 + 1


def test_18_mcc_of_four_thousand_million_examples_does_not_overflow():
    assert with_counts(MCC, [[2 * 10**9, 500], [500, 2 * 10**9]]) == pytest.approx(0.9999995, abs=1e-12)


def test_19_counts_from_bfloat16_logits_are_integers():
    table = from_logits(torch.eye(3, dtype=torch.bfloat16).repeat(400, 1), [0, 1, 2] * 400)
    score = evaluate(["accuracy"], table, ABC)["accuracy"]
    assert (score.value, score.n) == (1.0, 1200)


def test_20_bfloat16_logits_are_raised_to_float32():
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    target = torch.zeros(50, dtype=torch.int64)
    assert classification_records(logits, target)["nll"] == pytest.approx(
        classification_records(logits.float(), target)["nll"], abs=0
    )
    assert torch.equal(token_nll(logits, target), token_nll(logits.float(), target))


def test_21_equal_largest_logits_predict_the_lowest_class():
    assert classification_records(torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([1]))["prediction"][0] == 1


def test_22_a_gap_of_120_between_logits_has_a_finite_nll():
    table = from_logits([[0.0, 120.0]], [0])
    assert value("log_loss", table, YES) == 120.0


def test_23_a_perplexity_that_overflows_is_infinite_and_the_mean_nll_stays():
    table = pa.table({"id": ["a"], "nll": [4000.0], "num_tokens": [4]})
    scores = evaluate(["perplexity", "token_nll"], table, {})
    assert (scores["perplexity"].value, scores["token_nll"].value) == (math.inf, 1000.0)


def test_24_r2_survives_a_mean_of_a_million():
    rng = np.random.default_rng(0)
    target = rng.normal(size=1000) + 1e6
    prediction = target + rng.normal(size=1000) * 0.3
    centred = 1 - ((prediction - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()
    assert value("r2", numbers(target, prediction)) == pytest.approx(centred, abs=1e-9)
    assert 0.9 < centred < 0.92


def test_25_constant_pearson_and_one_sample_r2_are_undefined():
    scores = evaluate(["pearson"], numbers([1, 1, 1], [1, 2, 3]), {})
    assert scores["pearson"].value is None
    assert "all equal" in scores["pearson"].reason
    assert value("r2", numbers([1], [2])) is None


def test_26_a_target_of_probability_zero_costs_what_eps_says():
    table = rows([0, 0], [1, 0], nll=[math.inf, 0.5])
    assert value("log_loss", table, {**ABC, "eps": 1e-6}) == pytest.approx((-math.log(1e-6) + 0.5) / 2)
    assert value("log_loss", table, ABC) == math.inf


def test_27_narrow_labels_are_widened_before_they_are_multiplied():
    labels = np.array([200, 199, 200], dtype=np.uint8)
    cells = count_cells(labels, labels, 250)
    assert (cells[200, 200], cells[199, 199], cells.sum()) == (2, 1, 3)
    table = pa.table({"id": ["a", "b", "c"], "target": labels, "prediction": labels})
    assert value("accuracy", table, {"labels": list(range(250))}) == 1.0


def test_28_minus_zero_ties_with_zero():
    assert (
        value("roc_auc", scored([0, 1], [0.0, -0.0]), YES) == value("roc_auc", scored([0, 1], [-0.0, 0.0]), YES) == 0.5
    )


# --- labels


@pytest.mark.parametrize("prediction", [-1, 3, 2_000_000_000])
def test_29_a_prediction_that_is_no_class_is_counted_and_wrong(prediction):
    metrics = MetricSet(["accuracy", "macro_f1"], ABC)
    states = metrics.states(rows([0, 1], [0, prediction]))
    (state,) = states.states.values()
    assert state.fields["invalid"].values.tolist() == [1]
    assert metrics.compute(states)["accuracy"].value == 0.5


@pytest.mark.parametrize("target", [-1, 3])
def test_30_a_target_that_is_neither_a_class_nor_ignored_is_an_error(target):
    with pytest.raises(MetricError, match=f"target {target}.*expected 0 to 2"):
        value("accuracy", rows([0, target], [0, 0]), ABC)


def test_31_ignored_rows_are_counted_as_ignored_also_a_whole_batch():
    columns = classification_records(torch.randn(3, 3), torch.tensor([0, -100, -100]))
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "target": pa.array([0, -100, -100], pa.int32()),
            **{k: v for k, v in columns.items() if k != "scores"},
        }
    )
    names = ["accuracy", "log_loss", "brier", "ece", "top_2_accuracy"]
    assert {score.n for score in evaluate(names, table, ABC).values()} == {1}
    for score in evaluate(names, table.slice(1), ABC).values():
        assert score.value is None
        assert score.reason == "no examples: all 2 are ignored"


def test_32_an_ignore_index_that_is_a_class_drops_its_rows():
    score = evaluate(["accuracy"], rows([0, 1, 1], [0, 0, 1]), {**ABC, "ignore_index": 0})["accuracy"]
    assert (score.value, score.n) == (0.5, 2)


def test_33_labels_come_as_places_in_one_dictionary_fixed_before_sharding():
    score = evaluate(["macro_f1"], rows([0, 1], [0, 1]), {"labels": [3, 17, "x"]})["macro_f1"]
    assert list(score.per_class) == ["3", "17", "x"]
    with pytest.raises(MergeError):
        MetricSet(["accuracy"], {"labels": ["b", "a"]}).states(rows([0], [0])).merge(
            MetricSet(["accuracy"], {"labels": ["a", "b"]}).states(rows([0], [0]))
        )


def test_34_nan_logits_are_counted_and_wrong():
    table = from_logits([[math.nan, 0.0], [1.0, 0.0], [math.inf, 0.0]], [1, 0, 0])
    assert table["prediction"].to_pylist() == [-1, 0, -1]
    scores = evaluate(["accuracy", "log_loss", "top_1_accuracy", "ece", "roc_auc"], table, YES)
    assert scores["accuracy"].value == scores["top_1_accuracy"].value == 1 / 3
    assert scores["log_loss"].value is scores["ece"].value is scores["roc_auc"].value is None
    assert "2 of 3 records have NaN" in scores["log_loss"].reason


def test_35_what_is_given_is_declared_not_guessed():
    given = torch.tensor([[0.9, 0.1]])
    as_logits = classification_records(given, torch.tensor([0]))["nll"][0]
    as_probabilities = classification_records(given, torch.tensor([0]), kind="probabilities")["nll"][0]
    assert as_logits == pytest.approx(math.log(1 + math.exp(-0.8)))
    assert as_probabilities == pytest.approx(-math.log(0.9))


def test_36_a_probability_at_the_threshold_is_positive():
    found = multilabel_records(torch.tensor([[0.3, 0.29]]), torch.tensor([[1, 1]]), kind="probabilities", threshold=0.3)
    assert found["predictions"].tolist() == [[1, 0]]


def test_37_a_tie_at_the_edge_of_the_top_k_goes_to_the_lower_class():
    logits = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert classification_records(logits, torch.tensor([0, 1]))["rank"].tolist() == [0, 1]


def test_38_kappa_of_one_class_is_undefined():
    score = evaluate(["cohen_kappa", "mcc"], rows([0, 0], [0, 0]), ABC)
    assert score["cohen_kappa"].value is score["mcc"].value is None
    assert "one class" in score["cohen_kappa"].reason


# --- ranking


def test_39_ties_earn_half_in_auc():
    assert value("roc_auc", scored([0, 1, 1], [1.0, 1.0, 2.0]), YES) == 0.75


def test_40_auc_of_one_class_is_undefined():
    score = evaluate(["roc_auc"], scored([1, 1], [1.0, 2.0]), YES)["roc_auc"]
    assert (score.value, score.reason) == (None, "only one class among the targets")


def test_41_a_nan_score_leaves_auc_undefined_and_is_counted():
    score = evaluate(["roc_auc", "average_precision"], scored([0, 1, 1], [1.0, math.nan, 2.0]), YES)
    assert score["roc_auc"].value is score["average_precision"].value is None
    assert score["roc_auc"].reason == "1 records have a NaN score"


def test_42_logits_of_30_and_40_are_not_tied_by_a_saturated_sigmoid():
    assert torch.sigmoid(torch.tensor(30.0)) == torch.sigmoid(torch.tensor(40.0))
    assert value("roc_auc", from_logits([[0.0, 30.0], [0.0, 40.0]], [0, 1]), YES) == 1.0


def test_43_average_precision_without_positives_is_undefined():
    score = evaluate(["average_precision"], scored([0, 0], [1.0, 2.0]), YES)["average_precision"]
    assert (score.value, score.reason) == (None, "no positive among the targets")


def test_44_mrr_of_ties_is_an_expectation_not_the_input_order():
    kind = pa.list_(pa.float64())
    for relevance in ([1.0, 0.0], [0.0, 1.0]):
        table = pa.table(
            {"id": ["q"], "relevance": pa.array([relevance], kind), "scores": pa.array([[5.0, 5.0]], kind)}
        )
        assert value("mrr", table) == 0.75


def test_45_a_query_without_positives_counts_as_the_configuration_says():
    kind = pa.list_(pa.float64())
    table = pa.table(
        {"id": ["p", "q"], "relevance": pa.array([[1.0], [0.0]], kind), "scores": pa.array([[1.0], [1.0]], kind)}
    )
    found = {how: evaluate(["ndcg"], table, {"empty_queries": how})["ndcg"] for how in ("skip", "zero", "one")}
    assert {how: (score.value, score.n) for how, score in found.items()} == {
        "skip": (1.0, 1),
        "zero": (0.5, 2),
        "one": (1.0, 2),
    }


# --- texts


def test_46_an_empty_hypothesis_counts_towards_the_length():
    whole = said(["a b c d e", ""], [["a b c d e"], ["f g h i j"]])
    assert value("bleu", whole) == pytest.approx(100 * math.exp(1 - 10 / 5))
    assert value("wer", whole) == 0.5


def test_47_a_missing_hypothesis_is_an_error():
    with pytest.raises(MetricError, match="'hypothesis' has 1 nulls"):
        value("bleu", said(["a", None], [["a"], ["b"]]))


def test_48_the_number_of_references_may_vary():
    import sacrebleu

    hypotheses = ["the cat sat on the mat", "a dog ran"]
    expected = sacrebleu.corpus_bleu(
        hypotheses, [["the cat sat on a mat", "a dog ran fast"], ["the cat lay on the mat", None]]
    ).score
    table = said(hypotheses, [["the cat sat on a mat", "the cat lay on the mat"], ["a dog ran fast"]])
    assert value("bleu", table) == pytest.approx(expected)


def test_49_words_against_an_empty_reference_are_insertions():
    assert value("wer", said(["x y", "a b"], [[""], ["a b"]])) == 1.0
    score = evaluate(["wer"], said(["x y"], [[""]]), {})["wer"]
    assert (score.value, score.reason) == (None, "no reference has a word")


def test_50_case_and_punctuation_follow_the_transform_and_it_is_part_of_the_state():
    table = said(["Hello, World"], [["hello world"]])
    assert value("wer", table, {"transform": "none"}) == 1.0
    assert value("wer", table, {"transform": "words"}) == 0.0
    plain, lower = (MetricSet(["wer"], {"transform": name}).states(table) for name in ("none", "lower"))
    with pytest.raises(MergeError):
        plain.merge(lower)


def test_51_bleu_of_another_signature_is_refused():
    table = said(["a b", "c d"], [["a b"], ["c d"]])
    cased, lowered = (
        MetricSet(["bleu"], {"lowercase": lowercase}).states(table.slice(int(lowercase), 1))
        for lowercase in (False, True)
    )
    with pytest.raises(MergeError):
        cased.merge(lowered)


def test_52_an_unanswerable_question_is_right_if_the_answer_is_empty():
    scores = evaluate(["exact_match", "qa_f1"], said(["", "something"], [[], []]), {})
    assert (scores["exact_match"].value, scores["qa_f1"].value) == (0.5, 0.5)


def test_53_texts_without_an_entity_have_no_f1():
    tags = pa.array([["O", "O"]], pa.list_(pa.string()))
    score = evaluate(["entity_f1"], pa.table({"id": ["a"], "tags": tags, "target_tags": tags}), {"labels": ["B-PER"]})[
        "entity_f1"
    ]
    assert (score.value, score.reason) == (None, "no entity is true or predicted")


def test_54_an_inside_tag_without_a_begin_follows_the_scheme():
    kind = pa.list_(pa.string())
    table = pa.table(
        {"id": ["a"], "target_tags": pa.array([["B-PER", "O"]], kind), "tags": pa.array([["I-PER", "O"]], kind)}
    )
    assert value("entity_f1", table, {"labels": ["B-PER"], "scheme": "lenient"}) == 1.0
    assert value("entity_f1", table, {"labels": ["B-PER"], "scheme": "IOB2"}) == 0.0


# --- detection


def scene(ids, truths, boxes, scores) -> pa.Table:
    floats, integers = pa.list_(pa.float64()), pa.list_(pa.int32())
    return pa.table(
        {
            "id": ids,
            "truth_boxes": pa.array(truths, floats),
            "truth_labels": pa.array([[0] * (len(row) // 4) for row in truths], integers),
            "boxes": pa.array(boxes, floats),
            "labels": pa.array([[0] * (len(row) // 4) for row in boxes], integers),
            "box_scores": pa.array(scores, floats),
        }
    )


BOX = [10.0, 10.0, 50.0, 50.0]
ELSEWHERE = [200.0, 200.0, 50.0, 50.0]


def test_55_the_first_truth_can_be_matched():
    assert value("coco_ap", scene(["a"], [BOX], [BOX], [[0.9]]), {"labels": ["cat"]}) == 1.0


def test_56_equal_scores_of_different_images_keep_the_canonical_order():
    table = scene(["a", "b", "c"], [BOX, BOX, BOX], [ELSEWHERE, BOX, BOX], [[0.5], [0.5], [0.5]])
    turned = table.take(pa.array([2, 1, 0]))
    assert value("coco_ap", table, {"labels": ["cat"]}) == value("coco_ap", turned, {"labels": ["cat"]})


def test_57_no_detections_are_an_average_precision_of_zero():
    scores = evaluate(["coco_ap", "coco_ap_small"], scene(["a"], [BOX], [[]], [[]]), {"labels": ["cat"]})
    assert scores["coco_ap"].value == 0.0
    assert scores["coco_ap_small"].value is None  # no small truth


# --- statistics


def test_58_wilsons_interval_stays_inside_zero_and_one():
    low, high = wilson(98, 100)
    expected = stats.binomtest(98, 100).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0
    assert wilson(0, 0) is None


def test_59_stopping_early_is_wrong_at_most_as_often_as_alpha():
    rng = np.random.default_rng(0)
    naive, betting, runs, size = 0, 0, 300, 200
    for _ in range(runs):
        differences = rng.permutation(np.repeat([-1.0, 0.0, 1.0], [40, 120, 40]))  # equal over the whole split
        process, peeked, stopped = EProcess(population=size), False, False
        for n in range(0, size, 10):
            process = process.update(differences[n : n + 10])
            seen = differences[: n + 10]
            error = seen.std(ddof=1) / math.sqrt(len(seen))
            peeked |= error > 0 and seen.mean() / error > 1.645
            stopped |= is_dropped([process.e_value], num_candidates=2, alpha=0.05)
        naive, betting = naive + peeked, betting + stopped
    assert betting / runs <= 0.05
    assert naive / runs > 0.1  # peeking at p < 0.05 is what this replaces


def test_60_bootstrap_draws_do_not_depend_on_sharding(classified):
    table = classified(60, 3)
    metrics = MetricSet(["macro_f1", "ece"], ABC)
    shards = [table.slice(40), table.slice(0, 15), table.slice(15, 25)]
    states = [metrics.states(shard) for shard in shards]
    merged = metrics.compute(states[0].merge(*states[1:]), lambda: pa.concat_tables(shards), seed=1)
    whole = metrics.compute(metrics.states(table), lambda: table, seed=1)
    assert merged == whole
    assert metrics.compute(metrics.states(table), lambda: table, seed=2)["macro_f1"].low != whole["macro_f1"].low
