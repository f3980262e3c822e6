"""sentence-similarity: cosines are sentence-transformers' own, every pair is scored once, and it can be learned."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.core.errors import IncompatibleError
from raybench.metrics import MetricSet
from raybench.models.configuration import open_config
from raybench.models.pooling import pool, pooling_of
from raybench.models.tokenizer import open_tokenizer
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.tasks.catalog import get_task
from tests.tasks.as_planned import check

CPU = torch.device("cpu")
NAME = "sentence-similarity"


@pytest.fixture
def pairs(make_texts: Callable[..., pa.Table]) -> pa.Table:
    """Pairs of toy texts, one of an empty text, one of the same text twice; the value is their words' overlap."""
    rows = make_texts(24, seed=5)
    first, second = rows["text"].to_pylist(), make_texts(24, seed=6)["text"].to_pylist()
    first[0], second[0], second[1] = "", "ball", first[1]
    value = [5.0 * len(set(a.split()) & set(b.split())) / max(1, len(set(a.split()))) for a, b in zip(first, second)]  # noqa: B905
    return pa.table({"id": rows["id"], "text": first, "text_pair": second, "value": value})


def trial_of(model: ModelSpec, method: str, rows: pa.Table, **hyperparameters: Any) -> Trial:
    task = get_task(NAME)
    dataset = DatasetKey(
        name="toy", task=NAME, labels=(), fingerprint="toy", max_length=16, statistics=task.statistics(rows)
    )
    resolved = {} if model.baseline else get_method(method).resolve(hyperparameters)
    return Trial(
        trial_id=method, candidate="toy", model=model, dataset=dataset, method=method, hyperparameters=resolved, seed=0,
        weights_fingerprint=candidate_fingerprint(model),
    )  # fmt: skip


def predictions(trial: Trial, rows: pa.Table, *, fit: bool) -> np.ndarray:
    task = get_task(NAME)
    data = prepare_data(task, {"train": rows, "test": rows}, trial.model, trial.dataset)
    predictor = open_predictor(trial, fit_trial(trial, data.train, CPU) if fit else None, CPU)
    metrics = MetricSet(task.metrics, {})
    records = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records
    place = {name: i for i, name in enumerate(records["id"].to_pylist())}
    return records["prediction"].to_numpy()[[place[name] for name in rows["id"].to_pylist()]]


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
def test_cosines_are_those_of_sentence_transformers(
    pooling: str, tiny_bert: Path, pairs: pa.Table, tmp_path: Path
) -> None:
    """Brute force with transformers alone: one text at a time, without padding."""
    from transformers import AutoModel

    shutil.copytree(tiny_bert, tmp_path / "model")
    (tmp_path / "model" / "1_Pooling").mkdir()
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": pooling}))
    model = ModelSpec(reference=str(tmp_path / "model"))
    found = predictions(trial_of(model, "none", pairs), pairs, fit=False)
    network, tokenizer = AutoModel.from_pretrained(tiny_bert).eval(), open_tokenizer(model)

    @torch.inference_mode()
    def embed(text: str) -> torch.Tensor:
        hidden = network(**tokenizer(text, truncation=True, max_length=16, return_tensors="pt")).last_hidden_state[0]
        ways = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values, "lasttoken": hidden[-1]}
        return ways[pooling]

    values = pairs["value"].to_numpy()
    cosines = [torch.cosine_similarity(embed(a), embed(b), dim=0).item()
               for a, b in zip(pairs["text"].to_pylist(), pairs["text_pair"].to_pylist(), strict=True)]  # fmt: skip
    np.testing.assert_allclose(found, np.array(cosines) * np.ptp(values) + values.min(), atol=1e-5)
    assert found[1] == pytest.approx(values.max(), abs=1e-5)  # the same text twice


@pytest.mark.parametrize("method", ["full", "lora", "top_layers", "gradual_unfreeze", "prompt_tuning", "prefix"])
def test_fine_tuning_brings_cosines_nearer_to_the_values_of_its_rows(
    method: str, tiny_bert: Path, pairs: pa.Table
) -> None:
    task, losses = get_task(NAME), []
    for epochs in (1, 5):
        given = {"epochs": epochs, "batch_size": 8, "learning_rate": 2e-3, "warmup": 0.0, "decay": "constant"}
        trial = trial_of(ModelSpec(reference=str(tiny_bert)), method, pairs, **given)
        losses.append(fit_trial(trial, task.prepare(pairs, trial.model, 16), CPU).meta["loss"])
    assert losses[1] < losses[0]


@pytest.mark.parametrize("baseline", ["tfidf-cosine", "word-overlap"])
def test_baselines_find_the_same_text_most_alike(baseline: str, pairs: pa.Table) -> None:
    values = pairs["value"].to_numpy()
    trial = trial_of(ModelSpec(reference=f"baseline:{baseline}"), "full", pairs)
    found = predictions(trial, pairs, fit=True)
    assert found[1] == pytest.approx(values.max())
    assert found[0] == pytest.approx(values.min())  # an empty text


def test_what_a_checkpoint_does_beyond_pooling_is_refused_and_not_left_out(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "model")
    model, task = ModelSpec(reference=str(tmp_path / "model")), get_task(NAME)
    (tmp_path / "model" / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(IncompatibleError, match="Dense layer"):
        check(model, task, (), "none")
    (tmp_path / "model" / "modules.json").unlink()
    (tmp_path / "model" / "1_Pooling").mkdir()
    saved = {"pooling_mode_weightedmean_tokens": True}
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(IncompatibleError, match="pooled by weightedmean"):
        task.check(model, open_config(model))
    task.check(dataclasses.replace(model, pooling="mean"), open_config(model))


def test_a_head_on_features_and_random_weights_as_they_are_are_refused_in_a_line(tiny_bert: Path) -> None:
    model, task = ModelSpec(reference=str(tiny_bert)), get_task(NAME)
    with pytest.raises(IncompatibleError, match="frozen"):
        check(model, task, (), "frozen")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(dataclasses.replace(model, init="scratch"), task, (), "none")


def test_padding_counts_in_no_pooling() -> None:
    hidden = torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    for how in ("mean", "cls", "max", "last"):
        alone = pool(hidden[:1, :3], mask[:1, :3], how)
        torch.testing.assert_close(pool(hidden, mask, how)[:1], alone)
    assert pooling_of(ModelSpec(reference="arch:bert", pooling="max")) == "max"
