"""Likelihoods against lm-evaluation-harness (`lm_eval`, backend hf): the same numbers, and how many examples a second.

    pip install --no-deps lm_eval           # in an environment of its own, with what it then asks for
    python tests/bench/bench_likelihood.py equal [--model DIR]      # four of its YAML tasks on local data, a tiny model
    python tests/bench/bench_likelihood.py speed [--examples 40] [--batch-size 16]     # of SmolLM2-135M's shape, random

Four tasks made from BBC news (`raybench[quickstart]`): `perplexity` of articles longer than the model; `choice`, which
of four sentences goes on with an article; `few-shot`, the same after three answered ones; `topic` by the label's words.
Ours is timed from raw rows to records, theirs from built tasks to results; models are open before. Each is a process of
its own, ours with an actor's environment; they take turns, and the ratio is of processor seconds (medians) on one
thread, float32.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import yaml
from as_actors import processes

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.data.packaged import bbc_news
from raybench.metrics import MetricSet
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import open_predictor, score_shard
from raybench.tasks.catalog import get_task
from raybench.tasks.shots import draw_shots

TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 4096, "initializer_range": 0.2,
}  # fmt: skip
SMOLLM2_135M = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152,
}  # fmt: skip
TOPICS = {"business": "business", "entertainment": "entertainment", "politics": "politics", "sports": "sport",
          "tech": "technology"}  # fmt: skip
SHOTS = 3


class Asked(NamedTuple):
    """One task on both sides."""

    task: str
    config: dict[str, Any]
    labels: tuple[str, ...]
    train: pa.Table
    test: pa.Table
    max_length: int
    theirs: dict[str, Any]  # its YAML, without where the data lies


def checkpoint(shape: Mapping[str, Any], directory: Path) -> None:
    """A random Llama whose tokenizer has 4,096 pieces of bytes learned from BBC news."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator(bbc_news()["train"]["text"].to_pylist(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token="<|endoftext|>", pad_token="<|endoftext|>", model_max_length=2048
    )
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "tie_word_embeddings": True}
    config = AutoConfig.for_model("llama", **shape, **ids, max_position_embeddings=2048)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def sentences(split: str) -> list[list[str]]:
    """Articles as sentences of 40 characters and more, in plain ASCII."""
    found = []
    for text in bbc_news()[split]["text"].to_pylist():
        plain = re.sub(r"\s+", " ", text.encode("ascii", "ignore").decode()).strip()
        found.append([one.strip() for one in re.split(r"(?<=[.!?]) ", plain) if 40 <= len(one) <= 200])
    return [article for article in found if len(article) > 6]


def choices(split: str, count: int) -> pa.Table:
    """Three sentences of an article and four of which one follows; the others are of other articles."""
    articles, draw = sentences(split), np.random.default_rng(1)
    rows: dict[str, list[Any]] = {"id": [], "question": [], "choices": [], "label": []}
    for place in range(count):
        wrong = [articles[int(one)][4] for one in draw.choice(len(articles), 3, replace=False)]
        label = int(draw.integers(4))
        rows["id"].append(f"{split}{place:05d}")
        rows["question"].append(" ".join(articles[place][:3]))
        rows["choices"].append([*wrong[:label], articles[place][3], *wrong[label:]])
        rows["label"].append(label)
    return pa.table({**rows, "label": pa.array(rows["label"], pa.int32())})


def asked(count: int, long: int) -> dict[str, Asked]:
    """The four tasks; `long` is how many pieces the model is given of an article."""
    texts = [" ".join(article)[:2000] for article in sentences("test")[:count]]
    articles = pa.table({"id": [f"t{place:05d}" for place in range(count)], "text": texts})
    train, test = choices("train", 40), choices("test", count)
    news = bbc_news()["test"]
    names = sorted(set(news["label"].to_pylist()))
    pick = np.random.default_rng(2).permutation(news.num_rows)[:count]
    topics = pa.table(
        {
            "id": [f"n{place:05d}" for place in range(count)],
            "text": [news["text"][int(one)].as_py()[:300].encode("ascii", "ignore").decode().strip() for one in pick],
            "label": pa.array([names.index(news["label"][int(one)].as_py()) for one in pick], pa.int32()),
        }
    )
    choose = {
        "output_type": "multiple_choice", "doc_to_text": "Text: {{question}}\nNext:", "doc_to_choice": "choices",
        "doc_to_target": "label", "target_delimiter": " ",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }  # fmt: skip
    shown = {
        **choose, "num_fewshot": SHOTS, "fewshot_split": "train", "fewshot_config": {"sampler": "first_n"},
        "fewshot_delimiter": "\n\n",
    }  # fmt: skip
    template = {"template": "Text: {question}\nNext:"}
    perplexity = {
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}],
    }  # fmt: skip
    by_topic = {
        "output_type": "multiple_choice", "doc_to_text": "{{text}}\nThis is about", "target_delimiter": " ",
        "doc_to_choice": [TOPICS[name] for name in names], "doc_to_target": "label", "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    prompt = {"template": "{text}\nThis is about {answer}", "verbaliser": TOPICS}
    empty: tuple[str, ...] = ()
    return {
        "perplexity": Asked("causal-lm", {"stride": long}, empty, articles, articles, long, perplexity),
        "choice": Asked("multiple-choice", template, empty, train, test, 2048, choose),
        "few-shot": Asked("multiple-choice", {**template, "shots": SHOTS}, empty, train, test, 2048, shown),
        "topic": Asked("prompted-classification", prompt, tuple(names), topics, topics, 2048, by_topic),
    }


class Ours:
    """A model and a task, ready to score raw rows."""

    def __init__(self, path: Path, task: Asked) -> None:
        model = ModelSpec(reference=str(path))
        dataset = DatasetKey(
            name="bench", task=task.task, labels=task.labels, fingerprint="bench", max_length=task.max_length,
            task_config=task.config,
        )  # fmt: skip
        self.asked, self.task = task, get_task(task.task, task.config)
        self.trial = Trial(
            trial_id="bench", candidate="bench", model=model, dataset=dataset, method="none", hyperparameters={},
            seed=0, weights_fingerprint=candidate_fingerprint(model),
        )  # fmt: skip
        self.predictor = open_predictor(self.trial, None, torch.device("cpu"))
        self.metrics = MetricSet(self.task.metrics, self.task.metric_config(task.labels, {}))

    def run(self) -> tuple[pa.Table, dict[str, float | None]]:
        rows = {"train": self.asked.train, "test": self.asked.test}
        data = prepare_data(self.task, rows, self.trial.model, self.trial.dataset)
        batches = data.plan.batches(0, data.plan.num_batches)
        found = score_shard(self.predictor, data.test, batches, self.metrics)
        scores = self.metrics.compute(found.states, lambda: found.records)
        return found.records.sort_by("id"), {name: score.value for name, score in scores.items()}


class Theirs:
    """The same by lm_eval, its tasks built from YAML and data in a folder."""

    def __init__(self, path: Path, name: str, task: Asked, folder: Path, batch_size: int) -> None:
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager, get_task_dict

        here = folder / name
        here.mkdir()
        files = {"test": task.test, "train": draw_shots(task.train, SHOTS, 0).slice(0, SHOTS)}
        for split, rows in files.items():
            lines = [json.dumps(row) for row in rows.to_pylist()]
            (here / f"{split}.json").write_text("\n".join(lines))
        where = {
            "task": f"bench_{name}", "dataset_path": "json", "test_split": "test", "training_split": "train",
            "dataset_kwargs": {"data_files": {split: str(here / f"{split}.json") for split in files}},
        }  # fmt: skip
        (here / "task.yaml").write_text(yaml.safe_dump({**where, **task.theirs}))
        self.name = where["task"]
        self.lm = HFLM(
            pretrained=str(path), device="cpu", dtype="float32", batch_size=batch_size, max_length=task.max_length
        )
        self.tasks = get_task_dict([self.name], TaskManager(include_path=str(here), include_defaults=False))

    def run(self, *, samples: bool = False) -> tuple[list[Any], dict[str, float]]:
        from lm_eval.evaluator import evaluate

        found = evaluate(lm=self.lm, task_dict=self.tasks, bootstrap_iters=0, log_samples=samples)
        scores = {key.partition(",")[0]: value for key, value in found["results"][self.name].items()}
        return (found["samples"][self.name] if samples else []), scores


def some(tasks: dict[str, Asked], names: list[str]) -> dict[str, Asked]:
    return {name: tasks[name] for name in names or tasks}


def equal(path: Path, tasks: dict[str, Asked], folder: Path) -> None:
    for name, task in tasks.items():
        records, mine = Ours(path, task).run()
        samples, theirs = Theirs(path, name, task, folder, 8).run(samples=True)
        samples.sort(key=lambda one: one["doc"]["id"])
        if task.task == "causal-lm":
            pairs = [(metric, mine[metric], theirs[metric]) for metric in ("bits_per_byte", "word_perplexity")]
            nll = np.array([-one["resps"][0][0] for one in samples], dtype=float)
        else:
            names = ("accuracy",) if task.labels else ("choice_accuracy", "choice_accuracy_norm")
            pairs = [
                (metric, mine[metric], theirs[key]) for metric, key in zip(names, ("acc", "acc_norm"), strict=False)
            ]
            scores = np.array([[answer[0][0] for answer in one["resps"]] for one in samples], dtype=float)
            label = np.array(task.test["label"])
            nll = np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1)) + scores.max(1)
            nll -= scores[np.arange(len(label)), label]
            assert (records["prediction"].to_numpy() == scores.argmax(1)).all(), name
        apart = float(np.abs(records["nll"].to_numpy() - nll).max())
        shown = ", ".join(f"{metric} {a:.6f} | {b:.6f}" for metric, a, b in pairs)
        print(f"{name}: {shown}; nll of an example differs by {apart:.1e} at most, of {nll.mean():.2f} on average")
        for metric, a, b in pairs:
            assert a is not None
            assert abs(a - b) <= 1e-5 * abs(b), (name, metric, a, b)
        assert apart <= 1e-4 * np.abs(nll).max(), name


def speed(path: Path, tasks: dict[str, Asked], batch_size: int, turns: int, folder: Path) -> None:
    for name, task in tasks.items():
        count = task.test.num_rows
        took: dict[str, list[float]] = {"ours": [], "lm_eval": []}
        with (
            processes(1, _open_ours, (path, task)) as ours,
            ProcessPoolExecutor(
                1, get_context("spawn"), initializer=_open_theirs, initargs=(path, name, task, folder, batch_size)
            ) as theirs,
        ):
            for _ in range(turns):
                for side, pool in (("ours", ours), ("lm_eval", theirs)):
                    took[side].append(pool.submit(_processor_seconds).result())
        mine, other = (float(np.median(seconds)) for seconds in took.values())
        print(
            f"{name}: {count / mine:.2f} examples a processor second, lm_eval {count / other:.2f}: "
            f"{other / mine:.2f} times as many",
            flush=True,
        )


_OPEN: list[Ours | Theirs] = []  # in a process of one side, the one thing that it has open


def _open_ours(path: Path, task: Asked) -> None:
    torch.set_num_threads(1)
    _OPEN.append(Ours(path, task))


def _open_theirs(path: Path, name: str, task: Asked, folder: Path, batch_size: int) -> None:
    torch.set_num_threads(1)
    _OPEN.append(Theirs(path, name, task, folder, batch_size))


def _processor_seconds() -> float:
    began = time.process_time()
    _OPEN[0].run()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["equal", "speed"])
    parser.add_argument("--model", type=Path, help="a causal checkpoint, in place of a random one")
    parser.add_argument("--examples", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=16, help="of lm_eval")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tasks", nargs="*", default=[], help="of perplexity, choice, few-shot, topic; without: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = options.model
        if path is None:
            path = Path(folder) / "model"
            checkpoint(TINY if options.what == "equal" else SMOLLM2_135M, path)
        if options.what == "equal":
            equal(path, some(asked(options.examples, 200), options.tasks), Path(folder))
        else:
            tasks = some(asked(options.examples, 256), options.tasks)
            speed(path, tasks, options.batch_size, options.turns, Path(folder))


if __name__ == "__main__":
    main()
