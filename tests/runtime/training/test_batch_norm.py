"""After a fit a batch norm's statistics are those of the trained network over the training rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from raybench.core import ModelSpec, Trial
from raybench.data import packaged
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.fit import fit_bundle
from raybench.runtime.training.batch_norm import batch_norms, settle_batch_norms
from raybench.runtime.trial import fit_trial, open_predictor
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
LABELS = tuple(str(label) for label in range(10))
RESNET = ModelSpec(
    reference="arch:resnet",
    config={"num_channels": 1, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic",
            "downsample_in_first_stage": False},
)  # fmt: skip


def rows(count: int) -> pa.Table:
    digits = packaged.digits()["train"].slice(0, count)
    return digits.append_column("id", pa.array([str(row) for row in range(count)]))


def test_statistics_are_the_mean_over_all_passes_and_momentum_stays() -> None:
    draw = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4, momentum=0.01))
    batches = [torch.randn(16, 3, generator=draw) * scale for scale in (1.0, 5.0)]
    settle_batch_norms(network, [lambda batch=batch: network(batch) for batch in batches])
    seen = [network[0](batch).detach() for batch in batches]
    norm = network[2]
    torch.testing.assert_close(norm.running_mean, torch.stack([one.mean(0) for one in seen]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([one.var(0) for one in seen]).mean(0))
    assert norm.momentum == 0.01
    assert not network.training
    assert not norm.training


def test_a_short_fit_scores_its_rows_as_it_saw_them(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(RESNET, "full", task="image-classification", labels=LABELS, epochs=1, learning_rate=3e-3)
    task = get_task("image-classification")
    prepared = task.prepare(rows(60), trial.model, 1)
    predictor: Any = open_predictor(trial, fit_trial(trial, prepared, CPU), CPU)
    network, batch = predictor._network, task.examples(prepared, trial.model, trial.dataset)
    inputs = batch.batch(np.arange(60), 4, CPU).inputs
    with torch.no_grad():
        scored = network(inputs)
        for norm in batch_norms(network):
            norm.train()
        seen = network(inputs)
    torch.testing.assert_close(scored, seen, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("patience", [0, 1])
def test_trials_that_share_epochs_settle_each_for_itself(patience: int, make_trial: Callable[..., Trial]) -> None:
    """Running statistics are no part of training: who goes on from a shared epoch has the bits it has alone."""
    given = {"decay": "constant", "warmup": 0.0, "learning_rate": 3e-3, "batch_size": 16, "patience": patience}
    trials = [
        make_trial(RESNET, "full", task="image-classification", labels=LABELS, epochs=epochs, **given)
        for epochs in (1, 2)
    ]
    assert get_method("full").read(trials[0].hyperparameters).epochs == 1
    task = get_task("image-classification")
    prepared, validation = (task.prepare(part, RESNET, 1) for part in (rows(48), rows(60).slice(48)))
    together = fit_bundle(trials, prepared, CPU, validation=validation)
    for trial, checkpoint in zip(trials, together, strict=True):
        assert not isinstance(checkpoint, Exception)
        alone = fit_trial(trial, prepared, CPU, validation=validation)
        assert all(np.array_equal(array, checkpoint.arrays[name]) for name, array in alone.arrays.items())
