"""masked-lm: every token is masked once, and costs what transformers' fill-mask pipeline says of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, JobError
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.catalog import get_task
from raybench.tasks.masked_inputs import masked_rows
from raybench.tasks.overlapping_windows import cut
from tests.tasks.as_planned import check
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
NAME = "masked-lm"


@pytest.fixture(scope="module")
def rows(make_texts: Callable[..., pa.Table]) -> pa.Table:
    texts = ["", "rain", *make_texts(8, seed=5)["text"].to_pylist()]
    return pa.table({"id": [f"t{place}" for place in range(len(texts))], "text": texts})


trial_of, records = partial(make_trial, NAME, max_length=60), records_of


def test_each_token_alone_costs_what_the_fill_mask_pipeline_says(tiny_masked: Path, rows: pa.Table) -> None:
    from transformers import pipeline

    filler = pipeline("fill-mask", model=str(tiny_masked), device="cpu")
    expected, right = [], []
    for text in rows["text"].to_pylist():
        words, total, hits = text.split(), 0.0, 0
        for place, word in enumerate(words):
            masked = " ".join([*words[:place], "[MASK]", *words[place + 1 :]])
            (found,) = filler(masked, targets=[word])
            total -= np.log(found["score"])
            hits += filler(masked, top_k=1)[0]["token_str"] == word
        expected.append(total)
        right.append(hits)
    found = records(trial_of(tiny_masked), rows)
    np.testing.assert_allclose(found["nll"].to_numpy(), expected, rtol=1e-4, atol=1e-5)
    assert found["num_right"].to_pylist() == right
    assert found["num_tokens"].to_pylist() == [len(text.split()) for text in rows["text"].to_pylist()]


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("room", [1, 2, 5, 9])
def test_every_token_is_masked_once_where_it_has_most_around_it(share: float, room: int) -> None:
    for count in range(30):
        mask_row, starts = masked_rows(count, room, share, np.random.default_rng(count))
        assert set(mask_row.tolist()) == set(range(len(starts)))  # no row without a mask
        at = np.array(starts, dtype=int)[mask_row] if count else np.zeros(0, int)
        places = np.arange(count)
        assert ((places >= at) & (places < at + room)).all()
        for place, start in enumerate(at.tolist()):

            def around(begin: int, end: int, place: int = place, count: int = count) -> int:
                return min(place - begin if begin else count, end - 1 - place if end < count else count)

            best = max(around(a, b) for a, b in cut(count, room, room // 2) if a <= place < b)
            assert around(start, min(start + room, count)) == best
        together = np.bincount(mask_row) if count else np.zeros(1)
        assert together.max() <= max(1, share * min(room, count))


def test_a_share_at_a_time_costs_fewer_rows_and_is_drawn_by_id(tiny_masked: Path, rows: pa.Table) -> None:
    trial = trial_of(tiny_masked)
    sizes = {}
    for share in (0.0, 0.5):
        task = get_task(NAME, {"mask_share": share})
        prepared = task.prepare(rows, trial.model, 60)
        turned = task.prepare(rows.take(pa.array(range(rows.num_rows)[::-1])), trial.model, 60)
        assert turned["mask_row"].to_pylist()[::-1] == prepared["mask_row"].to_pylist()
        sizes[share] = sum(prepared["rows"].to_pylist())
    assert sizes[0.5] < sizes[0.0] / 2
    other = get_task(NAME, {"mask_share": 0.5, "mask_seed": 1}).prepare(rows, trial.model, 60)
    same = get_task(NAME, {"mask_share": 0.5}).prepare(rows, trial.model, 60)
    assert other["mask_row"].to_pylist() != same["mask_row"].to_pylist()


def test_texts_longer_than_the_model_are_scored_in_windows_by_hand(tiny_masked: Path) -> None:
    from transformers import AutoModelForMaskedLM

    text = " ".join(["the ball of some market", "goal team rain wind"] * 4)
    table = pa.table({"id": ["a"], "text": [text]})
    trial = trial_of(tiny_masked, max_length=12)
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(tiny_masked).eval(), open_tokenizer(trial.model)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    mask_row, starts = masked_rows(len(ids), 10, 0.0, np.random.default_rng(0))
    total = 0.0
    for place, row in enumerate(mask_row.tolist()):
        window = ids[starts[row] : starts[row] + 10]
        window[place - starts[row]] = tokenizer.mask_token_id
        with torch.inference_mode():
            logits = model(torch.tensor([[2, *window, 3]])).logits[0, place - starts[row] + 1]
        total -= logits.log_softmax(-1)[ids[place]].item()
    found = records(trial, table)
    assert found["nll"][0].as_py() == pytest.approx(total, rel=1e-5)
    assert found["num_tokens"][0].as_py() == len(ids)


@pytest.mark.parametrize("method", ["full", "top_layers", "gradual_unfreeze", "lora", "prompt_tuning", "prefix"])
def test_every_method_that_fits_learns_its_texts(method: str, tiny_masked: Path, rows: pa.Table) -> None:
    more = {"top_layers": {"layers": 1}, "gradual_unfreeze": {"head_epochs": 0}}.get(method, {})
    given, few = {"epochs": 3, "batch_size": 2, **more}, rows.slice(2, 4)
    before = records(trial_of(tiny_masked, method, given={**given, "learning_rate": 1e-12}, mask_share=0.15), few)
    after = records(trial_of(tiny_masked, method, given={**given, "learning_rate": 0.01}, mask_share=0.15), few)
    assert sum(after["nll"].to_pylist()) < sum(before["nll"].to_pylist())


def test_an_instruction_is_read_and_not_masked(tiny_masked: Path, rows: pa.Table) -> None:
    bare = records(trial_of(tiny_masked), rows)
    told = records(trial_of(tiny_masked, "instruction", given={"instruction": "the rain "}), rows)
    assert told["num_tokens"].equals(bare["num_tokens"])
    assert told["nll"].to_pylist()[1:] != bare["nll"].to_pylist()[1:]


def test_baselines_know_which_bytes_they_put_back(rows: pa.Table) -> None:
    texts = pa.table({"id": ["a", "b"], "text": ["aab", "aaaab"]})
    found = records(trial_of("baseline:unigram"), texts)
    assert found["num_right"].to_pylist() == [2, 4]  # each a
    assert found["num_tokens"].to_pylist() == [3, 5]
    by_context = records(trial_of("baseline:interpolated-ngram"), rows)
    alone = records(trial_of("baseline:unigram"), rows)
    assert sum(by_context["num_right"].to_pylist()) > sum(alone["num_right"].to_pylist())


def test_models_that_cannot_are_told_in_a_line(tiny_bert: Path, tiny_causal: Path, tiny_masked: Path) -> None:
    task = get_task(NAME)
    for path, method, reason in [
        (tiny_bert, "full", "saved as BertModel, without a head of words"),
        (tiny_causal, "none", "llama predicts no masked word"),
        (tiny_masked, "frozen", "has no one vector a row"),
    ]:
        with pytest.raises(IncompatibleError, match=reason):
            check(ModelSpec(reference=str(path)), task, (), method)
    with pytest.raises(JobError, match=r"task_config.mask_share: 0.9"):
        get_task(NAME, {"mask_share": 0.9})


def test_a_network_drawn_from_a_seed_can_be_trained_and_not_scored_as_it_is(tiny_masked: Path) -> None:
    scratch = ModelSpec(reference="arch:bert", tokenizer=str(tiny_masked))
    check(scratch, get_task(NAME), (), "full")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(scratch, get_task(NAME), (), "none")
