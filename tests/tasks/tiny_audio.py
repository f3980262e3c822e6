"""Sounds and small networks that read them, made from a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.data.sounds import sound_array

RATE = 16_000
WAV2VEC2 = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "num_codevectors_per_group": 8,
}  # fmt: skip
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 16, "max_source_positions": 50,
    "max_target_positions": 64, "init_std": 0.4,
}  # fmt: skip
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLU"]
_WORDS = ["ten", "nine", "one", "sun", "red", "east", "note", ""]


def tone(seed: int, seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """float32 [T] or [T, channels]: two tones and some noise, with pauses."""
    draw = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    low, high = draw.uniform(100, 400), draw.uniform(500, 2000)
    sound = 0.3 * np.sin(2 * np.pi * low * time) + 0.2 * np.sin(2 * np.pi * high * time)
    sound *= np.sin(2 * np.pi * 1.5 * time) > -0.7
    sound = sound + draw.normal(0, 0.01, len(time))
    whole = sound if channels == 1 else np.stack([sound * (1 - place / 2) for place in range(channels)], axis=1)
    return whole.astype(np.float32)


def sounds(count: int, longest: float = 2.6, rate: int = RATE) -> pa.Table:
    """Rows of sounds from 0.03 to `longest` seconds with text and label; one stands twice, one has two channels."""
    seconds = np.geomspace(0.03, longest, count)
    made = [(tone(place, float(long), rate), rate) for place, long in enumerate(seconds)]
    made[3] = made[2]
    made[4] = (tone(4, 0.7, 8000, channels=2), 8000)
    texts = [f"{_WORDS[place % 8]} {_WORDS[place % 3]}".strip() for place in range(count)]
    label = pa.array(np.arange(count) % 3, pa.int32())
    ids = [f"s{place}" for place in range(count)]
    return pa.table({"id": ids, "audio": sound_array(made), "text": texts, "label": label})


def save_ctc(path: Path, *, norm: str = "layer") -> Path:
    """A wav2vec 2.0 with a head of capitals."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    torch.manual_seed(1)
    config = Wav2Vec2Config(
        **WAV2VEC2, vocab_size=len(LETTERS), pad_token_id=0, feat_extract_norm=norm, initializer_range=0.5
    )
    Wav2Vec2ForCTC(config).save_pretrained(path)
    (path / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(LETTERS)}))
    Wav2Vec2CTCTokenizer(path / "vocab.json").save_pretrained(path)
    Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(path)
    return path


def save_whisper(path: Path, *, languages: bool = False) -> Path:
    """A Whisper whose windows are a second long, that writes bytes; with `languages` it has some to choose from."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.manual_seed(2)
    path.mkdir(parents=True, exist_ok=True)
    ids = _save_bytes(path)
    tokens = {
        "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"], "decoder_start_token_id": ids["<|startoftranscript|>"],
    }  # fmt: skip
    model = WhisperForConditionalGeneration(WhisperConfig(**WHISPER, vocab_size=len(ids), **tokens))
    asked: dict[str, Any] = {
        **tokens, "no_timestamps_token_id": ids["<|notimestamps|>"], "is_multilingual": languages,
        "suppress_tokens": [5, 6], "begin_suppress_tokens": [ids["<|endoftext|>"], 7], "return_timestamps": False,
        "_from_model_config": False,
    }  # fmt: skip
    if languages:
        asked["lang_to_id"] = {name: ids[name] for name in ("<|en|>", "<|fr|>")}
        asked |= {
            "task_to_id": {name: ids[f"<|{name}|>"] for name in ("transcribe", "translate")},
            "task": "transcribe",
        }
    for name, value in asked.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(path)
    WhisperFeatureExtractor(feature_size=WHISPER["num_mel_bins"], chunk_length=1).save_pretrained(path)
    return path


def _save_bytes(path: Path) -> dict[str, int]:
    """Whisper's tokenizer of single bytes; all tokens by their names."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|translate|>", "<|transcribe|>",
         "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    )  # fmt: skip
    tokenizer.save(str(path / "tokenizer.json"))
    end = "<|endoftext|>"
    settings = {"tokenizer_class": "WhisperTokenizer", "bos_token": end, "eos_token": end, "unk_token": end,
                "pad_token": end, "add_prefix_space": False, "model_max_length": 64}  # fmt: skip
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return dict(tokenizer.get_vocab())
