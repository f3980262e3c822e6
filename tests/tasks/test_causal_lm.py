"""causal-lm: each token once with the context there is, equal to a brute force over the same windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.core.errors import IncompatibleError, JobError
from raybench.metrics import MetricSet
from raybench.models.configuration import open_config
from raybench.models.language import LanguageNetwork
from raybench.models.tokenizer import open_tokenizer
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, needs_fit, open_predictor, score_shard
from raybench.tasks.catalog import get_task
from raybench.tasks.windows import num_rolling, rolling_windows
from tests.tasks.as_planned import check

CPU = torch.device("cpu")
LONGEST = 24
TEXTS = ["", "rain", "the ball", "naïve 雨 storm", "new bank the of market price " * 12, "goal team " * 40]


@pytest.fixture(scope="module")
def rows(make_texts: Callable[..., pa.Table]) -> pa.Table:
    texts = TEXTS + make_texts(10).column("text").to_pylist()
    return pa.table({"id": [f"t{place}" for place in range(len(texts))], "text": texts})


def make(model: ModelSpec | Path, method: str = "none", *, task_config: Any = None, **given: Any) -> Trial:
    spec = model if isinstance(model, ModelSpec) else ModelSpec(reference=str(model))
    config = dict(task_config or {})
    dataset = DatasetKey(
        name="toy", task="causal-lm", labels=(), fingerprint="toy", max_length=LONGEST, task_config=config
    )
    h = {} if spec.baseline else get_method(method).resolve(given)
    spec = spec if spec.baseline else get_method(method).adapt(spec, h)
    return Trial(
        trial_id=f"{spec.reference} {method}", candidate="toy", model=spec, dataset=dataset, method=method,
        hyperparameters=h, seed=0, weights_fingerprint=candidate_fingerprint(spec),
    )  # fmt: skip


def score(trial: Trial, rows: pa.Table, train: pa.Table | None = None) -> tuple[pa.Table, dict[str, float | None]]:
    task = get_task("causal-lm", trial.dataset.task_config)
    data = prepare_data(task, {"train": rows if train is None else train, "test": rows}, trial.model, trial.dataset)
    assert data.train is not None
    checkpoint = fit_trial(trial, data.train, CPU) if needs_fit(trial) else None
    metrics = MetricSet(task.metrics, {})
    found = score_shard(
        open_predictor(trial, checkpoint, CPU), data.test, data.plan.batches(0, data.plan.num_batches), metrics
    )
    scores = metrics.compute(found.states, lambda: found.records)
    return found.records.sort_by("id"), {name: one.value for name, one in scores.items()}


def brute_force(path: Path, text: str, stride: int) -> float:
    """The text's nll, a window at a time through the whole model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    ids = [tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]
    total, done = 0.0, 0
    while done < len(ids) - 1:
        stop = min(LONGEST, len(ids) - 1) if done == 0 else min(done + stride, len(ids) - 1)
        start = max(0, stop - LONGEST)
        with torch.inference_mode():
            log_p = model(torch.tensor([ids[start:stop]])).logits[0].log_softmax(-1)
        total -= sum(log_p[place - start, ids[place + 1]].item() for place in range(done, stop))
        done = stop
    return total


@pytest.mark.parametrize(("config", "stride"), [({}, 12), ({"stride": 24}, 24), ({"stride": 5}, 5)])
def test_each_token_is_scored_once_with_all_the_context_of_its_window(
    tiny_causal: Path, rows: pa.Table, config: dict[str, int], stride: int
) -> None:
    records, _ = score(make(tiny_causal, task_config=config), rows)
    expected = [brute_force(tiny_causal, text, stride) for text in rows.sort_by("id").column("text").to_pylist()]
    np.testing.assert_allclose(records.column("nll").to_numpy(), expected, rtol=1e-5, atol=1e-4)


def test_sizes_are_those_of_the_raw_text_and_the_beginning_is_recorded(tiny_causal: Path, rows: pa.Table) -> None:
    records, _ = score(make(tiny_causal), rows)
    texts = rows.sort_by("id").column("text").to_pylist()
    tokenizer = open_tokenizer(ModelSpec(reference=str(tiny_causal)))
    assert records.column("num_bytes").to_pylist() == [len(text.encode()) for text in texts]
    assert records.column("num_words").to_pylist() == [len(text.split()) for text in texts]
    assert records.column("num_tokens").to_pylist() == [len(tokenizer(text)["input_ids"]) for text in texts]
    assert set(records.column("begins_with").to_pylist()) == {"<|endoftext|>"}


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_windows_score_every_place_once_in_order(stride: int) -> None:
    for count in range(30):
        windows = rolling_windows(count, 4, stride)
        scored = [place for window in windows for place in range(window.first, window.stop)]
        assert scored == list(range(count))
        assert all(window.stop - window.start == 4 for window in windows[1:])
        assert len(windows) == num_rolling(count, 4, stride)


def test_only_the_text_after_an_instruction_is_scored(tiny_causal: Path, rows: pa.Table) -> None:
    bare, _ = score(make(tiny_causal), rows)
    told, _ = score(make(tiny_causal, "instruction", instruction="the rain: "), rows)
    assert told.column("num_tokens").to_pylist()[0] == 0  # the empty text
    assert told.column("nll").to_pylist()[0] == 0.0
    assert told.column("nll").to_pylist()[1:] != bare.column("nll").to_pylist()[1:]


METHODS = {
    "full": {}, "top_layers": {"layers": 1}, "lora": {"rank": 4}, "prompt_tuning": {}, "prefix": {},
    "gradual_unfreeze": {},  # from its last block on, for it has no head to begin with
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["tiny_causal", "tiny_gpt2"])
def test_every_method_that_fits_foretells_its_training_texts_better(
    kind: str, method: str, rows: pa.Table, request: pytest.FixtureRequest
) -> None:
    """Against the same start: random prompts alone make a text less likely."""
    path, few = request.getfixturevalue(kind), rows.slice(6, 8)
    given = {"epochs": 3, "batch_size": 2, **METHODS[method]}
    _, before = score(make(path, method, learning_rate=1e-12, **given), few)
    _, after = score(make(path, method, learning_rate=0.02, **given), few)
    assert before["bits_per_byte"] is not None
    assert after["bits_per_byte"] is not None
    assert after["bits_per_byte"] < before["bits_per_byte"] - 0.01


@pytest.mark.parametrize("method", ["frozen", "nearest_neighbors", "gradient_boosting"])
def test_heads_on_features_are_incompatible_in_the_plan(tiny_causal: Path, method: str) -> None:
    with pytest.raises(IncompatibleError, match="causal-lm has no one vector a row"):
        check(ModelSpec(reference=str(tiny_causal)), get_task("causal-lm"), (), method)


def test_models_that_cannot_are_told_in_a_line(tiny_bert: Path) -> None:
    task = get_task("causal-lm")
    for spec, reason in [
        (ModelSpec(reference=str(tiny_bert)), "bert sees what comes after a word"),
        (ModelSpec(reference="arch:vit"), "vit predicts no next word"),
    ]:
        with pytest.raises(IncompatibleError, match=reason):
            check(spec, task, (), "full")
    scratch = ModelSpec(reference="arch:gpt2", tokenizer=str(tiny_bert))
    check(scratch, task, (), "full")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(scratch, task, (), "none")
    with pytest.raises(JobError, match=r"task_config.stride: 0"):
        get_task("causal-lm", {"stride": 0})


def test_logits_are_made_of_the_scored_places_alone_and_are_the_models_own(tiny_causal: Path) -> None:
    model = ModelSpec(reference=str(tiny_causal))
    dataset = make(model).dataset
    network = get_task("causal-lm").network(model, dataset, 0, own_head=True)
    assert isinstance(network, LanguageNetwork)
    assert open_config(model).vocab_size == 300
    ids = torch.arange(40).view(2, 20)
    places = torch.tensor([0, 7, 19, 20, 39])
    with torch.inference_mode():
        whole = network.backbone(input_ids=ids).logits.flatten(0, 1)
        few = network({"input_ids": ids, "positions": places})
        again = network.backbone(input_ids=ids).logits.flatten(0, 1)
    torch.testing.assert_close(few, whole[places], rtol=1e-5, atol=1e-5)
    assert torch.equal(whole, again)  # nothing stays behind in the model


def test_counts_of_bytes_sum_to_one_and_more_of_them_foretell_better(rows: pa.Table) -> None:
    from raybench.recipes.baselines.byte_ngrams import InterpolatedNgram, Unigram

    dataset, scores = make(ModelSpec(reference="baseline:unigram")).dataset, {}
    for name, baseline in (("unigram", Unigram()), ("interpolated-ngram", InterpolatedNgram())):
        arrays = baseline.fit(rows.slice(6), dataset, 0)
        every = pa.table({"id": ["a"] * 128, "text": ["the ba" + chr(code) for code in range(128)]})
        nll = baseline.outputs(arrays, every, dataset) - baseline.outputs(
            arrays, pa.table({"id": ["a"], "text": ["the ba"]}), dataset
        )
        # what is left is for the 128 bytes above ASCII, seen nowhere in training
        rest = 1 - np.exp(-nll).sum()
        assert 0 < rest < 0.1
        scores[name] = score(make(ModelSpec(reference=f"baseline:{name}")), rows, rows.slice(6))[1]["bits_per_byte"]
    assert scores["interpolated-ngram"] < scores["unigram"] < 8
