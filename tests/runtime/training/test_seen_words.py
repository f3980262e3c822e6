"""Only words that occur have gradients and moments, and the fit is the one that trains all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, GPT2Config, GPT2Model

from raybench.core import Trial
from raybench.models.seen_words import train_seen_words
from raybench.runtime.training import epochs as epochs_module
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.trial import fit_trial
from raybench.tasks.catalog import get_task
from tests.device import DEVICE

WORDS = "embeddings.word_embeddings.weight"
GIVEN: dict[str, Any] = {
    "epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "weight_decay": 0.3, "layer_decay": 0.8, "head": "random",
}  # fmt: skip


def fits(
    trial: Trial, rows: pa.Table, validation: pa.Table | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Checkpoint, Checkpoint, list[int]]:
    """With the words that occur, with all words, and how many occurred."""
    task = get_task(trial.dataset.task)
    train = task.prepare(rows, trial.model, trial.dataset.max_length)
    kept = None if validation is None else task.prepare(validation, trial.model, trial.dataset.max_length)
    seen: list[int] = []

    def count(*given: Any) -> Any:
        found = train_seen_words(*given)
        seen.append(0 if found is None else len(found.weight))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(epochs_module, "train_seen_words", count)
        few = fit_trial(trial, train, DEVICE, validation=kept)
    with monkeypatch.context() as patch:
        patch.setattr(epochs_module, "train_seen_words", lambda *given: None)
        return few, fit_trial(trial, train, DEVICE, validation=kept), seen


def words_of(checkpoint: Checkpoint) -> np.ndarray:
    return next(array for name, array in checkpoint.arrays.items() if name.endswith(WORDS))


@pytest.mark.parametrize(
    ("method", "patience"), [("full", 0), ("full", 2), ("gradual_unfreeze", 0)], ids=["full", "patience", "gradual"]
)
def test_a_fit_of_the_words_that_occur_is_the_fit_of_all(
    method: str,
    patience: int,
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {**GIVEN, "epochs": 6} if method == "gradual_unfreeze" else GIVEN  # in the first ones words are frozen
    trial = make_trial(tiny_bert, method, patience=patience, **given)
    few, all_words, seen = fits(trial, make_texts(24), make_texts(40, seed=1) if patience else None, monkeypatch)
    assert 0 < seen[0] < len(words_of(all_words))
    assert few.arrays.keys() == all_words.arrays.keys()
    for name, array in all_words.arrays.items():
        np.testing.assert_allclose(few.arrays[name], array, atol=2e-4, err_msg=name)
    assert few.meta["params_trained"] == all_words.meta["params_trained"]
    assert few.meta["best_epoch"] == all_words.meta["best_epoch"]


def test_words_that_never_occur_decay_alike(
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = make_trial(tiny_bert, "full", **GIVEN)
    rows = make_texts(6)
    few, all_words, seen = fits(trial, rows, None, monkeypatch)
    before = BertModel.from_pretrained(tiny_bert).embeddings.word_embeddings.weight.detach().numpy()
    prepared = get_task("text-classification").prepare(rows, trial.model, trial.dataset.max_length)
    occur = {0, *np.concatenate(prepared["input_ids"].to_pylist()).tolist()}  # and the padding
    never = [word for word in range(len(before)) if word not in occur]
    assert len(never) == len(before) - seen[0] > 0
    left = np.median(words_of(few)[never] / before[never])
    assert 0.9 < left < 0.9995
    np.testing.assert_allclose(words_of(few)[never], before[never] * left, rtol=1e-6)
    np.testing.assert_allclose(words_of(all_words)[never], words_of(few)[never], rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "given"),
    [("top_layers", {"layers": 1}), ("full", {"precision": "float16"})],
    ids=["top layers", "float16"],
)
def test_embeddings_that_are_not_trained_or_not_at_every_step_are_trained_as_they_are(
    method: str,
    given: dict[str, Any],
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = make_trial(tiny_bert, method, **{"batch_size": 8, **given})
    few, all_words, seen = fits(trial, make_texts(12), None, monkeypatch)
    assert seen == []
    assert all(np.array_equal(few.arrays[name], array) for name, array in all_words.arrays.items())


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (BertForMaskedLM(BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)), 5),
        (BertModel(BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)), 20),
        (torch.nn.Embedding(20, 8), 5),
    ],
    ids=["shared with a head over words", "all occur", "not of transformers"],
)
def test_what_cannot_be_parted_stays(network: torch.nn.Module, words: int) -> None:
    before = list(network.named_parameters())
    assert train_seen_words(network, np.arange(words)) is None
    assert all(one is other for (_, one), (_, other) in zip(before, network.named_parameters(), strict=True))


def test_any_word_is_looked_up_between_epochs() -> None:
    torch.manual_seed(0)
    network = GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1)).eval()
    whole = network.get_input_embeddings().weight.detach().clone()
    seen = train_seen_words(network, np.array([1, 4]))
    assert seen is not None
    assert torch.equal(seen(torch.arange(20)), whole)
    seen.train()
    assert torch.equal(seen(torch.tensor([4, 1])), whole[[4, 1]])
    with torch.no_grad():
        seen.weight += 1
    seen.decay(0.5)
    seen.eval()
    expected = whole * 0.5
    expected[[1, 4]] = whole[[1, 4]] + 1
    assert torch.equal(seen(torch.arange(20)), expected)
