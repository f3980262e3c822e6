"""prompted-classification: the likelihoods of labels are those of transformers, a prompt at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import DataError, IncompatibleError, JobError
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.catalog import get_task
from raybench.tasks.shots import draw_shots
from tests.tasks.as_planned import check
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
NAME = "prompted-classification"
LABELS = ("money", "sport", "weather")
TEMPLATE = "{text} of {answer} the"
WORDS = {"money": "bank", "sport": "goal", "weather": "storm"}


@pytest.fixture(scope="module")
def rows(make_texts: Callable[..., pa.Table]) -> pa.Table:
    texts = make_texts(16, seed=5)
    return pa.table({"id": texts["id"], "text": ["", "goal", *texts["text"].to_pylist()[2:]], "label": texts["label"]})


records = records_of


def trial_of(path: Path | str, method: str = "none", *, max_length: int = 60, **options: Any) -> Trial:
    options = {"template": TEMPLATE, "verbaliser": WORDS} | options
    return make_trial(NAME, path, method, labels=LABELS, max_length=max_length, **options)


def scores_of(trial: Trial, rows: pa.Table, train: pa.Table | None = None) -> np.ndarray:
    """ln p of each label's words, [rows, labels]."""
    task = get_task(NAME, trial.dataset.task_config).beside(train, LABELS)
    examples = task.examples(task.prepare(rows, trial.model, trial.dataset.max_length), trial.model, trial.dataset)
    network = task.network(trial.model, trial.dataset, 0, own_head=True)
    width = int(examples.lengths.max())
    with torch.inference_mode():
        found: np.ndarray = task.predict(network, examples.batch(np.arange(rows.num_rows), width, CPU)).numpy()
    return found


def prompts(rows: pa.Table, train: pa.Table, shots: int) -> list[tuple[str, str]]:
    """Before and after each answer, written by hand."""
    shown = draw_shots(train, 2, 0).to_pylist()[:shots]
    before = "".join(f"{one['text']} of {WORDS[LABELS[one['label']]]} the\n\n" for one in shown)
    return [(f"{before}{text} of ", " the") for text in rows["text"].to_pylist()]


@pytest.mark.parametrize("shots", [0, 2])
def test_masked_models_judge_labels_as_the_fill_mask_pipeline(tiny_masked: Path, rows: pa.Table, shots: int) -> None:
    from transformers import pipeline

    train, test = rows.slice(0, 6), rows.slice(6)
    filler = pipeline("fill-mask", model=str(tiny_masked), device="cpu")
    targets = list(WORDS.values())
    expected = []
    for before, after in prompts(test, train, shots):
        found = {one["token_str"]: one["score"] for one in filler(f"{before}[MASK]{after}", targets=targets, top_k=3)}
        expected.append([np.log(found[word]) for word in targets])
    np.testing.assert_allclose(scores_of(trial_of(tiny_masked, shots=shots), test, train), expected, rtol=1e-4)
    found = records(trial_of(tiny_masked, shots=shots), test, train)
    assert found["prediction"].to_pylist() == np.argmax(expected, axis=1).tolist()


def test_words_of_several_pieces_are_judged_at_as_many_masks(tiny_masked: Path, rows: pa.Table) -> None:
    from transformers import AutoModelForMaskedLM

    words = ["bank loan", "goal", "rain wind"]
    trial = trial_of(tiny_masked, verbaliser=dict(zip(LABELS, words, strict=True)))
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(tiny_masked).eval(), open_tokenizer(trial.model)
    expected = []
    for text in rows["text"].to_pylist():
        own = []
        for word in words:
            pieces = tokenizer(word, add_special_tokens=False)["input_ids"]
            ids = tokenizer(f"{text} of {'[MASK]' * len(pieces)} the", return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                log_p = model(ids).logits[0].log_softmax(-1)[ids[0] == tokenizer.mask_token_id]
            own.append(sum(log_p[place, piece].item() for place, piece in enumerate(pieces)))
        expected.append(own)
    np.testing.assert_allclose(scores_of(trial, rows), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shots", [0, 2])
def test_causal_models_judge_words_and_what_follows_them(tiny_causal: Path, rows: pa.Table, shots: int) -> None:
    from transformers import AutoModelForCausalLM

    train, test = rows.slice(0, 6), rows.slice(6)
    short = pa.table(
        {"id": train["id"], "text": [text[:8] for text in train["text"].to_pylist()], "label": train["label"]}
    )
    test = pa.table(
        {"id": test["id"], "text": [text[:20] for text in test["text"].to_pylist()], "label": test["label"]}
    )
    trial = trial_of(tiny_causal, shots=shots)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_causal).eval(), open_tokenizer(trial.model)
    expected = []
    for before, after in prompts(test, short, shots):
        own = []
        for word in WORDS.values():
            first = tokenizer(before.rstrip())["input_ids"]
            ids = tokenizer(before + word + after)["input_ids"]
            assert len(ids) < 60
            with torch.inference_mode():
                log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            own.append(sum(log_p[place - 1, ids[place]].item() for place in range(len(first), len(ids))))
        expected.append(own)
    np.testing.assert_allclose(scores_of(trial, test, short), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["tiny_masked", "tiny_causal"])
def test_long_texts_lose_their_end_and_the_template_stays_whole(
    kind: str, rows: pa.Table, request: pytest.FixtureRequest
) -> None:
    long = ["goal " + "bank of the market " * 30, "rain"] * 2
    test = pa.table({"id": list("abcd"), "text": long, "label": pa.array([0, 1, 2, 0], pa.int32())})
    for shots in (0, 1):
        trial = trial_of(
            request.getfixturevalue(kind), max_length=48, shots=shots, template="so {text} of {answer} the"
        )
        task = get_task(NAME, trial.dataset.task_config).beside(test.slice(0, 2), LABELS)
        prepared = task.prepare(test, trial.model, 48)
        name = "input_ids" if kind == "tiny_masked" else "context_ids"
        tokenizer = open_tokenizer(trial.model)
        texts = [tokenizer.decode(ids) for ids in prepared[name].to_pylist()]
        assert max(prepared["length"].to_pylist()) <= 48 if kind == "tiny_masked" else True
        for text, whole in zip(texts, long, strict=True):
            asked = text.rpartition("so ")[2] if kind == "tiny_causal" else text
            assert whole.split()[0] in asked
            assert "of" in asked.split()[-4:]
            assert ("[MASK] the" in text) == (kind == "tiny_masked")


@pytest.mark.parametrize("kind", ["tiny_masked", "tiny_causal"])
@pytest.mark.parametrize("method", ["full", "top_layers", "gradual_unfreeze", "lora", "prompt_tuning", "prefix"])
def test_every_method_that_fits_learns_the_labels(
    kind: str, method: str, make_texts: Callable[..., pa.Table], request: pytest.FixtureRequest
) -> None:
    rows, path = make_texts(12, seed=6), request.getfixturevalue(kind)
    layers = {"layers": 1} if method == "top_layers" else {}
    head = {"head_epochs": 0} if method == "gradual_unfreeze" else {}
    given = {"epochs": 3, "batch_size": 4, **layers, **head}
    before = records(trial_of(path, method, given={**given, "learning_rate": 1e-12}), rows)
    after = records(trial_of(path, method, given={**given, "learning_rate": 0.01}), rows)
    assert sum(after["nll"].to_pylist()) < sum(before["nll"].to_pylist())


def test_baselines_of_the_plain_task_read_the_same_rows(rows: pa.Table) -> None:
    for name in ("majority", "tfidf-logistic"):
        found = records(trial_of(f"baseline:{name}"), rows)
        assert found.num_rows == rows.num_rows
    right = np.array(found["prediction"].to_pylist()) == np.array(rows["label"].to_pylist())
    assert right.mean() > 0.7


def test_models_that_cannot_are_told_in_a_line(tiny_bert: Path, tiny_masked: Path, tiny_t5: Path) -> None:
    task = get_task(NAME)
    for spec, method, reason in [
        (ModelSpec(reference="arch:bert", tokenizer=str(tiny_bert)), "full", "its tokenizer has no mask"),
        (ModelSpec(reference=str(tiny_t5)), "none", "t5 predicts no words"),
        (ModelSpec(reference="arch:vit"), "full", "vit predicts no words"),
        (ModelSpec(reference=str(tiny_masked)), "frozen", "has no one vector a row"),
    ]:
        with pytest.raises(IncompatibleError, match=reason):
            check(spec, task, LABELS, method)
    check(ModelSpec(reference=str(tiny_masked)), task, LABELS, "none")


def test_a_backbone_without_its_head_of_words_is_refused_in_the_plan(tiny_masked: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(tiny_masked).save_pretrained(tmp_path)
    open_tokenizer(ModelSpec(reference=str(tiny_masked))).save_pretrained(tmp_path)
    for method in ("none", "full"):  # a fresh head of words is drawn by none
        with pytest.raises(IncompatibleError, match="saved as BertModel, without a head of words"):
            check(ModelSpec(reference=str(tmp_path)), get_task(NAME), LABELS, method)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"template": "{text}"}, "wants {answer} once"),
        ({"template": "{title} {answer}"}, "names {title}"),
        ({"verbaliser": {"sport": " "}}, "has no words for 'sport'"),
        ({"shots": 1.5}, "shots: 1.5"),
    ],
)
def test_options_that_cannot_be_are_told_in_a_line(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(JobError) as caught:
        get_task(NAME, config)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"verbaliser": {"sports": "goal"}}, "names the label 'sports'; the dataset has 'money', 'sport', 'weather'"),
        ({"verbaliser": {"sport": "rain", "money": "rain"}}, "two labels have the words 'rain'"),
        ({"template": "{text} {text_pair} {answer}"}, "the template names {text_pair}, and there is no such column"),
        ({"shots": 2}, "2 shots are drawn from a train split, and there is none"),
    ],
)
def test_datasets_that_do_not_fit_are_told_in_a_line(rows: pa.Table, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError) as caught:
        get_task(NAME, config).review({"test": rows}, LABELS)
    assert reason in str(caught.value)


def test_a_network_drawn_from_a_seed_can_be_trained_and_not_scored_as_it_is(tiny_masked: Path) -> None:
    scratch = ModelSpec(reference="arch:bert", tokenizer=str(tiny_masked))
    check(scratch, get_task(NAME), LABELS, "full")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(scratch, get_task(NAME), LABELS, "none")
