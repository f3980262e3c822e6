"""What is wrong with a candidate's files is a status of its trials, with the file named; the others are planned."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.models.backbone import open_backbone
from raybench.models.configuration import _open
from raybench.models.tokenizer import _open as _open_tokenizer

Change = Callable[[Path], Any]
Write = Callable[..., None]

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"
CANDIDATES = "  - baseline: {}\n  - {{model: ./m, name: m, method: {}}}"


@pytest.fixture(autouse=True)
def _opened_anew() -> None:
    _open.cache_clear()
    _open_tokenizer.cache_clear()


def config(**changes: Any) -> Change:
    def change(model: Path) -> None:
        saved = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(saved | changes))

    return change


def holds(name: str, content: bytes | str) -> Change:
    return lambda model: (model / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(name: str, stop: int) -> Change:
    return lambda model: (model / name).write_bytes((model / name).read_bytes()[:stop])


def in_shards(index: str) -> Change:
    def change(model: Path) -> None:
        (model / "model.safetensors").rename(model / "model-1.safetensors")
        (model / "model.safetensors.index.json").write_text(index)

    return change


def pooling(content: str) -> Change:
    return lambda model: ((model / "1_Pooling").mkdir(), (model / "1_Pooling/config.json").write_text(content))


def gone(name: str) -> Change:
    return lambda model: ((model / name).unlink(), (model / name).symlink_to("nowhere"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (config(hidden_size="abc"), "m/config.json cannot be used: StrictDataclassFieldValidationError: Validation"),
        (config(num_hidden_layers=None), "m/config.json cannot be used"),
        (config(vocab_size="x"), "m/config.json cannot be used"),
        (config(hidden_size=-3), "its configuration says hidden_size -3; want a whole number from 1"),
        (config(hidden_size=0), "its configuration says hidden_size 0"),
        (config(id2label=["a", "b"]), "m/config.json cannot be used"),
        (config(id2label=3), "m/config.json cannot be used"),
        (config(architectures=[1]), "m/config.json: architectures: want a list of names"),
        (config(architectures="BertModel"), "m/config.json: architectures: want a list of names"),
        (config(model_type="berty"), "m/config.json cannot be used"),
        (config(dtype="float99"), "m/config.json cannot be used"),
        (config(max_position_embeddings=-1), "its configuration says max_position_embeddings -1"),
        (holds("tokenizer_config.json", '{"model_max_length": "many"}'), "model_max_length 'many': want a number"),
        (pooling("{"), "m/1_Pooling/config.json cannot be read: JSONDecodeError"),
        (pooling("[]"), "m/1_Pooling/config.json: want an object of keys and values, got list"),
        (holds("config.json", "[1]"), "m/config.json cannot be used"),
        (holds("config.json", '{"a": '), "m/config.json cannot be used"),
        (holds("config.json", b"\xff\xfe\x00"), "m/config.json cannot be used"),
        (holds("config.json", "[" * 100_000), "m/config.json cannot be used: RecursionError"),
        (holds("config.json", POINTER), "m/config.json cannot be used"),
        (holds("tokenizer.json", '{"a"'), "m: cannot be opened"),
        (holds("tokenizer.json", "{}"), "m: cannot be opened"),
        (holds("tokenizer_config.json", "[]"), "m: cannot be opened: AttributeError"),
        (holds("model.safetensors", b""), "m/model.safetensors is empty; copy the checkpoint anew"),
        (holds("model.safetensors", b"x" * 1000), "m/model.safetensors is torn or not safetensors (SafetensorError"),
        (holds("model.safetensors", POINTER), "m/model.safetensors is a git-lfs pointer, not the weights: run git lfs"),
        (holds("model.safetensors", struct.pack("<Q", 2) + b"{}"), "m/model.safetensors holds no weights"),
        (cut("model.safetensors", -100), "m/model.safetensors is torn"),
        (cut("model.safetensors", 100), "m/model.safetensors is torn"),
        (gone("model.safetensors"), "m/model.safetensors: cannot be read: No such file or directory"),
        (in_shards('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'), "names model-2.safet"),
        (in_shards("{torn"), "m/model.safetensors.index.json is torn"),
        (in_shards("{}"), "m/model.safetensors.index.json is torn or no index of weights (KeyError: 'weight_map')"),
    ],
)
def test_a_file_of_a_candidate_that_is_torn_or_nonsense_fails_its_trials_alone(
    folder: Path, job: Write, spoiled: Callable[..., str], tiny_bert: Path, change: Change, words: str
) -> None:
    shutil.copytree(tiny_bert, folder / "m")
    change(folder / "m")
    job(CANDIDATES.format("majority", "frozen"))
    line = spoiled()
    assert words in line
    assert str(folder / "m") in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (config(vocab_size=3), "embeddings.word_embeddings.weight is [32, 32], not [3, 32]"),
        (config(hidden_size=33), "The hidden size (33) is not a multiple of the number of attention heads (4)"),
        (config(hidden_act="nope"), "KeyError: 'nope'"),
        (config(num_hidden_layers=4), "its weights lack 16 of the network's parameters"),
    ],
)
def test_weights_that_do_not_fit_their_configuration_say_where(
    folder: Path, tiny_bert: Path, change: Change, words: str
) -> None:
    shutil.copytree(tiny_bert, folder / "m")
    change(folder / "m")
    with pytest.raises(ModelError, match=re.escape(words)):
        open_backbone(ModelSpec(reference=str(folder / "m")), seed=0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("config: {hidden_size: abc}", "config.hidden_size 'abc' cannot be used"),
        ("config: {num_hidden_layers: [1]}", "config.num_hidden_layers [1] cannot be used"),
        ("config: {hidden_size: -1}", "its configuration says hidden_size -1"),
        ("tokenizer: ./nowhere", "nowhere"),
        ("tokenizer: ./train.csv", "is a file; give the directory"),
    ],
)
def test_an_override_that_the_architecture_refuses_fails_its_trials_alone(
    folder: Path, job: Write, spoiled: Callable[..., str], tiny_bert: Path, more: str, words: str
) -> None:
    job(CANDIDATES.format("majority", f"frozen, {more}").replace("./m", str(tiny_bert)))
    assert words in spoiled()


def test_more_top_layers_than_there_are_is_known_before_anything_starts(
    job: Write, spoiled: Callable[..., str], tiny_bert: Path
) -> None:
    job(CANDIDATES.format("majority", "{name: top_layers, layers: 9}").replace("./m", str(tiny_bert)))
    assert "top_layers wants the last 9 layers, and there are 3; 0 to 3 would do" in spoiled("incompatible")


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("RuntimeError('boom\\nand more')", "RuntimeError: boom and more"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("MemoryError", "MemoryError"),
    ],
)
def test_code_of_a_method_that_raises_or_exits_while_planning_fails_its_trials_alone(
    folder: Path, job: Write, spoiled: Callable[..., str], tiny_bert: Path, raised: str, words: str
) -> None:
    (folder / "own_checked.py").write_text(
        "from raybench.recipes.methods.full import Full\n"
        "class Mine(Full):\n"
        "    name = 'mine'\n"
        "    def check(self, model, hyperparameters):\n"
        f"        raise {raised}\n"
    )
    job(CANDIDATES.format("majority", "'own_checked:Mine'").replace("./m", str(tiny_bert)))
    assert words in spoiled()


PICTURES = "{name: pics, source: imagefolder, data_files: {train: train, test: test}, task: image-classification}"


@pytest.fixture
def vit(folder: Path) -> Path:
    """A ViT for pictures of 8 × 8, and pictures."""
    from transformers import ViTConfig, ViTModel

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    ViTModel(ViTConfig(**shape, image_size=8, patch_size=4)).save_pretrained(folder / "m")
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(12):
            inside = folder / split / "ab"[number % 2]
            inside.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(inside / f"{number}.png")
    return folder / "m"


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ("{", "cannot be read: JSONDecodeError"),
        ("\x00\x01", "cannot be read: JSONDecodeError"),
        ("[]", "want an object of keys and values, got list"),
        ('{"size": {"longest_edge": 8}}', "size: {'longest_edge': 8} cannot be used; want height and width"),
        ('{"size": "x"}', "size: 'x' cannot be used"),
        ('{"size": [8]}', "size: [8] cannot be used"),
        ('{"size": {"height": -1, "width": 8}}', "size: {'height': -1, 'width': 8} cannot be used"),
        ('{"size": 100000000}', "of 1 to 16384 pixels"),
        ('{"crop_size": {"height": "x", "width": 3}}', "crop_size: {'height': 'x', 'width': 3} cannot be used"),
        ('{"image_mean": "x"}', "image_mean: 'x' cannot be used; want a number for each of 3 channels"),
        ('{"image_mean": [1, 2]}', "image_mean: [1, 2] cannot be used"),
        ('{"image_std": [0, 0, 0]}', "image_std: [0, 0, 0] cannot be used; want a number other than 0"),
    ],
)
def test_a_preprocessor_that_is_torn_or_nonsense_fails_its_trials_alone(
    vit: Path, job: Write, spoiled: Callable[..., str], saved: str, words: str
) -> None:
    (vit / "preprocessor_config.json").write_text(saved)
    job(CANDIDATES.format("pixels-logistic", "frozen"), PICTURES)
    line = spoiled()
    assert f"{vit}/preprocessor_config.json" in line
    assert words in line


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"num_channels": 7}, "incompatible", "reads 7 channels; pictures here have 1 (grey) or 3"),
        ({"num_channels": 0}, "failed", "num_channels 0"),
        ({"patch_size": 0}, "failed", "patch_size 0"),
        ({"patch_size": "x"}, "failed", "patch_size"),
        ({"image_size": "x"}, "failed", "image_size"),
    ],
)
def test_sizes_of_pictures_that_are_nonsense_fail_its_trials_alone(
    vit: Path, job: Write, spoiled: Callable[..., str], changes: dict[str, Any], status: str, words: str
) -> None:
    config(**changes)(vit)
    job(CANDIDATES.format("pixels-logistic", "frozen"), PICTURES)
    assert words in spoiled(status)
