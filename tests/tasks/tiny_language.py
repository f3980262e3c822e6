"""A tiny language model of toy texts, saved as a checkpoint: bytes in pieces (as GPT-2's)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def save_tiny_causal(path: Path, texts: Sequence[str], kind: str = "llama") -> Path:
    """A causal model of two layers and 64 positions with large random weights, whose tokenizer knows only an end."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": 300, "initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        shape |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    else:
        shape |= {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": True,
        }  # fmt: skip
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape)).save_pretrained(path)
    byte_pieces(texts).save_pretrained(path)
    return path


def byte_pieces(texts: Sequence[str]) -> Any:
    """A tokenizer of 300 pieces of bytes learned from the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
