"""multiple-choice: the likelihoods are those of one whole row at a time, however many choices and shots share it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import DataError, IncompatibleError, JobError
from raybench.data import load_dataset
from raybench.data.kinds import read_cells
from raybench.job.spec import DatasetSpec
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.catalog import get_task
from raybench.tasks.choice_words import choice_scores
from raybench.tasks.choices import choice_columns
from raybench.tasks.shots import draw_shots, shots_for
from tests.tasks.as_planned import check
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
NAME = "multiple-choice"
LIKE_LLAMA = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "llama": LIKE_LLAMA,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "gpt_neox": {**LIKE_LLAMA, "rotary_pct": 0.5},
    "opt": {
        "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 32,
        "max_position_embeddings": 256,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mistral": {**LIKE_LLAMA, "sliding_window": 6},
}  # fmt: skip
ONCE = {"llama", "gpt2", "gpt_neox", "opt"}  # bloom is told no positions, mistral forgets those out of its window


@pytest.fixture(scope="module")
def saved(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A random checkpoint of an architecture with large weights and the tokenizer of the toy texts."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("choosers")

    def make(kind: str) -> Path:
        path = folder / kind
        if not path.exists():
            ids = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
            deviation = "init_std" if kind == "opt" else "initializer_range"
            torch.manual_seed(3)
            config = AutoConfig.for_model(kind, **SHAPES[kind], **ids, **{deviation: 0.3})
            AutoModelForCausalLM.from_config(config).save_pretrained(path)
            open_tokenizer(ModelSpec(reference=str(tiny_gpt2))).save_pretrained(path)
        return path

    return make


@pytest.fixture(scope="module")
def rows(make_toy: Callable[[str], Any]) -> pa.Table:
    return make_toy(NAME).rows


trial_of, records = partial(make_trial, NAME, max_length=240), records_of


def scores_of(trial: Trial, rows: pa.Table, train: pa.Table | None = None) -> list[list[float]]:
    """ln p of each row's choices, all rows in one batch."""
    task = get_task(NAME, trial.dataset.task_config).beside(train, ())
    examples = task.examples(task.prepare(rows, trial.model, trial.dataset.max_length), trial.model, trial.dataset)
    network = task.network(trial.model, trial.dataset, 0, own_head=True)
    with torch.inference_mode():
        batch = examples.batch(np.arange(rows.num_rows), 8, CPU)
        found = choice_scores(network, batch)
    assert batch.rows is not None
    return [own.tolist() for own in np.split(found, np.cumsum(batch.rows)[:-1])]


def one_at_a_time(path: Path, contexts: list[str], choices: list[list[str]], longest: int = 240) -> list[list[float]]:
    """ln p of each choice by the whole model over context and choice, a row at a time, without padding or cache."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    found = []
    for context, own in zip(contexts, choices, strict=True):
        before = tokenizer(context.rstrip())["input_ids"]
        after = [tokenizer(context + choice)["input_ids"][len(before) :][:longest] for choice in own]
        before = before[-(longest + 1 - max(map(len, after))) :]
        found.append([])
        for ids in after:
            with torch.inference_mode():
                log_p = model(torch.tensor([[*before, *ids[:-1]]])).logits[0].log_softmax(-1)
            places = range(len(before) - 1, len(before) - 1 + len(ids))
            found[-1].append(sum(log_p[place, token].item() for place, token in zip(places, ids, strict=True)))
    return found


def close(mine: list[list[float]], theirs: list[list[float]]) -> None:
    for own, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("kind", list(SHAPES))
def test_a_shared_context_gives_each_choice_what_its_row_alone_gets(
    kind: str, shots: int, saved: Callable[[str], Path], rows: pa.Table
) -> None:
    test, train = rows.slice(0, 9), rows.slice(9)
    trial = trial_of(saved(kind), shots=shots, template="Q {question}", delimiter=": ", separator=" / ")
    shown = draw_shots(train, 2, 0).to_pylist()[:shots]
    before = "".join(f"Q {shot['question']}: {shot['choices'][shot['label']]} / " for shot in shown)
    contexts = [f"{before}Q {question}" for question in test["question"].to_pylist()]
    choices = [[f": {choice}" for choice in own] for own in test["choices"].to_pylist()]
    expected = one_at_a_time(saved(kind), contexts, choices)
    close(scores_of(trial, test, train), expected)
    found = records(trial, test, train)
    assert found["prediction"].to_pylist() == [int(np.argmax(own)) for own in expected]
    by_bytes = [
        [one / len(choice[2:].encode()) for one, choice in zip(own, texts, strict=True)]
        for own, texts in zip(expected, choices, strict=True)
    ]
    assert found["prediction_norm"].to_pylist() == [int(np.argmax(own)) for own in by_bytes]
    nll = [np.log(np.exp(own).sum()) - own[label] for own, label in zip(expected, test["label"].to_pylist())]  # noqa: B905
    np.testing.assert_allclose(found["nll"].to_numpy(), nll, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", list(SHAPES))
def test_what_choices_and_shots_share_is_forwarded_once(
    kind: str, saved: Callable[[str], Path], rows: pa.Table
) -> None:
    """Counted in tokens that the model is given: contexts once, what all rows begin with once a group."""
    test, train = rows.slice(0, 9), rows.slice(9)
    trial = trial_of(saved(kind), shots=2)
    task = get_task(NAME, trial.dataset.task_config).beside(train, ())
    prepared = task.prepare(test, trial.model, 240)
    network = task.network(trial.model, trial.dataset, 0, own_head=True)
    given: list[int] = []
    network.backbone.register_forward_pre_hook(
        lambda module, args, known: given.append(known["input_ids"].numel()), with_kwargs=True
    )
    batch = task.examples(prepared, trial.model, trial.dataset).batch(np.arange(9), 8, CPU)
    with torch.inference_mode():
        choice_scores(network, batch)
    contexts = np.array([len(own) for own in prepared["context_ids"].to_pylist()])
    whole = int(batch.inputs["attention_mask"].sum())
    assert (sum(given) < contexts.sum() < whole) == (kind in ONCE), (given, contexts.sum(), whole)


def test_neighbours_change_no_prediction(saved: Callable[[str], Path], rows: pa.Table) -> None:
    trial = trial_of(saved("llama"), shots=2)
    together = records(trial, rows)
    for row in range(0, rows.num_rows, 4):
        alone = records(trial, rows.slice(row, 1), rows)
        assert alone["prediction"].to_pylist() == together["prediction"].to_pylist()[row : row + 1]
        np.testing.assert_allclose(alone["nll"].to_numpy(), together["nll"].to_numpy()[row : row + 1], atol=1e-4)


def test_contexts_longer_than_the_model_lose_their_beginning_for_all_choices_alike(
    saved: Callable[[str], Path], rows: pa.Table
) -> None:
    questions = ["", "rain", "the ball of some market " * 9, "goal team"]
    choices = [["a", "some rain"], ["naïve 雨", "b"], ["the new", "old", "on"], ["bank loan price " * 9, "sun"]]
    test = pa.table({"id": list("abcd"), "question": questions, "choices": choices, "label": [0, 1, 2, 1]})
    trial = trial_of(saved("llama"), max_length=16, template="{question}", delimiter=" ")
    contexts = ["<|endoftext|>", *questions[1:]]
    spaced = [[f" {choice}" for choice in own] for own in choices]
    close(scores_of(trial, test), one_at_a_time(saved("llama"), contexts, spaced, longest=16))


def test_the_choices_own_head_is_that_of_transformers(tiny_bert: Path, rows: pa.Table, tmp_path: Path) -> None:
    from transformers import AutoModelForMultipleChoice, BertConfig, BertForMultipleChoice

    torch.manual_seed(5)
    model = BertForMultipleChoice(BertConfig.from_pretrained(tiny_bert))
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.mul_(50)
        model.classifier.weight.mul_(50)
    model.save_pretrained(tmp_path)
    tokenizer = open_tokenizer(ModelSpec(reference=str(tiny_bert)))
    tokenizer.save_pretrained(tmp_path)
    found = records(trial_of(tmp_path), rows)
    theirs, nll = [], []
    whole = AutoModelForMultipleChoice.from_pretrained(tmp_path).eval()
    for question, choices, label in zip(*(rows[name].to_pylist() for name in rows.column_names[1:]), strict=True):
        pairs = tokenizer([question] * len(choices), choices, return_tensors="pt", padding=True)
        with torch.inference_mode():
            logits = whole(**{name: value[None] for name, value in pairs.items()}).logits
        theirs.append(int(logits.argmax()))
        nll.append(-logits.log_softmax(-1)[0, label].item())
    assert found["prediction"].to_pylist() == theirs
    np.testing.assert_allclose(found["nll"].to_numpy(), nll, rtol=1e-3, atol=1e-4)
    assert len(set(theirs)) > 1


METHODS: dict[str, dict[str, Any]] = {
    "full": {}, "top_layers": {"layers": 1}, "gradual_unfreeze": {}, "lora": {}, "prompt_tuning": {}, "prefix": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["tiny_bert", "tiny_causal"])
@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_that_fits_learns_which_choice_is_right(
    kind: str, method: str, make_texts: Callable[..., pa.Table], request: pytest.FixtureRequest
) -> None:
    """The right choice is the one of the text's own subject; against the same network before it has learned."""
    texts = make_texts(12, seed=6)
    choices = [["bank", "ball", "rain"]] * 12
    rows = pa.table({"id": texts["id"], "question": texts["text"], "choices": choices, "label": texts["label"]})
    path = request.getfixturevalue(kind)
    epochs = {"head_epochs": 0} if method == "gradual_unfreeze" and kind == "tiny_causal" else {}
    given = {"epochs": 3, "batch_size": 4, **METHODS[method], **epochs}
    before = records(trial_of(path, method, given={**given, "learning_rate": 1e-12}, max_length=40), rows)
    after = records(trial_of(path, method, given={**given, "learning_rate": 0.01}, max_length=40), rows)
    assert sum(after["nll"].to_pylist()) < sum(before["nll"].to_pylist())


def test_shots_are_drawn_by_id_lie_within_more_and_never_show_the_row_itself(rows: pa.Table) -> None:
    ids = [draw_shots(rows, count, 0)["id"].to_pylist() for count in (0, 1, 3, 5)]
    assert ids[0] == []
    assert [one for one in ids[3] if one in ids[2]] == ids[2] == ids[3][:4]
    mixed = rows.take(pa.array(range(rows.num_rows)[::-1]))
    assert draw_shots(mixed, 5, 0)["id"].to_pylist() == ids[3]
    assert draw_shots(rows, 5, 1)["id"].to_pylist() != ids[3]
    names = ["a", "b", "c"]
    assert shots_for(names, names, "b", 2) == ["a", "c"]
    assert shots_for(names, names, "z", 2) == ["a", "b"]


def test_shots_come_from_the_training_rows_the_same_for_every_model(
    saved: Callable[[str], Path], rows: pa.Table
) -> None:
    test, train = rows.slice(0, 4), rows.slice(4)
    texts = []
    for kind in ("llama", "gpt2"):
        trial = trial_of(saved(kind), shots=3)
        task = get_task(NAME, trial.dataset.task_config).beside(train, ())
        prepared = task.prepare(test, trial.model, 4000)
        tokenizer = open_tokenizer(trial.model)
        texts.append([tokenizer.decode(ids) for ids in prepared["context_ids"].to_pylist()])
    assert texts[0] == texts[1]
    shown = draw_shots(train, 3, 0).to_pylist()[:3]
    for text in texts[0]:
        for shot in shown:
            assert f"Question: {shot['question']}\nAnswer: {shot['choices'][shot['label']]}\n\n" in text


def test_choices_of_equal_score_go_to_the_first_and_what_is_no_number_has_no_prediction() -> None:
    scores = [1.0, 1.0, -2.0, -1.0, float("nan"), 0.0, 3.0]
    found = choice_columns(scores, np.array([1, 1, 4, 1, 1, 1, 1]), np.array([2, 2, 3]), np.array([1, 0, 2]))
    assert found["prediction"].to_pylist() == [0, 1, -1]
    assert found["prediction_norm"].to_pylist() == [0, 0, -1]
    nll = found["nll"].to_numpy()
    np.testing.assert_allclose(nll[:2], [np.log(2), 1 + np.log1p(np.exp(-1))])
    assert np.isnan(nll[2])


def test_baselines_choose_as_they_say(rows: pa.Table) -> None:
    train = pa.table(
        {
            "id": list("abc"),
            "question": ["a young dog", "the storm wind", "old money"],
            "choices": [["dog", "longest one", "b"], ["sun", "wind"], ["x", "money", "yy"]],
            "label": pa.array([0, 0, 1], pa.int32()),
        }
    )
    expected = {"majority-choice": [0, 0, 0], "longest-choice": [1, 1, 1], "similar-choice": [0, 1, 1]}
    for name, predictions in expected.items():
        model = ModelSpec(reference=f"baseline:{name}")
        found = records(trial_of(model), train, train)
        assert found["prediction"].to_pylist() == predictions, name


def test_models_that_cannot_are_told_in_a_line(tiny_bert: Path) -> None:
    task = get_task(NAME)
    with pytest.raises(IncompatibleError, match="vit has no vocabulary, so it reads no text"):
        check(ModelSpec(reference="arch:vit"), task, (), "full")
    with pytest.raises(IncompatibleError, match="no trained head that scores choices"):
        check(ModelSpec(reference=str(tiny_bert)), task, (), "none")
    with pytest.raises(IncompatibleError, match="has no one vector a row"):
        check(ModelSpec(reference=str(tiny_bert)), task, (), "frozen")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"template": "{quest}"}, "names {quest}; {question}, {context} would do"),
        ({"template": "{question"}, "expected '}'"),
        ({"shots": -1}, "shots: -1"),
        ({"template": "{question.text}"}, "names {question.text}"),
    ],
)
def test_options_that_cannot_be_are_told_in_a_line(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(JobError) as caught:
        get_task(NAME, config)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "label", "config", "reason"),
    [
        (["a"], 0, {}, "row 'q' has 1 choices; want two or more"),
        (["a", " "], 0, {}, "row 'q' has an empty choice"),
        (["a", "b"], 2, {}, "row 'q' has 2 choices and the label 2; want 0 to 1"),
        (["a", "b"], 1, {"template": "{context} {question}"}, "the template names {context}, and there is no such"),
        (["a", "b"], 1, {"shots": 2}, "2 shots are drawn from a train split, and there is none"),
    ],
)
def test_rows_that_cannot_be_asked_are_told_in_a_line(
    choices: list[str], label: int, config: dict[str, Any], reason: str
) -> None:
    test = pa.table({"id": ["q"], "question": ["why"], "choices": [choices], "label": pa.array([label], pa.int32())})
    with pytest.raises(DataError) as caught:
        get_task(NAME, config).review({"test": test}, ())
    assert reason in str(caught.value)


HUB = {
    "hellaswag": (
        {"ctx": ["a"], "endings": [["b", "c"]], "label": ["1"]}, {"question": "ctx", "choices": "endings"}, 1,
    ),
    "arc": (
        {"question": ["a"], "choices": [{"text": ["b", "c"], "label": ["A", "B"]}], "answerKey": ["B"]},
        {"choices": "choices.text", "label": "answerKey"}, 1,
    ),
    "mmlu": ({"question": ["a"], "choices": [["b", "c"]], "answer": [0]}, {"label": "answer"}, 0),
    "piqa": (
        {"goal": ["a"], "sol1": ["b"], "sol2": ["c"], "label": [1]}, {"question": "goal", "choices": "sol1, sol2"}, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HUB)
def test_the_hubs_sets_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table, columns, label = HUB[name]
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    spec = DatasetSpec.model_validate(
        {
            "name": "x",
            "source": "parquet",
            "task": NAME,
            "columns": columns,
            "splits": {"test": "test"},
            "data_files": {"test": str(tmp_path / "rows.parquet")},
        }
    )
    test = load_dataset(spec, get_task(NAME).columns, tmp_path).splits["test"]
    assert test["question"].to_pylist() == ["a"]
    assert test["choices"].to_pylist() == [["b", "c"]]
    assert test["label"].to_pylist() == [label]


def test_keys_that_mix_letters_and_numbers_are_told_apart() -> None:
    with pytest.raises(DataError, match="holds 'A', which is no number"):
        read_cells("index", pa.chunked_array([["1", "A"]]), "answerKey")


def test_a_network_drawn_from_a_seed_can_be_trained_and_not_scored_as_it_is(tiny_bert: Path) -> None:
    scratch = ModelSpec(reference="arch:gpt2", tokenizer=str(tiny_bert))
    check(scratch, get_task(NAME), (), "full")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(scratch, get_task(NAME), (), "none")
