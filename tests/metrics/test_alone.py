"""Metrics of what one has in hand: every kind of table and column, names and integers, one name and several."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn import metrics as sklearn

from raybench import metrics
from raybench.core import Score
from raybench.core.errors import MetricError

RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 3, 120)
PREDICTION = np.where(RNG.random(120) < 0.6, TARGET, RNG.integers(0, 3, 120))
PROBABILITIES = RNG.dirichlet([1, 1, 1], 120)
NAMES = np.array(["cat", "dog", "eel"])
MACRO_F1 = sklearn.f1_score(TARGET, PREDICTION, average="macro")

COLUMNS = {
    "lists": np.ndarray.tolist,
    "tuples": tuple,
    "generators": iter,
    "numpy": np.asarray,
    "narrow numpy": lambda codes: codes.astype(np.uint8),
    "big-endian numpy": lambda codes: codes.astype(">i4"),
    "torch": torch.tensor,
    "lists of tensors": lambda codes: list(torch.tensor(codes)),
    "series": pd.Series,
    "nullable series": lambda codes: pd.Series(codes, dtype="Int64"),
    "arrow": pa.array,
    "chunked arrow": lambda codes: pa.chunked_array([codes[:7], codes[7:]]),
    "gapped integers": lambda codes: codes * 10 + 5,
    "names": lambda codes: NAMES[codes],
    "object names": lambda codes: NAMES[codes].astype(object),
    "listed names": lambda codes: NAMES[codes].tolist(),
    "series of names": lambda codes: pd.Series(NAMES[codes]),
    "categorical": lambda codes: pd.Categorical(NAMES[codes], categories=["eel", "cat", "dog", "none"]),
    "categorical series": lambda codes: pd.Series(NAMES[codes], dtype="category"),
    "dictionary-encoded": lambda codes: pa.array(NAMES[codes]).dictionary_encode(),
    "large strings": lambda codes: pa.array(NAMES[codes], pa.large_string()),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_every_kind_give_the_same_score(kind):
    make = COLUMNS[kind]
    score = metrics.evaluate("macro_f1", target=make(TARGET), prediction=make(PREDICTION))
    assert isinstance(score, Score)
    assert score.value == pytest.approx(MACRO_F1, rel=1e-12)
    assert score.n == 120


def dataset(**features):
    import datasets

    columns = {"target": TARGET.tolist(), "prediction": PREDICTION.tolist()}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features) if features else None)


def named_dataset():
    import datasets

    names = datasets.ClassLabel(names=NAMES.tolist())
    return dataset(target=names, prediction=datasets.Value("int64"))


TABLES = {
    "arrow": lambda columns: pa.table(columns),
    "record batch": lambda columns: pa.RecordBatch.from_pydict(columns),
    "pandas": lambda columns: pd.DataFrame(columns).sample(frac=1, random_state=0),
    "dict of columns": lambda columns: columns,
    "list of dicts": lambda columns: pd.DataFrame(columns).to_dict("records"),
    "structured numpy": lambda columns: np.rec.fromarrays(list(columns.values()), names=list(columns)),
    "dataset": lambda columns: dataset(),
    "shuffled dataset": lambda columns: dataset().shuffle(seed=0),
    "dataset with names": lambda columns: named_dataset(),
    "streamed dataset": lambda columns: dataset().to_iterable_dataset(),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_every_kind_give_the_same_scores(kind):
    table = TABLES[kind]({"target": TARGET, "prediction": PREDICTION})
    found = metrics.evaluate(["macro_f1", "accuracy"], table)
    assert list(found) == ["macro_f1", "accuracy"]
    assert found["macro_f1"].value == pytest.approx(MACRO_F1, rel=1e-12)
    assert found["accuracy"].value == np.mean(TARGET == PREDICTION)


def test_classes_bear_the_names_that_the_data_have():
    assert list(metrics.evaluate("macro_f1", named_dataset()).per_class) == ["cat", "dog", "eel"]
    found = metrics.evaluate("macro_f1", target=["b", "a"], prediction=["b", "c"])
    assert list(found.per_class) == ["a", "b", "c"]  # the sorted union of both sides
    found = metrics.evaluate("macro_f1", target=[7, 3], prediction=[7, 7])
    assert list(found.per_class) == ["3", "7"]


def test_labels_given_say_the_order_and_what_an_integer_means():
    order = ["eel", "dog", "cat"]
    by_name = metrics.evaluate("recall", target=["cat", "dog"], prediction=["cat", "cat"], labels=["dog", "cat"])
    by_place = metrics.evaluate("recall", target=[1, 0], prediction=[1, 1], labels=["dog", "cat"])
    assert by_name.value == by_place.value == 1.0
    as_names = metrics.evaluate("f1", target=[1, 1, 0], prediction=[1, 0, 0], config={"labels": [1, 0]})
    assert as_names.value == sklearn.f1_score([1, 1, 0], [1, 0, 0], pos_label=0)
    found = metrics.evaluate("roc_auc", target=NAMES[TARGET], probabilities=PROBABILITIES[:, ::-1], labels=order)
    expected = sklearn.roc_auc_score(TARGET, PROBABILITIES, multi_class="ovr")
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_a_predicted_name_that_is_no_class_is_wrong_and_a_target_is_an_error():
    found = metrics.evaluate("accuracy", target=["a", "b"], prediction=["a", "I think b"], labels=["a", "b"])
    assert found.value == 0.5
    with pytest.raises(MetricError, match=r"'target' has 'B' in row 1 \(id '1'\); expected one of 'labels': a, b"):
        metrics.evaluate("accuracy", target=["a", "B"], prediction=["a", "b"], labels=["a", "b"])


def test_an_ignored_target_stays_ignored_whatever_the_labels_are():
    for ignored, labels in ((-100, [5, 9]), (9, [5, 9]), (255, None), (-1, [5, 9])):
        target, prediction = [5, 9, ignored], [5, 5, 5]
        found = metrics.evaluate("accuracy", target=target, prediction=prediction, ignore_index=ignored, labels=labels)
        assert (found.value, found.n) == ((1.0, 1) if ignored == 9 else (0.5, 2))


def test_two_classes_need_no_labels_also_where_one_never_occurs():
    assert metrics.evaluate("f1", target=[1, 1], prediction=[1, 1]).value == 1.0
    assert metrics.evaluate("precision", target=[0, 0], prediction=[0, 1]).value == 0.0
    assert metrics.evaluate("f1", target=[True, False], prediction=[True, True]).value == pytest.approx(2 / 3)
    only = metrics.evaluate("roc_auc", target=[0, 0], score=[0.1, 0.2])
    assert (only.value, only.reason) == (None, "only one class among the targets")


def test_scores_of_all_classes_give_what_the_metrics_read():
    names = ["log_loss", "brier", "roc_auc", "weighted_roc_auc", "average_precision", "accuracy", "top_2_accuracy"]
    for given in ({"probabilities": PROBABILITIES}, {"logits": np.log(PROBABILITIES) + 3}):
        found = metrics.evaluate(names, target=NAMES[TARGET], **given)
        onehot = np.eye(3)[TARGET]
        assert found["log_loss"].value == pytest.approx(sklearn.log_loss(TARGET, PROBABILITIES), rel=1e-12)
        assert found["brier"].value == pytest.approx(((PROBABILITIES - onehot) ** 2).sum(1).mean(), rel=1e-12)
        expected = sklearn.roc_auc_score(TARGET, PROBABILITIES, multi_class="ovr")
        assert found["roc_auc"].value == pytest.approx(expected, rel=1e-12)
        expected = sklearn.average_precision_score(onehot, PROBABILITIES)
        assert found["average_precision"].value == pytest.approx(expected, rel=1e-12)
        assert found["accuracy"].value == np.mean(PROBABILITIES.argmax(1) == TARGET)
        expected = sklearn.top_k_accuracy_score(TARGET, PROBABILITIES, k=2)
        assert found["top_2_accuracy"].value == pytest.approx(expected)


def test_two_classes_with_a_list_of_scores_rank_by_the_second():
    scores = RNG.random((50, 2))
    target = RNG.integers(0, 2, 50)
    found = metrics.evaluate("roc_auc", target=target, scores=scores)
    assert found.value == sklearn.roc_auc_score(target, scores[:, 1])


def test_several_labels_and_boxes_and_tags_find_their_classes():
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.bfloat16)
    targets = RNG.integers(0, 2, (40, 3))
    found = metrics.evaluate(["multilabel_macro_f1", "multilabel_roc_auc"], targets=targets, logits=logits)
    expected = sklearn.f1_score(targets, logits.float().numpy() >= 0, average="macro")
    assert found["multilabel_macro_f1"].value == pytest.approx(expected)
    assert found["multilabel_roc_auc"].value == sklearn.roc_auc_score(targets, logits.float().numpy())
    tags = [["B-PER", "O", "B-LOC"], ["O"]]
    assert metrics.evaluate("entity_f1", target_tags=tags, tags=tags).value == 1.0
    box = [[[0.0, 0.0, 9.0, 9.0], [5.0, 5.0, 9.0, 9.0]]]
    for boxes in (box, [[*box[0][0], *box[0][1]]]):
        for kinds in ([["cat", "dog"]], [[0, 1]]):
            found = metrics.evaluate(
                "coco_ap", truth_boxes=boxes, truth_labels=kinds, boxes=boxes, labels=kinds, box_scores=[[0.5, 0.4]]
            )
            assert found.value == 1.0


def test_metrics_of_classes_and_of_quantities_each_read_the_target_as_theirs():
    found = metrics.evaluate(["accuracy", "mae", "mse"], target=[10, 20, 40], prediction=[10, 40, 40])
    assert found["accuracy"].value == pytest.approx(2 / 3)
    assert found["mae"].value == pytest.approx(20 / 3)
    assert list(found) == ["accuracy", "mae", "mse"]


def test_columns_stand_beside_a_table_and_nan_of_pandas_is_a_number():
    frame = pd.DataFrame({"target": [1.0, 2.0, 3.0]})
    assert metrics.evaluate("mae", frame, prediction=[1.0, 2.0, 4.0]).value == pytest.approx(1 / 3)
    score = metrics.evaluate("mae", frame, prediction=pd.Series([1.0, np.nan, 4.0]))
    assert (score.value, score.reason) == (None, "1 of 3 records have NaN for 'target' or 'prediction'")


def test_ids_and_groups_of_any_kind_are_read():
    plain = metrics.evaluate("macro_f1", target=TARGET, prediction=PREDICTION, group=np.arange(120) // 4)
    named = metrics.evaluate(
        "macro_f1",
        target=TARGET,
        prediction=PREDICTION,
        id=pd.Series([str(k) for k in range(120)], dtype="category"),
        document=[str(k // 4) for k in range(120)],
        group="document",
    )
    assert plain == named
    assert plain.low is not None
    lone = metrics.evaluate("macro_f1", target=TARGET, prediction=PREDICTION)
    assert (plain.low, plain.high) != (lone.low, lone.high)


def test_names_alone_need_no_torch():
    code = (
        "import sys; from raybench import metrics;"
        "metrics.evaluate('macro_f1', target=['a', 'b'], prediction=['a', 'a']);"
        "print([name for name in ('torch', 'datasets', 'sklearn', 'ray') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
