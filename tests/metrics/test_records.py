"""From logits to records: one fused pass that equals the plain formulas, whatever the dtype and the size of a chunk."""

import numpy as np
import pytest
import torch
from scipy.special import log_expit
from torch.nn.functional import cross_entropy

from raybench.metrics import records as module
from raybench.metrics.records import classification_records, multilabel_records, segmentation_records, token_nll


def logits_and_targets(num_rows=40, num_classes=7, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num_rows, num_classes, generator=generator).mul(3).to(dtype)
    return logits, torch.randint(0, num_classes, (num_rows,), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_columns_equal_the_plain_formulas(dtype):
    logits, target = logits_and_targets(dtype=dtype)
    found = classification_records(logits, target)
    plain = logits.float()
    probability = plain.softmax(1)
    onehot = torch.eye(7)[target]
    assert (found["prediction"] == plain.argmax(1).numpy()).all()
    assert found["confidence"] == pytest.approx(probability.amax(1).numpy(), rel=1e-6)
    assert found["nll"] == pytest.approx(cross_entropy(plain, target, reduction="none").numpy(), rel=1e-5, abs=1e-6)
    assert found["brier"] == pytest.approx(((probability - onehot) ** 2).sum(1).numpy(), rel=1e-5, abs=1e-6)
    assert (found["rank"] == (plain > plain.gather(1, target[:, None])).sum(1).numpy()).all() or dtype != torch.float32
    assert found["scores"] == pytest.approx(probability.double().logit().numpy(), abs=1e-4)
    assert log_expit(found["scores"]) == pytest.approx(plain.log_softmax(1).numpy(), abs=1e-5)
    types = {name: column.dtype for name, column in found.items()}
    assert types["prediction"] == types["rank"] == np.int32
    assert types["nll"] == types["brier"] == np.float64


def test_chunks_do_not_change_a_bit(monkeypatch):
    logits, target = logits_and_targets()
    whole = classification_records(logits, target)
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 20)
    parts = classification_records(logits, target)
    for name, column in whole.items():
        assert np.array_equal(column, parts[name]), name


def test_two_classes_have_the_difference_of_logits_and_many_have_no_scores():
    logits, target = logits_and_targets(num_classes=2)
    assert classification_records(logits, target)["score"] == pytest.approx((logits[:, 1] - logits[:, 0]).numpy())
    assert "scores" not in classification_records(*logits_and_targets(num_classes=65))
    assert "score" not in classification_records(*logits_and_targets(num_classes=3))


def test_empty_batch_gives_empty_columns():
    found = classification_records(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert {len(column) for column in found.values()} == {0}


def test_integer_logits_raise_no_surprise():
    found = classification_records(torch.tensor([[0, 3, 1]]), torch.tensor([1]))
    assert found["prediction"][0] == 1


def test_token_nll_equals_cross_entropy_and_keeps_the_shape():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 50, 11, generator=generator)
    target = torch.randint(0, 11, (3, 50), generator=generator)
    target[0, :5] = -100
    found = token_nll(logits, target)
    expected = cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view(3, 50)
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found[0, :5] == 0).all()


def test_multilabel_predicts_where_the_probability_reaches_the_threshold():
    found = multilabel_records(torch.tensor([[0.0, -1.0, 2.0]]), torch.tensor([[1, 0, 1]]))
    assert found["predictions"].tolist() == [[1, 0, 1]]  # sigmoid(0) is 0.5, and >= counts
    assert found["targets"].tolist() == [[1, 0, 1]]


def test_segmentation_counts_leave_ignored_pixels_out():
    target = torch.tensor([[[0, 1], [255, 1]]])
    prediction = torch.tensor([[[0, 0], [1, 1]]])
    found = segmentation_records(prediction, target, 3)
    assert found["intersection"].tolist() == [[1, 1, 0]]
    assert found["predicted_pixels"].tolist() == [[2, 1, 0]]
    assert found["target_pixels"].tolist() == [[1, 2, 0]]
