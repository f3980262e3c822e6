"""Attention over padded rows by length: the same numbers as under a mask, and left alone where it does not fit."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    ModernBertConfig,
    ModernBertModel,
    T5Config,
    T5EncoderModel,
)

from raybench.models import padded_attention
from raybench.models.padded_attention import attend_by_length
from tests.device import DEVICE

CPU = torch.device("cpu")
LENGTHS = [7, 3, 12, 1]  # of rows padded to 12: one is full, one is a single position


def kernel_by_hand(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """What FlashAttention gives for rows that begin and end at `bounds`, one by one."""
    parts = []
    for start, stop in zip(bounds.tolist(), bounds.tolist()[1:], strict=False):
        assert stop - start <= longest
        row = [one[start:stop].transpose(0, 1) for one in (query, key, value)]
        parts.append(scaled_dot_product_attention(*row, dropout_p=dropout, scale=scaling).transpose(0, 1))
    return torch.cat(parts)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As on a GPU, but in float32 and on a CPU; how long the rows of each call were."""
    calls: list[int] = []

    def kernel(*given: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        calls.append(int(given[4]))
        return kernel_by_hand(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(padded_attention, "_HALF", (torch.float32,))
    monkeypatch.setattr(padded_attention, "_kernel", kernel)
    return calls


def bert(**given: object) -> BertModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertModel(BertConfig(**{**sizes, "intermediate_size": 64, **given}), add_pooling_layer=False).eval()


def inputs(device: torch.device = CPU) -> dict[str, torch.Tensor]:
    mask = torch.arange(12) < torch.tensor(LENGTHS)[:, None]
    ids = torch.randint(1, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    return {"input_ids": (ids * mask).to(device), "attention_mask": mask.long().to(device)}


def real(hidden: torch.Tensor) -> torch.Tensor:
    """Of the rows' own positions."""
    return torch.cat([row[:length] for row, length in zip(hidden, LENGTHS, strict=True)])


def test_rows_attend_as_under_a_mask(by_hand: list[int]) -> None:
    network, given = bert(), inputs()
    masked = network(**given).last_hidden_state
    attend_by_length(network)
    torch.testing.assert_close(real(network(**given).last_hidden_state), real(masked))
    assert by_hand == [12, 12]


@pytest.mark.parametrize(
    "architecture",
    ["roberta", "distilbert", "electra", "albert", "data2vec-text", "nomic_bert", "eurobert", "roc_bert"],
)
def test_every_architecture_that_hands_its_mask_on_does(architecture: str, by_hand: list[int]) -> None:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
        "num_key_value_heads": 4, "intermediate_size": 48, "embedding_size": 32, "max_position_embeddings": 40,
        "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "pad_token_id": 0,
    }  # fmt: skip
    config = AutoConfig.for_model(architecture)
    config = type(config)(**{name: value for name, value in sizes.items() if hasattr(config, name)})
    network = AutoModel.from_config(config).eval()
    masked = network(**inputs()).last_hidden_state
    attend_by_length(network)
    torch.testing.assert_close(real(network(**inputs()).last_hidden_state), real(masked), atol=1e-5, rtol=1e-4)
    assert by_hand == [12, 12]


def test_gradients_are_those_under_a_mask(by_hand: list[int]) -> None:
    gradients = []
    for by_length in (False, True):
        network = bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        if by_length:
            attend_by_length(network)
        real(network(**inputs()).last_hidden_state).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert by_hand
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-4)


def test_without_padding_torch_chooses_its_kernel(by_hand: list[int]) -> None:
    network = bert()
    attend_by_length(network)
    ids = inputs()["input_ids"]
    torch.testing.assert_close(network(input_ids=ids), bert()(input_ids=ids))
    assert not by_hand


def test_sliding_layers_keep_their_mask(by_hand: list[int]) -> None:
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        local_attention=4, global_attn_every_n_layers=2, pad_token_id=0,
    )  # fmt: skip
    network = ModernBertModel(config).eval()
    masked = network(**inputs()).last_hidden_state
    attend_by_length(network)
    torch.testing.assert_close(real(network(**inputs()).last_hidden_state), real(masked))
    assert by_hand == [12]  # the one layer of two that sees whole rows


def test_in_float32_nothing_changes() -> None:
    network, given = bert(), inputs()
    masked = network(**given).last_hidden_state
    attend_by_length(network)
    assert torch.equal(network(**given).last_hidden_state, masked)


def test_queries_that_the_kernel_does_not_take_get_the_mask(
    by_hand: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, given = bert(), inputs()
    masked = network(**given).last_hidden_state
    attend_by_length(network)
    monkeypatch.setattr(padded_attention, "_takes", lambda query: False)
    torch.testing.assert_close(real(network(**given).last_hidden_state), real(masked))
    assert not by_hand


@pytest.mark.parametrize(
    "network",
    [
        GPT2Model(GPT2Config(n_embd=16, n_layer=1, n_head=1, vocab_size=50, n_positions=16)),
        T5EncoderModel(T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=50)),
        BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, is_decoder=True)),
        torch.nn.Linear(2, 2),
    ],
    ids=["causal", "relative positions", "decoder", "not of transformers"],
)
def test_other_networks_are_left_alone(network: torch.nn.Module) -> None:
    before = getattr(getattr(network, "config", None), "_attn_implementation", None)
    attend_by_length(network)
    assert getattr(getattr(network, "config", None), "_attn_implementation", None) == before


def test_the_kernel_takes_what_it_is_given() -> None:
    names = [argument.name for argument in torch.ops.aten._flash_attention_forward.default._schema.arguments]
    begin = ["query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k", "dropout_p", "is_causal"]
    assert names[: len(begin) + 2] == [*begin, "return_debug_mask", "scale"]
    assert not any(name.startswith("dropout") for name in inspect.signature(varlen_attn).parameters)  # or it would do


@pytest.mark.skipif(DEVICE.type != "cuda", reason="the kernel is a GPU's")
def test_a_gpu_computes_what_it_does_under_a_mask_and_the_same_bits_every_time() -> None:
    passes = []
    for by_length in (False, True, True):
        network = bert(hidden_size=128).to(DEVICE, torch.bfloat16)
        if by_length:
            attend_by_length(network)
        network.train()
        torch.manual_seed(3)
        hidden = real(network(**inputs(DEVICE)).last_hidden_state)
        hidden.float().square().sum().backward()
        network.eval()
        scored = real(network(**inputs(DEVICE)).last_hidden_state)
        passes.append([scored.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
    torch.testing.assert_close(passes[1][0], passes[0][0], atol=0.05, rtol=0.05)
    assert all(torch.equal(one, other) for one, other in zip(passes[1], passes[2], strict=True))
