"""Changes are those of asking without a piece, by hand and where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.core.pictures import image_array, picture_arrays
from raybench.replay.explain import Explainer, refuse_unexplained
from raybench.runtime.trial import Predictor, fit_trial, open_predictor
from raybench.tasks.catalog import TASKS, get_task, task_of
from tests.conftest import FILLER, LABELS

CPU = torch.device("cpu")


class OfRows(Predictor):
    """A candidate that is a function of raw rows."""

    def __init__(self, trial, function):
        self.task, self.trial, self.dtype, self.device = task_of(trial.dataset), trial, "float64", CPU
        self._function = function

    def read(self, rows):
        return rows

    def outputs(self, read, batch, *, fresh=False):
        return torch.tensor(self._function(read.slice(batch.start, batch.stop - batch.start)), dtype=torch.float64)


def text_row(text, **columns):
    return pa.table({"id": ["a"], "text": [text], **columns})


def test_where_words_add_up_changes_are_their_weights_and_complete(make_trial):
    trial = make_trial(ModelSpec(reference="baseline:mean"), task="text-regression", labels=())
    trial = replace(trial, dataset=replace(trial.dataset, statistics={"mean": 5.0, "std": 2.0}))
    weights = {"good": 3.0, "bad": -2.0, "so": 0.25}

    def additive(rows):
        return [[sum(weights[word] for word in text.split())] for text in rows["text"].to_pylist()]

    found = Explainer(OfRows(trial, additive)).attribution(text_row("so good so bad", value=[1.0]))
    (part,) = found.parts
    assert part.changes == pytest.approx([0.5, 6.0, 0.5, -4.0])
    assert (found.of, found.score) == ("", pytest.approx(8.0))
    assert sum(part.changes) == pytest.approx(found.score - 5.0)  # 5: what it tells of an empty text


def test_of_what_reads_one_patch_that_patch_alone_counts(make_trial):
    trial = make_trial(ModelSpec(reference="baseline:pixels-logistic"), task="image-classification", labels=("a", "b"))

    def brightness(rows):
        return [[0.0, picture[4:8, 8:12].mean() / 10] for picture in picture_arrays(rows)]

    pixels = np.random.default_rng(1).integers(0, 100, (1, 32, 32, 1)).astype(np.uint8)
    pixels[0, 4:8, 8:12] = 200
    row = pa.table({"id": ["a"], "image": image_array(pixels), "label": pa.array([0], pa.int32())})
    found = Explainer(OfRows(trial, brightness)).attribution(row)
    (part,) = found.parts
    read = [place for place, box in enumerate(part.cut.boxes) if (box.top, box.left) == (4, 8)]
    assert np.flatnonzero(part.changes).tolist() == read
    mean = round(pixels.mean())
    assert part.changes[read[0]] == pytest.approx((200 - mean) / 10)
    assert (found.answer, found.of) == ("b", "b")


def test_a_change_is_what_transformers_says_less_what_it_says_without(make_trial, tiny_classifier, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(tiny_classifier).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_classifier)
    with torch.no_grad():  # random weights hardly tell words apart
        for weight in model.parameters():
            weight.mul_(8)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    words = ["rain", "said", "the", "bank", "on", "a", "new", "match"]
    trial = make_trial(tmp_path, "none")
    row = text_row(" ".join(words), label=pa.array([0], pa.int32()))
    found = Explainer(open_predictor(trial, None, CPU)).attribution(row)

    def log_odds(some):
        with torch.inference_mode():
            logits = model(**tokenizer(" ".join(some), return_tensors="pt")).logits[0].double().softmax(0)
        place = {name.lower(): place for place, name in model.config.id2label.items()}[found.of]
        return float(torch.logit(logits[place]))

    whole = log_odds(words)
    assert found.score == pytest.approx(whole, abs=1e-4)
    by_hand = [whole - log_odds(words[:place] + words[place + 1 :]) for place in range(len(words))]
    assert found.parts[0].changes == pytest.approx(by_hand, abs=1e-4)
    assert max(map(abs, by_hand)) > 0.1


def test_words_behind_what_is_read_are_counted_and_never_let_in(make_trial, tiny_classifier):
    trial = make_trial(tiny_classifier, "none")
    dataset = replace(trial.dataset, max_length=12)
    words = (FILLER * 2)[:10]  # all that 12 pieces hold beside the tokenizer's own two
    label = pa.array([0], pa.int32())
    explainer = Explainer(open_predictor(replace(trial, dataset=dataset), None, CPU))
    short = explainer.attribution(text_row(" ".join(words), label=label))
    long = explainer.attribution(text_row(" ".join([*words, "rain", "bank", "goal"]), label=label))
    assert (short.parts[0].unread, long.parts[0].unread) == (0, 3)
    assert long.parts[0].changes == pytest.approx(short.parts[0].changes)


@pytest.mark.parametrize("method", ["frozen", "nearest_neighbors", "lora", "tfidf-logistic"])
def test_every_kind_of_candidate_is_explained_alike(make_trial, make_texts, tiny_bert, method):
    model = ModelSpec(reference="baseline:tfidf-logistic") if "tfidf" in method else tiny_bert
    trial = make_trial(model, method)
    rows, task = make_texts(60), task_of(trial.dataset)
    checkpoint = fit_trial(trial, task.prepare(rows, trial.model, 48), CPU)
    explainer = Explainer(open_predictor(trial, checkpoint, CPU))
    found = explainer.attribution(rows.slice(7, 1))
    assert found.of == found.answer
    assert found.of in LABELS
    (part,) = found.parts
    assert part.cut.cell(None) == rows["text"][7].as_py()
    assert np.isfinite(part.changes).all()
    assert found == explainer.attribution(rows.slice(7, 1))
    unknown = text_row(f"zebra {rows['text'][7].as_py()}", label=rows["label"].slice(7, 1))
    if "tfidf" in method:  # a word that no training text has counts nothing
        assert explainer.attribution(unknown).parts[0].changes[0] == 0


def test_both_texts_of_a_pair_have_their_changes(make_trial):
    trial = make_trial(ModelSpec(reference="baseline:mean"), task="text-regression", labels=())

    def second_alone(rows):
        return [[float(len(text.split()))] for text in rows["text_pair"].to_pylist()]

    row = text_row("one two", text_pair=["three four five"], value=[0.0])
    first, second = Explainer(OfRows(trial, second_alone)).attribution(row).parts
    assert (first.changes, second.changes) == ((0, 0), (1, 1, 1))


EXPLAINED = {"text-classification", "multilabel-text-classification", "text-regression"}
EXPLAINED |= {name.replace("text", "image") for name in EXPLAINED}


@pytest.mark.parametrize("name", sorted(TASKS.keys() - EXPLAINED))
def test_tasks_that_have_no_one_answer_of_texts_or_pictures_are_refused_by_name(name):
    with pytest.raises(IncompatibleError, match=f"^{name}: "):
        refuse_unexplained(get_task(name))


@pytest.mark.parametrize("name", sorted(EXPLAINED))
def test_the_others_are_not(name):
    refuse_unexplained(get_task(name))
