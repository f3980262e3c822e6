"""What tests share: small models and rows made from a seed, and a command line run in this process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

from raybench.core import DatasetKey, ModelSpec, Trial

LABELS = ("money", "sport", "weather")
WORDS = {
    "money": ["bank", "profit", "loan", "market", "price"],
    "sport": ["ball", "goal", "team", "match", "coach"],
    "weather": ["rain", "wind", "storm", "sun", "cloud"],
}
FILLER = ["the", "a", "of", "and", "in", "some", "new", "old", "said", "on"]

# The same examples each time; and how long one takes says how busy the machine is.
settings.register_profile("raybench", deadline=None, derandomize=True, database=None)
settings.load_profile("raybench")

FIRST = ("tests/cluster/test_run.py", "tests/cluster/test_kills.py", "tests/cluster/", "tests/runtime/", "tests/tasks/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, or the others would wait for it in the end."""
    items.sort(key=lambda item: next((n for n, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)))


def pytest_collection_finish() -> None:
    """What is imported by then stays, and is not looked through again: that took a twentieth of all tests."""
    gc.freeze()
    gc.set_threshold(700, 10, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process does whole files; those with Ray, which wait much, begin early.

    A cluster costs a processor ten seconds, so there are two: one of the two longest files, and one of the others.
    Those that bring their own Ray go where there is room. Tests of the page share reports that take seconds to make.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith("tests/report/page/"):
                return "pages"
            if not file.startswith("tests/cluster/") or file.endswith(("test_features.py", "test_connection.py")):
                return file
            return "one cluster" if file in FIRST else "another cluster"

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch  # not above: xdist's own process reads this file too, and needs none

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _memory_alone() -> None:
    os.environ["RAYBENCH_CACHE"] = ""


class Said(NamedTuple):
    """What a command wrote and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """`raybench` with these arguments, in this process, in which all is then as it was."""
    from raybench.cli import main

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    path, modules = sys.path.copy(), set(sys.modules)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["raybench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    sys.path[:] = path
    for name in [name for name in set(sys.modules) - modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.fixture
def mount_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a real file system of a size, such as "64k"; skips where that is not allowed."""
    folder = tmp_path / "disk"

    def mount(size: str) -> Path:
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip(f"no right to mount a file system here: {done.stderr.decode().strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 3 layers and 32 features with random weights and a tokenizer of the toy words."""
    import torch
    from transformers import BertConfig, BertModel

    path = tmp_path_factory.mktemp("models") / "tiny-bert"
    torch.manual_seed(1)
    config = BertConfig(**_SHAPE)
    BertModel(config).save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shape saved with a head for the toy labels, in another order and case."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    path = tmp_path_factory.mktemp("models") / "tiny-classifier"
    torch.manual_seed(2)
    names = ["Weather", "MONEY", "sport"]
    config = BertConfig(**_SHAPE, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    BertForSequenceClassification(config).save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


_SHAPE = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *FILLER, *(word for some in WORDS.values() for word in some)]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="session")
def make_texts() -> Callable[..., pa.Table]:
    """Rows of toy texts, 1 to 40 words long; every `repeat`-th is a copy of the one before."""

    def make(count: int, seed: int = 0, repeat: int = 0) -> pa.Table:
        draw = np.random.default_rng(seed)
        texts, labels = [], []
        for row in range(count):
            if repeat and row % repeat == repeat - 1:
                texts.append(texts[-1])
                labels.append(labels[-1])
                continue
            label = int(draw.integers(len(LABELS)))
            own = draw.choice(WORDS[LABELS[label]], size=int(draw.integers(1, 6)))
            filler = draw.choice(FILLER, size=int(draw.integers(0, 35)))
            texts.append(" ".join(draw.permutation(np.concatenate([own, filler])).tolist()))
            labels.append(label)
        ids = [f"{seed}-{row}" for row in range(count)]
        return pa.table({"id": ids, "text": texts, "label": pa.array(labels, type=pa.int32())})

    return make


@pytest.fixture(scope="session")
def make_trial() -> Callable[..., Trial]:
    """A trial of a method with hyperparameters as a planner would make it."""
    from raybench.recipes.fingerprint import candidate_fingerprint
    from raybench.recipes.methods.catalog import get_method

    def make(
        model: ModelSpec | Path | str,
        method: str = "frozen",
        *,
        seed: int = 0,
        task: str = "text-classification",
        labels: tuple[str, ...] = LABELS,
        **hyperparameters: Any,
    ) -> Trial:
        spec = model if isinstance(model, ModelSpec) else ModelSpec(reference=str(model))
        resolved: dict[str, Any] = {}
        if spec.baseline is None:
            resolved = get_method(method).resolve(hyperparameters)
            spec = get_method(method).adapt(spec, resolved)
        dataset = DatasetKey(name="toy", task=task, labels=labels, fingerprint="toy-rows", max_length=48)
        return Trial(
            trial_id=f"{spec.reference}:{method}:{seed}:{sorted(hyperparameters.items())}",
            candidate="toy",
            model=spec,
            dataset=dataset,
            method=method,
            hyperparameters=resolved,
            seed=seed,
            weights_fingerprint=candidate_fingerprint(spec),
        )

    return make
