"""Every wrong input of a caller is one MetricError in one line that names column, row, id and what would do."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from raybench import metrics
from raybench.core.errors import MetricError

NAN, INF = math.nan, math.inf
IDS = {"id": ["a", "b", "c"]}
CLASSES = {**IDS, "target": [0, 1, 1], "prediction": [0, 1, 0]}
NUMBERS = {**IDS, "target": [0.5, 1.0, 2.0], "prediction": [0.5, 1.5, 2.5]}
CALIBRATED = {**CLASSES, "confidence": [0.5, 0.6, 0.7]}
NLL = {**IDS, "target": [0, 1, 1], "nll": [0.1, 0.2, 0.3]}
SCORES = {**IDS, "target": [0, 1, 1], "score": [0.1, 0.2, 0.3]}
LANGUAGE = {**IDS, "nll": [0.1, 0.2, 0.3], "num_tokens": [1, 2, 3]}
TEXTS = {**IDS, "hypothesis": ["a b", "c", "d"], "references": [["a b"], ["c"], ["d"]]}
LABELS = {**IDS, "targets": [[1, 0], [0, 1], [1, 1]], "predictions": [[1, 0], [0, 1], [1, 0]]}
TAGS = {**IDS, "target_tags": [["O"], ["B-X"], ["O"]], "tags": [["O"], ["B-X"], ["O"]]}
QUERIES = {**IDS, "relevance": [[1, 0], [0, 1], [1, 1]], "scores": [[0.1, 0.2]] * 3}
PIXELS = {**IDS, "intersection": [[1, 1]] * 3, "predicted_pixels": [[2, 2]] * 3, "target_pixels": [[2, 2]] * 3}
FEATURES = {**IDS, "features": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], "real": [True, False, True]}
BOX = [[0.0, 0.0, 9.0, 9.0]] * 3
TRUE_BOXES = {"truth_boxes": BOX, "truth_labels": [[0]] * 3}
BOXES = {**IDS, **TRUE_BOXES, "boxes": BOX, "labels": [[0]] * 3, "box_scores": [[1.0]] * 3}
RANKED = {**IDS, "target": [0, 1, 1], "rank": [0, 0, 0]}
PROBABILITIES = {**IDS, "target": [0, 1, 1], "probabilities": [[0.5, 0.5], [0.2, 0.8], [0.1, 0.9]]}

IN_B = r"row 1 \(id 'b'\)"
WRONG = [
    # what is given is no table
    ("accuracy", 3, {}, "records are a int; expected an Arrow table, a pandas DataFrame"),
    ("accuracy", "data.csv", {}, "records are a str; expected an Arrow table"),
    ("accuracy", [], {}, "an empty list, which has no columns"),
    ("accuracy", {}, {}, "there are no columns"),
    ("accuracy", [{"target": 0, "prediction": 1}, {"target": 0}], {}, "row 1 of the records lacks 'prediction'"),
    ("accuracy", [[0, 1], [1, 1]], {}, "row 0 of the records is a list; expected a dict"),
    ("accuracy", np.zeros((3, 2)), {}, "records are a ndarray; expected"),
    ("accuracy", pd.DataFrame([[0, 1]], columns=["target", "target"]), {}, "'target' is there twice"),
    ("accuracy", pa.table([[0], [1]], names=["target", "target"]), {}, "'target' is there twice"),
    # columns
    ("accuracy", {**CLASSES, "prediction": [0, 1]}, {}, "'prediction' has 2 rows and column 'id' has 3"),
    ("accuracy", {**IDS, "target": [0, 1, 1], "predictions": [0, 1, 1]}, {}, "'prediction'.*did you mean predictions"),
    ("accuracy", {**CLASSES, "prediction": 1}, {}, "'prediction' is 1; expected one entry a row"),
    ("accuracy", {**CLASSES, "prediction": "cat"}, {}, "'prediction' is the string 'cat'; expected one entry a row"),
    ("accuracy", {**CLASSES, "prediction": {0, 1, 2}}, {}, "'prediction' is a set; expected one entry a row"),
    ("accuracy", {**CLASSES, "prediction": torch.tensor(1)}, {}, "'prediction' is one value, 1; expected one entry"),
    ("accuracy", {**CLASSES, "prediction": np.zeros((3, 2))}, {}, "'prediction' holds fixed_size_list.*as logits=…"),
    ("accuracy", {**CLASSES, "prediction": np.zeros((3, 2, 2))}, {}, r"'prediction' has shape \[3, 2, 2\]"),
    ("accuracy", {**CLASSES, "prediction": np.zeros(3, complex)}, {}, "'prediction' holds complex128"),
    ("accuracy", {**CLASSES, "prediction": pd.DataFrame({"a": [1, 2, 3], "b": 0})}, {}, "is a table of 2 columns"),
    # ids and groups
    ("accuracy", {**CLASSES, "id": ["a", None, "c"]}, {}, "'id' has 1 nulls, the first in row 1"),
    ("accuracy", {**CLASSES, "id": [b"a", b"b", b"c"]}, {}, "'id' holds binary; expected strings or integers"),
    ("accuracy", {**CLASSES, "id": [0.5, 1.5, 2.5]}, {}, "'id' holds double; expected strings or integers"),
    ("accuracy", {**CLASSES, "id": ["a", "b", "b"]}, {}, "example id 'b' occurs twice"),
    ("macro_f1", {**CLASSES, "group": ["x", None, "y"]}, {}, f"'group' has 1 nulls, the first in {IN_B}"),
    ("macro_f1", {**CLASSES, "group": [0.5, 1.5, 2.5]}, {}, "'group' holds double; expected strings or integers"),
    ("macro_f1", CLASSES, {"group": "document"}, "records lack column 'document'"),
    # classes
    ("accuracy", {**CLASSES, "target": [0.0, 0.5, 1.0]}, {}, f"'target' holds double.*{IN_B} has 0.5"),
    ("accuracy", {**CLASSES, "target": ["0", "1", "1"]}, {}, "'target' holds strings and column 'prediction' int64"),
    ("accuracy", {**CLASSES, "prediction": ["0", "1", "1"]}, {"labels": ["x", "y"]}, "'prediction' has '0' in row 0"),
    ("accuracy", {**CLASSES, "target": ["x", "z", "y"]}, {"labels": ["x", "y"]}, f"'target' has 'z' in {IN_B}"),
    ("accuracy", {**CLASSES, "target": [0, -7, 1]}, {}, f"target -7 \\({IN_B}\\) is no class"),
    ("accuracy", {**CLASSES, "target": [0, 5, 1]}, {"labels": ["x", "y"]}, f"target 5 \\({IN_B}\\) is no class"),
    ("accuracy", {**CLASSES, "target": [0, 2**63, 1]}, {}, r"'target' has 9223372036854775808 in row 1.*2\*\*63 - 1"),
    ("accuracy", {**CLASSES, "target": [0, None, 1]}, {}, f"'target' has 1 nulls, the first in {IN_B}"),
    ("accuracy", {**CLASSES, "target": [0, "x", 1]}, {}, "'target' has the string 'x' in row 1; expected an integer"),
    ("accuracy", {**CLASSES, "target": pd.Categorical(["x", None, "y"])}, {}, f"'target' has 1 nulls.*{IN_B}"),
    ("accuracy", {**CLASSES, "target": np.array(["2020", "2021", "2022"], "datetime64[Y]")}, {}, "'target'"),
    ("f1", {**CLASSES, "target": [0, 1, 2]}, {}, "'positive' is None; expected one of 0, 1, 2"),
    ("f1", CLASSES, {"positive": "cat"}, "'positive' is 'cat'; expected one of 0, 1"),
    ("top_k_accuracy", {**RANKED, "rank": [0, -1, 0]}, {}, f"'rank' has -1 in {IN_B}"),
    ("top_k_accuracy", {**RANKED, "rank": [0, 9, 0]}, {"labels": ["x", "y"]}, f"'rank' has 9 in {IN_B}"),
    # probabilities
    ("ece", {**CALIBRATED, "confidence": [0.5, 2.5, 0.5]}, {}, f"'confidence' has 2.5 in {IN_B}; expected.*0 to 1"),
    ("ece", {**CALIBRATED, "confidence": ["0.5", "0.6", "0.7"]}, {}, "'confidence' holds strings.*turn digits into"),
    ("mce", {**CALIBRATED, "confidence": [0.5, INF, 0.5]}, {}, f"'confidence' has inf in {IN_B}"),
    ("log_loss", {**NLL, "nll": [0.1, -1.0, 0.2]}, {}, f"'nll' has -1 in {IN_B}; expected a number from 0 up"),
    ("log_loss", {**NLL, "nll": pa.array(["x", "y", "x"]).dictionary_encode()}, {}, "'nll' holds strings"),
    ("brier", {**IDS, "target": [0, 1, 1], "brier": [0, 3.0, 1]}, {}, f"'brier' has 3 in {IN_B}; expected.*0 to 2"),
    ("log_loss", {**PROBABILITIES, "probabilities": [[0.5, 0.5], [0.5, 0.9], [1, 0]]}, {}, f"a sum of 1.4 in {IN_B}"),
    ("log_loss", {**PROBABILITIES, "probabilities": [[0.5, 0.5], [-0.5, 1.5], [1, 0]]}, {}, f"-0.5 in {IN_B}"),
    ("log_loss", {**PROBABILITIES, "probabilities": [[0.5, 0.5], [1.0], [1, 0]]}, {}, f"1 entries in {IN_B}"),
    ("log_loss", {**PROBABILITIES, "logits": [[0.0, 1.0]] * 3}, {}, "both 'logits' and 'probabilities' are given"),
    ("log_loss", {**PROBABILITIES, "target": [0, 2, 1]}, {}, "target 2"),
    ("log_loss", {**PROBABILITIES, "target": ["x", "y", "z"]}, {}, "3 names of classes and the lists of scores 2"),
    # ranking
    ("roc_auc", {**SCORES, "score": ["a", "b", "c"]}, {}, "'score' holds strings"),
    ("roc_auc", {**SCORES, "target": [0, 1, 2]}, {}, "lack column 'scores', needed by 'roc_auc'; did you mean score"),
    ("roc_auc_ovo", {**IDS, "target": [0, 1, 2], "scores": [[1, 2, 3], [1, 2], [1, 2, 3]]}, {}, f"2 entries in {IN_B}"),
    ("ndcg", {**QUERIES, "relevance": [[1, 0], [0, NAN], [1, 1]]}, {}, f"'relevance' has nan in {IN_B}"),
    ("ndcg", {**QUERIES, "relevance": [[1, 0], [0, INF], [1, 1]]}, {}, f"'relevance' has inf in {IN_B}"),
    ("mrr", {**QUERIES, "relevance": [[1, 0], [0, -1], [1, 1]]}, {}, f"'relevance' has -1 in {IN_B}"),
    ("mrr", {**QUERIES, "scores": [[0.1, 0.2], [0.1], [0.1, 0.2]]}, {}, f"{IN_B} has 1 scores for 2 documents"),
    ("mrr", {**QUERIES, "relevance": [1, 0, 1]}, {}, "'relevance' holds int64; expected lists of numbers"),
    # numbers
    ("mse", {**NUMBERS, "target": ["1", "2", "3"]}, {}, "'target' holds strings.*turn digits into numbers; row 0"),
    ("mse", {**NUMBERS, "prediction": [0.5, 1e200, 1.0]}, {}, f"1e\\+200 in {IN_B}, whose square is no float64"),
    ("r2", {**NUMBERS, "prediction": [0.5, 1e200, 1.0]}, {}, f"1e\\+200 in {IN_B}, whose square is no float64"),
    ("spearman", {**NUMBERS, "target": [[1], [2], [3]]}, {}, "'target' holds list.*expected numbers, one a row"),
    ("perplexity", {**LANGUAGE, "num_tokens": [1, -1, 2]}, {}, f"'num_tokens' has -1 in {IN_B}"),
    ("perplexity", {**LANGUAGE, "num_tokens": [1.5, 1, 2]}, {}, "'num_tokens' holds double; expected integers"),
    ("perplexity", {**LANGUAGE, "num_tokens": np.full(3, 2**64 - 1, np.uint64)}, {}, r"at most 2\*\*63 - 1"),
    ("masked_accuracy", {**LANGUAGE, "num_right": [1, 3, 1]}, {}, f"'num_right' has 3 in {IN_B}.*at most the 2 tokens"),
    ("choice_accuracy", {**CLASSES, "target": [0, -1, 1]}, {}, f"'target' has -1 in {IN_B}; expected 0 or more"),
    # texts
    ("bleu", {**TEXTS, "hypothesis": ["a", None, "b"]}, {}, f"'hypothesis' has 1 nulls, the first in {IN_B}"),
    ("bleu", {**TEXTS, "hypothesis": [1, 2, 3]}, {}, "'hypothesis' holds int64; expected strings"),
    ("bleu", {**TEXTS, "references": [["a"], [], ["b"]]}, {}, f"{IN_B} has no reference; bleu needs one"),
    ("rouge1", {**TEXTS, "references": [["a"], [None], ["b"]]}, {}, f"a null in the list of {IN_B}"),
    ("wer", {**TEXTS, "references": [1, 2, 3]}, {}, "'references' holds int64; expected lists of strings"),
    ("exact_match", {**TEXTS, "references": "a b c"}, {}, "'references' is the string 'a b c'; expected one"),
    ("qa_f1", {**TEXTS, "references": [[["a"]], [["b"]], [["c"]]]}, {}, "'references' holds list"),
    # several labels, tags, pictures
    ("multilabel_macro_f1", {**LABELS, "targets": [[1, 0], [257, 0], [1, 1]]}, {}, f"'targets' has 257 in {IN_B}"),
    ("multilabel_macro_f1", {**LABELS, "targets": [[1, 0], [0], [1, 1]]}, {}, f"1 entries in {IN_B}; expected 2"),
    ("multilabel_micro_f1", {**LABELS, "predictions": [1, 0, 1]}, {}, "'predictions' holds int64; expected lists"),
    ("hamming_loss", {**LABELS, "predictions": [[1, 0], None, [0, 1]]}, {}, f"'predictions' has 1 nulls.*{IN_B}"),
    ("hamming_loss", {**LABELS, "targets": [["x"], ["y"], ["x"]]}, {}, "'targets' holds list"),
    ("entity_f1", {**TAGS, "tags": [["O"], ["B-X", "O"], ["O"]]}, {}, f"{IN_B} has 2 tags for 1 words"),
    ("entity_f1", {**TAGS, "tags": [["O"], ["B-Y"], ["O"]]}, {"labels": ["B-X"]}, f"tag 'B-Y' in {IN_B} is none of"),
    ("token_accuracy", {**TAGS, "tags": [["O"], ["B-X", "O"], ["O"]]}, {}, f"{IN_B} has 2 tags for 1 words"),
    ("token_macro_f1", TAGS, {"labels": ["O", "B-Y"]}, f"tag 'B-X' in {IN_B} is none of 'labels'"),
    ("entity_f1", {**TAGS, "tags": [[0], [1], [0]]}, {}, "'tags' holds list.*expected lists of strings"),
    ("mean_iou", {**PIXELS, "intersection": [[1, 1], [3, 1], [1, 1]]}, {}, f"'intersection' has 3 in {IN_B}.*the 2 of"),
    ("mean_iou", {**PIXELS, "target_pixels": [[2, 2], [-1, 2], [2, 2]]}, {}, f"'target_pixels' has -1 in {IN_B}"),
    ("dice", {**PIXELS, "target_pixels": [[2.5, 2.0]] * 3}, {}, "'target_pixels' holds lists of float64"),
    ("coco_ap", {**BOXES, "boxes": [BOX[0], [0.0, 0, 9], BOX[0]]}, {}, f"{IN_B} has 3 numbers in 'boxes' for 1"),
    ("coco_ap", {**BOXES, "boxes": [BOX[0], [0.0, 0, -9, 9], BOX[0]]}, {}, f"{IN_B} has a box of negative"),
    ("coco_ap", {**BOXES, "box_scores": [[1.0], [NAN], [1.0]]}, {}, f"'box_scores' has nan in {IN_B}"),
    ("coco_ap", {**BOXES, "labels": [[0], [2], [0]]}, {"labels": ["cat"]}, f"'labels' has 2 in {IN_B}"),
    ("fid", {**FEATURES, "features": [[0.1, 0.2], [0.3], [0.5, 0.6]]}, {}, f"'features' has 1 numbers in {IN_B}"),
    ("fid", {**FEATURES, "features": [[], [], []]}, {}, "'features' has an empty list in row 0"),
    ("kid", {**FEATURES, "real": [True, 2, False]}, {}, "'real' has 2 in row 1; expected true or false"),
    ("inception_score", {**IDS, "probabilities": [[0.5, 0.5], [0.1, 0.2], [1, 0]]}, {}, f"a sum of 0.3 in {IN_B}"),
    # names and options
    ("macro_f2", CLASSES, {}, "unknown metric 'macro_f2'; did you mean 'macro_f1'"),
    ("top_0_accuracy", CLASSES, {}, "unknown metric 'top_0_accuracy'|'top_k' is 0"),
    (3, CLASSES, {}, "the metric is a int; expected a name such as 'macro_f1'"),
    ([], CLASSES, {}, "no metric is named"),
    (["accuracy", 3], CLASSES, {}, "metric 3 is a int"),
    ({"accuracy": 1}, CLASSES, {}, "the metric is a dict"),
    ("ece", CALIBRATED, {"bin": 10}, "unknown option 'bin'; did you mean bins"),
    ("ece", CALIBRATED, {"bins": 0}, "'bins' is 0; expected an integer from 1 up"),
    ("ece", CALIBRATED, {"bins": NAN}, "'bins' is nan"),
    ("ece", CALIBRATED, 15, "the configuration is 15; expected a dict of options"),
    ("accuracy", CLASSES, {"labels": 2}, "'labels' is 2; expected a list of different names"),
    ("accuracy", CLASSES, {"labels": ["x", "x"]}, "'labels' is"),
    ("accuracy", CLASSES, {"labels": {"x": 0}}, "'labels' is"),
    ("accuracy", CLASSES, {"ignore_index": 0.5}, "'ignore_index' is 0.5"),
    ("ndcg_at_k", QUERIES, {"cutoff": True}, "'cutoff' is True"),
    ("bleu", TEXTS, {"tokenize": ["13a"]}, "'tokenize' is"),
    ("log_loss", NLL, {"eps": "small"}, "'eps' is 'small'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "records", "config", "expected"), WRONG)
def test_wrong_input_is_one_line_with_its_place(name, records, config, expected):
    with pytest.raises(MetricError, match=expected) as caught:
        metrics.evaluate(name, records, config)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400
    for internal in ("records.reads", "NoneType", "pyarrow.lib", "Traceback", "x.nan", "…not defined"):
        assert internal not in said


def test_the_table_has_every_family_of_metrics():
    assert len(WRONG) >= 100
    named = {name for name, *_ in WRONG if isinstance(name, str) and name in metrics.METRICS}
    modules = {metrics.METRICS[name].partition(":")[0] for name in named}
    missing = {place.partition(":")[0] for place in metrics.METRICS.values()} - modules
    assert missing <= {"raybench.metrics.average_precision"}  # reads what roc_auc reads


@pytest.mark.parametrize("seed", ["one", 0.5, None])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(MetricError, match="'seed' is"):
        metrics.evaluate("accuracy", CLASSES, seed=seed)


def test_misspelt_words_of_a_call_are_told_with_the_nearest():
    with pytest.raises(MetricError, match=r"'predicton' is no column or option.*did you mean prediction"):
        metrics.evaluate("accuracy", target=[0], predicton=[0])
    with pytest.raises(MetricError, match=r"'bin' is no column or option.*did you mean bins"):
        metrics.evaluate("ece", CALIBRATED, bin=3)
    with pytest.raises(MetricError, match="'target' is given by name and in the table"):
        metrics.evaluate("accuracy", CLASSES, target=[0, 1, 1])
    with pytest.raises(MetricError, match="'prediction' has 2 rows and the table 3"):
        metrics.evaluate("accuracy", {"target": [0, 1, 1]}, prediction=[0, 1])


@pytest.mark.parametrize(
    "name", ["accuracy", "mae", "roc_auc", "bleu", "ndcg", "multilabel_macro_f1", "fid", "coco_ap"]
)
def test_no_rows_are_no_mistake_and_have_a_reason(name):
    columns = metrics.describe(name).columns
    kinds = {column: pa.array([], pa.string() if column == "hypothesis" else pa.int64()) for column in columns}
    for column in ("references", "relevance", "targets", "predictions", "features", "boxes", "truth_boxes"):
        kinds[column] = pa.array([], pa.list_(pa.string() if column == "references" else pa.float64()))
    for column in ("truth_labels", "labels", "box_scores", *(["scores"] if name == "ndcg" else [])):
        kinds[column] = pa.array([], pa.list_(pa.int64()))
    score = metrics.evaluate(name, {column: kinds[column] for column in columns}, {"labels": ["x", "y"]})
    assert (score.value, score.n) == (None, 0)
    assert score.reason
