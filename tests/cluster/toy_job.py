"""A tiny real job: baselines, a frozen and a fine-tuned random BERT, and the rows they are compared on."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

PLUGINS = '''
"""Baselines that misbehave when a marker file says so; otherwise they are `majority`."""
import os, signal, sys, time
import numpy
from pathlib import Path
from raybench.recipes.baselines.majority import Majority

HERE = Path(__file__).parent

def first_time(name):
    try:
        (HERE / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

class DiesOnce(Majority):
    def outputs(self, arrays, rows, dataset):
        if first_time("died"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().outputs(arrays, rows, dataset)

class Exits(Majority):
    def outputs(self, arrays, rows, dataset):
        os._exit(7)

class LeavesFit(Majority):
    def fit(self, rows, dataset, seed):
        sys.exit(3)

class LeavesScoring(Majority):
    def outputs(self, arrays, rows, dataset):
        raise SystemExit("I have had enough")

class Greedy(Majority):
    def fit(self, rows, dataset, seed):
        numpy.empty(2**60, dtype="int8")

class HangsOnce(Majority):
    def fit(self, rows, dataset, seed):
        if first_time("hung"):
            time.sleep(10_000)
        return super().fit(rows, dataset, seed)

class Endless(Majority):
    def fit(self, rows, dataset, seed):
        while True:
            time.sleep(0.01)

class Raises(Majority):
    def fit(self, rows, dataset, seed):
        raise RuntimeError("the roof is on fire\\nwith details")

class Slow(Majority):
    def outputs(self, arrays, rows, dataset):
        first_time("slow")
        time.sleep(0.2)
        return super().outputs(arrays, rows, dataset)
'''


def save_tiny_bert(folder: Path) -> Path:
    """A directory with a random two-layer BERT and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(60))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


class JobFolder:
    """A job file with its data beside it, changed key by key."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "plugins.py").write_text(PLUGINS)
        rng = random.Random(0)
        for split, count in (("train", 40), ("test", 150)):
            rows = [row(rng) for _ in range(count)]
            columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
            table = pa.table({**columns, "source": [("web", "print")[len(text) % 2] for text, _ in rows]})
            pq.write_table(table, folder / f"{split}.parquet")
        self.job = {
            "name": "tiny",
            "store": str(folder / "store"),
            "candidates": [
                {"baseline": "majority"},
                {"baseline": "tfidf-logistic"},
                {"model": str(model), "name": "frozen", "method": "frozen", "grid": {"weight_decay": [0.01, 0.1]}},
                {"model": str(model), "name": "full", "method": {"name": "full", "epochs": 1}},
            ],
            "datasets": [
                {
                    "name": "words",
                    "source": "parquet",
                    "data_files": {"train": "train.parquet", "test": "test.parquet"},
                    "task": "text-classification",
                    "max_length": 32,
                    "slices": ["source"],
                }
            ],
            "metrics": ["accuracy", "macro_f1", "log_loss", "brier", "ece"],
            "rank_by": "macro_f1",
            "seeds": [0, 1],
            "resources": {"actors": 1, "shard_batches": 2},
        }

    def copy(self, folder: Path) -> JobFolder:
        """The same folder elsewhere, store and all."""
        shutil.copytree(self.folder, folder)
        other = JobFolder.__new__(JobFolder)
        other.folder, other.job = folder, json.loads(json.dumps(self.job)) | {"store": str(folder / "store")}
        return other

    def write(self, **changes) -> Path:
        job = json.loads(json.dumps(self.job | changes))
        path = self.folder / "job.yaml"
        path.write_text(yaml.safe_dump(job, sort_keys=False))
        return path


def row(rng):
    label = rng.choice("abc")
    start = {"a": 0, "b": 15, "c": 30}[label]
    words = [f"w{rng.randrange(start, start + 30)}" for _ in range(rng.randrange(3, 40))]
    return " ".join(words), label
