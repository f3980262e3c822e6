"""Losses of a language model, made of a part of the vocabulary at a time, are those of all its logits."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from raybench.models import language
from raybench.models.language import LanguageNetwork

SIZES = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 50, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "more"), [("llama", {}), ("gemma2", {"final_logit_softcapping": 0.5})])
def test_losses_are_those_of_all_logits_and_none_where_the_model_bends_them(kind, more, monkeypatch):
    monkeypatch.setattr(language, "_WORDS", 16)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES, **more)).eval()
    model.get_output_embeddings().weight.data.mul_(20)
    network = LanguageNetwork(model, causal=True)
    ids, positions = torch.randint(50, (3, 8)), torch.tensor([0, 3, 7, 9, 20])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "positions": positions}
    own = torch.tensor([0, 15, 16, 31, 49])
    with torch.no_grad():
        expected = cross_entropy(model(ids).logits.flatten(0, 1)[positions].float(), own, reduction="none")
    for _ in range(2):
        found = network.losses(inputs, own)
        assert (found is None) == (kind == "gemma2")
        if found is not None:
            torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
