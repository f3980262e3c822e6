"""Weights in the hub's cache, of its true layout: the identity of the same files elsewhere, never a torn download's."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.models.fingerprint import weights_fingerprint

COMMIT = "a" * 40
MODEL = ModelSpec(reference="own/tiny", revision=COMMIT)


@pytest.fixture
def weights(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The blob of a model in a cache as huggingface_hub lays it out.

    Its snapshot has links to blobs: large files by their SHA-256, small ones by git's SHA-1.
    """
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot, blobs = (tmp_path / "hub/models--own--tiny" / name for name in (f"snapshots/{COMMIT}", "blobs"))
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in tiny_bert.iterdir():
        data = file.read_bytes()
        is_large = file.suffix == ".safetensors"
        name = hashlib.sha256(data) if is_large else hashlib.sha1(b"blob %d\0" % len(data) + data)
        (blobs / name.hexdigest()).write_bytes(data)
        (snapshot / file.name).symlink_to(os.path.relpath(blobs / name.hexdigest(), snapshot))
    return (snapshot / "model.safetensors").resolve()


def test_the_same_files_are_the_same_weights_wherever_they_lie(weights: Path, tiny_bert: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_bert, copy)
    assert weights_fingerprint(MODEL) == weights_fingerprint(ModelSpec(reference=str(copy)))


@pytest.mark.parametrize("tear", [lambda data: data[:-64] + bytes(64), lambda data: data + b"\0"])
def test_a_blob_that_is_not_what_its_name_says_is_one_line(tear: Callable[[bytes], bytes], weights: Path) -> None:
    weights_fingerprint(MODEL)
    weights.write_bytes(tear(weights.read_bytes()))
    with pytest.raises(ModelError) as caught:
        weights_fingerprint(MODEL)
    assert "its bytes are not those of the hub" in str(caught.value)
    assert weights.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_small_files_may_be_edited_in_place_and_are_another_model(weights: Path) -> None:
    before = weights_fingerprint(MODEL)
    config = weights.parents[1] / "snapshots" / COMMIT / "config.json"
    config.write_text(
        config.read_text().replace('"attention_probs_dropout_prob": 0.1', '"attention_probs_dropout_prob": 0.2')
    )
    assert weights_fingerprint(MODEL) != before
