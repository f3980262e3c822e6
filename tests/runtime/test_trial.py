"""Fitting and scoring in one process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import DataError, DivergedError
from raybench.metrics import MetricSet
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.trial import (
    Checkpoint,
    ShardResult,
    fit_bundle,
    fit_trial,
    needs_fit,
    open_predictor,
    score_shard,
)
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
Rows = Callable[..., pa.Table]
MakeTrial = Callable[..., Trial]


def prepare(trial: Trial, rows: Rows, *, train: int = 60, test: int = 50, repeat: int = 0) -> PreparedData:
    task = get_task(trial.dataset.task)
    splits = {"train": rows(train), "test": rows(test, seed=1, repeat=repeat), "validation": rows(30, seed=2)}
    return prepare_data(task, splits, trial.model, trial.dataset)


def score(
    trial: Trial,
    checkpoint: Checkpoint | None,
    data: PreparedData,
    step: int = 100,
    where: Workspace | torch.device = CPU,
) -> list[ShardResult]:
    task = get_task(trial.dataset.task)
    metrics = MetricSet(task.metrics, task.metric_config(trial.dataset.labels, {}))
    predictor = open_predictor(trial, checkpoint, where)
    count = data.plan.num_batches
    return [
        score_shard(predictor, data.test, data.plan.batches(start, min(start + step, count)), metrics)
        for start in range(0, count, step)
    ]


def records(results: list[ShardResult]) -> pa.Table:
    return pa.concat_tables([result.records for result in results]).combine_chunks()


def same_arrays(a: Checkpoint, b: Checkpoint) -> bool:
    return a.arrays.keys() == b.arrays.keys() and all(np.array_equal(a.arrays[n], b.arrays[n]) for n in a.arrays)


METHODS: list[tuple[str, dict[str, Any]]] = [
    ("frozen", {}),
    ("frozen", {"learning_rate": 0.01, "epochs": 5}),
    ("full", {"epochs": 2, "learning_rate": 1e-3}),
    ("nearest_neighbors", {}),
    ("gradient_boosting", {"rounds": 5}),
]


@pytest.mark.parametrize(("method", "hyperparameters"), METHODS)
def test_a_trial_has_the_same_bits_again_whatever_ran_before(
    method: str,
    hyperparameters: dict[str, Any],
    tiny_bert: Path,
    make_texts: Rows,
    make_trial: MakeTrial,
) -> None:
    trial = make_trial(tiny_bert, method, **hyperparameters)
    data = prepare(trial, make_texts)
    first = fit_trial(trial, data.train, CPU)
    torch.manual_seed(99)
    fit_trial(make_trial(tiny_bert, "full", seed=7, epochs=1), data.train, CPU)
    assert same_arrays(first, fit_trial(trial, data.train, CPU))
    if "learning_rate" in hyperparameters:
        other = make_trial(tiny_bert, method, seed=1, **hyperparameters)
        assert not same_arrays(first, fit_trial(other, data.train, CPU))


@pytest.mark.parametrize(("method", "hyperparameters"), METHODS)
def test_records_do_not_depend_on_how_batches_are_cut_into_shards(
    method: str,
    hyperparameters: dict[str, Any],
    tiny_bert: Path,
    make_texts: Rows,
    make_trial: MakeTrial,
) -> None:
    trial = make_trial(tiny_bert, method, **hyperparameters)
    data = prepare(trial, make_texts, repeat=3)
    checkpoint = fit_trial(trial, data.train, CPU)
    whole = records(score(trial, checkpoint, data))
    assert whole.num_rows == 50
    assert sorted(whole.column("id").to_pylist()) == sorted(data.test.column("id").to_pylist())
    for step in (1, 2, 3):
        assert records(score(trial, checkpoint, data, step)).equals(whole)


def test_a_fit_learns(tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial) -> None:
    for method, hyperparameters in METHODS:
        trial = make_trial(tiny_bert, method, **hyperparameters)
        data = prepare(trial, make_texts, train=400)
        table = records(score(trial, fit_trial(trial, data.train, CPU), data))
        right = np.mean(table.column("prediction").to_numpy() == table.column("target").to_numpy())
        assert right > 0.5, (method, right)


def test_a_bundle_gives_every_trial_the_bits_it_has_alone(
    tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial
) -> None:
    trials = [
        make_trial(tiny_bert, "frozen", seed=seed, learning_rate=rate, epochs=3)
        for rate in (0.1, 0.01)
        for seed in (0, 1)
    ]
    trials += [make_trial(tiny_bert, "full", epochs=1), make_trial(ModelSpec(reference="baseline:majority"))]
    data = prepare(trials[0], make_texts)
    for trial, fitted in zip(trials, fit_bundle(trials, data.train, CPU), strict=True):
        assert isinstance(fitted, Checkpoint)
        assert same_arrays(fitted, fit_trial(trial, data.train, CPU))


def test_one_trial_that_fails_stops_no_other(tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial) -> None:
    wild = make_trial(tiny_bert, "full", epochs=1, learning_rate=1e30, warmup=0.0, decay="constant", batch_size=4)
    data = prepare(wild, make_texts)
    diverged, fitted = fit_bundle([wild, make_trial(tiny_bert, "frozen")], data.train, CPU)
    assert isinstance(diverged, DivergedError)
    assert isinstance(fitted, Checkpoint)


def test_frozen_scores_the_same_with_cold_and_warm_features(
    tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial
) -> None:

    trial = make_trial(tiny_bert, "frozen")
    data = prepare(trial, make_texts, repeat=4)
    checkpoint, workspace = fit_trial(trial, data.train, CPU), Workspace(CPU)
    cold = records(score(trial, checkpoint, data, where=workspace))
    assert records(score(trial, checkpoint, data, where=workspace)).equals(cold)


def test_none_scores_the_checkpoints_own_head_in_the_datasets_order(
    tiny_classifier: Path, make_texts: Rows, make_trial: MakeTrial
) -> None:
    from transformers import AutoModelForSequenceClassification

    trial = make_trial(tiny_classifier, "none")
    assert not needs_fit(trial)
    data = prepare(trial, make_texts, test=9)
    table = records(score(trial, None, data))
    model = AutoModelForSequenceClassification.from_pretrained(tiny_classifier).eval()
    for row in range(9):
        ids = torch.tensor([data.test.column("input_ids")[row].as_py()])
        log_odds = torch.softmax(model(input_ids=ids).logits[0], -1).logit()[[1, 2, 0]]  # money, sport, weather
        np.testing.assert_allclose(table.column("scores")[row].as_py(), log_odds.detach().numpy(), atol=1e-5)


def test_full_starts_from_the_checkpoints_own_head(
    tiny_classifier: Path, make_texts: Rows, make_trial: MakeTrial
) -> None:
    trial = make_trial(tiny_classifier, "full", epochs=1, learning_rate=1e-12)
    data = prepare(trial, make_texts, test=9)
    before = records(score(make_trial(tiny_classifier, "none"), None, data))
    after = records(score(trial, fit_trial(trial, data.train, CPU), data))
    np.testing.assert_allclose(after.column("nll").to_numpy(), before.column("nll").to_numpy(), atol=1e-5)


def test_scratch_weights_come_from_the_trials_seed(tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial) -> None:
    model = ModelSpec(reference=str(tiny_bert), init="scratch")
    trials = [make_trial(model, "full", seed=seed, epochs=1, learning_rate=1e-9) for seed in (0, 0, 1)]
    data = prepare(trials[0], make_texts)
    first, again, other = (fit_trial(trial, data.train, CPU) for trial in trials)
    assert same_arrays(first, again)
    assert not same_arrays(first, other)


def test_early_stopping_keeps_the_best_epochs_state(tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial) -> None:
    options = {"learning_rate": 0.02, "decay": "constant", "warmup": 0.0, "head": "random"}
    trial = make_trial(tiny_bert, "full", epochs=6, patience=1, **options)
    data = prepare(trial, make_texts)
    stopped = fit_trial(trial, data.train, CPU, validation=data.validation)
    best = stopped.meta["best_epoch"]
    assert stopped.meta["steps"] < 6 * 4
    shorter = fit_trial(make_trial(tiny_bert, "full", epochs=best + 1, **options), data.train, CPU)
    assert same_arrays(stopped, shorter)
    with pytest.raises(DataError, match="validation split"):
        fit_trial(trial, data.train, CPU)


def test_micro_batches_do_not_change_the_step(tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial) -> None:
    model = ModelSpec(
        reference=str(tiny_bert), config={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    )
    whole = make_trial(model, "full", epochs=1, learning_rate=1e-3)
    data = prepare(whole, make_texts)
    small = make_trial(model, "full", epochs=1, learning_rate=1e-3, micro_batch_tokens=64)
    a, b = fit_trial(whole, data.train, CPU), fit_trial(small, data.train, CPU)
    assert b.meta["micro_batch_tokens"] == 64
    for name in a.arrays:
        np.testing.assert_allclose(a.arrays[name], b.arrays[name], atol=2e-4)


def test_a_checkpoint_comes_back_from_bytes_and_file(tmp_path: Path) -> None:
    checkpoint = Checkpoint(arrays={"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, meta={"loss": 0.5, "n": [1]})
    checkpoint.save(tmp_path / "x.safetensors")
    for back in (Checkpoint.from_bytes(checkpoint.to_bytes()), Checkpoint.load(tmp_path / "x.safetensors")):
        assert same_arrays(back, checkpoint)
        assert back.meta == checkpoint.meta


def test_a_fit_knows_its_cost(tiny_bert: Path, make_texts: Rows, make_trial: MakeTrial) -> None:
    frozen, full = make_trial(tiny_bert, "frozen"), make_trial(tiny_bert, "full", epochs=1)
    data = prepare(frozen, make_texts)
    head, all_of_it = (fit_trial(trial, data.train, CPU).meta for trial in (frozen, full))
    assert head["params_trained"] == 32 * 3 + 3
    assert all_of_it["params_trained"] == all_of_it["params_total"] == head["params_total"]
    assert 2 < all_of_it["flops"] / head["flops"] < 4  # forward and backward against forward
    assert all_of_it["fit_seconds"] > 0


def test_fitting_and_scoring_import_no_ray() -> None:
    code = "import sys, raybench.runtime.trial, raybench.runtime.prepare; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
