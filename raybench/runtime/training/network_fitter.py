"""Networks: fitted by gradient steps, opened once for the trials that begin alike, charged to each as if alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from raybench.core import Trial
from raybench.data.batches import BatchSlice, bucket
from raybench.models.backbone import torch_dtype
from raybench.models.configuration import from_scratch
from raybench.models.network import Network, PooledNetwork
from raybench.models.variant import scoring_variant, variant_name
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.fitter import FitInputs, Fitter
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.training.attempt import Attempt, first_attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.cost import count_parameters, fit_meta
from raybench.runtime.training.features import extract, together
from raybench.runtime.training.heads import HeadSpec, HeadWeights, fit_heads
from raybench.runtime.training.loop import fine_tune
from raybench.runtime.training.memory import peak_memory_bytes, reset_peak_memory
from raybench.runtime.training.precision import autocast, compute_dtype
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import task_of
from raybench.tasks.task import Examples, Task

__all__ = ["AsItIs", "NetworkFitter"]


class NetworkFitter(Fitter):
    """Gradient steps through a network, or through what a method adds to it."""

    def first_attempt(self, trial: Trial, inputs: FitInputs) -> Attempt:
        longest_row = int(bucket(inputs.train.column("length").to_numpy()).max(initial=1))
        wanted = int(trial.hyperparameters.get("micro_batch_tokens", 0))
        return first_attempt(inputs.workspace.device, longest_row, wanted)

    def fit(
        self, trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
    ) -> Iterator[tuple[int, Checkpoint | Exception]]:
        yield from _fit_networks(trials, inputs, attempt)

    def open(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Predictor:
        assert checkpoint is not None
        task, method = task_of(trial.dataset), get_method(trial.method)
        h = method.read(trial.hyperparameters)
        compute = compute_dtype(h.precision, workspace.device)
        network = scoring_variant(self.whole(trial, checkpoint, workspace), trial.model, workspace.device, compute)
        return _NetworkPredictor(trial, task, network, h.precision, workspace.device)

    def whole(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Network:
        assert checkpoint is not None
        method = get_method(trial.method)
        network = workspace.trainable(trial, task_of(trial.dataset), method, method.read(trial.hyperparameters))
        _load(network, checkpoint)
        return network.requires_grad_(False)


class AsItIs(Fitter):
    """The checkpoint with its own head: there is nothing to fit."""

    def fit(
        self, trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
    ) -> Iterator[tuple[int, Checkpoint | Exception]]:
        raise AssertionError("nothing of it is fitted")

    def open(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Predictor:
        task = task_of(trial.dataset)
        task.check_own_head(trial.model, trial.dataset.labels)
        network = workspace.network(trial, task, own_head=True)
        return _NetworkPredictor(trial, task, network, "auto", workspace.device)

    def whole(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Network:
        return workspace.network(trial, task_of(trial.dataset), own_head=True, for_scoring=False)


def _fit_networks(
    trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    """Fit trials of one beginning (`methods.shared_steps`); each as soon as it is done, by its place."""
    began, workspace, device = time.perf_counter(), inputs.workspace, inputs.workspace.device
    reset_peak_memory(device)
    first = trials[0]
    task, method = task_of(first.dataset), get_method(first.method)
    h = method.read(first.hyperparameters)
    examples = task.examples(inputs.train, first.model, first.dataset)
    network = workspace.trainable(first, task, method, h)
    saved = 0.0
    if (
        task.objective is not None
        and h.head == "probe"
        and isinstance(network, PooledNetwork)
        and not from_scratch(first.model)
    ):
        saved = _probe(first, task, network, examples, workspace)
    if attempt.alone:
        workspace.let_go()  # what the copy was made from and the features came from
    outcomes = fine_tune(
        trials,
        task,
        method,
        network,
        examples,
        device,
        validation=None if inputs.validation is None else task.examples(inputs.validation, first.model, first.dataset),
        budget=attempt.budget,
        tell=workspace.tell,
        saving=inputs.saving,
    )
    opening, opening_peak = time.perf_counter() - began + saved, peak_memory_bytes(device)
    total = count_parameters(network.parameters())
    for place, outcome in outcomes:
        if isinstance(outcome, Exception):
            yield place, outcome
            continue
        progress = outcome.progress
        meta = fit_meta(
            opening + progress.seconds,
            device=device,
            dtype=str(compute_dtype(h.precision, device)).removeprefix("torch."),
            total=total,
            trained=outcome.num_trained,
            flops=int(progress.flops),
            peak_memory=max(opening_peak, progress.peak_memory_bytes),
        )
        details = {
            "steps": progress.steps,
            "loss": progress.loss,
            "best_epoch": outcome.best_epoch,
            "micro_batch_tokens": attempt.budget,
            "micro_batch_tokens_wanted": attempt.wanted,
            "deterministic": attempt.deterministic,
        }
        yield place, Checkpoint(arrays=outcome.arrays, meta={**meta, **details})


def _probe(trial: Trial, task: Task, network: PooledNetwork, examples: Examples, workspace: Workspace) -> float:
    """Start the head from a logistic regression on the features before training; seconds saved by a cache."""
    frozen = workspace.network(trial, task, own_head=False, for_scoring=False)
    cache = workspace.features(trial, for_scoring=False)
    saved = cache.saved_seconds
    features = extract(frozen, examples, cache, workspace.device)
    spec = HeadSpec(seed=trial.seed, data=trial.dataset.training)
    targets, outputs = task.head_targets(examples), task.num_outputs(trial.dataset)
    weights = fit_heads(features, targets, [spec], num_outputs=outputs, objective=task.objective)[0]
    if not isinstance(weights, Exception):
        _load_head(network, weights)
    return cache.saved_seconds - saved


def _load_head(network: PooledNetwork, weights: HeadWeights) -> None:
    """Put fitted weights into the head, in place."""
    state = {name.removeprefix("head."): torch.from_numpy(array) for name, array in weights.items()}
    network.head.load_state_dict(state)


class _NetworkPredictor(Predictor):
    """A network; where a row has pooled features, each distinct input of a batch is forwarded once."""

    def __init__(self, trial: Trial, task: Task, network: Network, precision: str, device: torch.device) -> None:
        self.task, self.device, self.trial = task, device, trial
        self._network = network
        compute = compute_dtype(precision, device)
        self.dtype = variant_name(trial.model, str(compute).removeprefix("torch."))
        # of weights that are not in float32 products are taken as they are, and nothing is cast to and fro
        self._compute = compute if torch_dtype(trial.model) == torch.float32 else torch.float32

    @property
    def cost(self) -> dict[str, int]:
        return {"params_total": self._network.num_parameters, "params_trained": 0}

    def outputs(self, read: Examples, batch: BatchSlice, *, fresh: bool = False) -> Any:
        rows = np.arange(batch.start, batch.stop)
        with autocast(self._compute, self.device):
            if self.task.objective is None:
                return self.task.predict(self._network, read.batch(rows, batch.padded, self.device))
            _, first, place = np.unique(read.keys[rows], return_index=True, return_inverse=True)
            distinct = np.sort(first)
            features = self._features(read, rows[distinct], batch.padded)
            if len(distinct) < len(rows):
                copies = np.searchsorted(distinct, first[place])
                features = features[torch.from_numpy(copies).to(self.device)]
            return self._network.head(features).float()

    def _features(self, read: Examples, rows: np.ndarray, padded: int) -> torch.Tensor:
        size = together(read, self.device) or len(rows)
        groups = (rows[start : start + size] for start in range(0, len(rows), size))
        return torch.cat([self._network.features(read.batch(group, padded, self.device).inputs) for group in groups])


def _load(network: Network, checkpoint: Checkpoint) -> None:
    state = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.arrays.items()}
    unknown = network.load_state_dict(state, strict=False).unexpected_keys
    assert not unknown, f"the checkpoint holds {unknown[0]}, the network does not"
