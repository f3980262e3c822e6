"""Fitting networks by gradient steps: opened once for the trials that begin alike, charged to each as if alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.models.configuration import from_scratch
from raybench.models.network import PooledNetwork
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.training.attempt import Attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.cost import count_parameters, fit_meta
from raybench.runtime.training.features import extract
from raybench.runtime.training.heads import HeadSpec, HeadWeights, fit_heads
from raybench.runtime.training.loop import fine_tune
from raybench.runtime.training.memory import peak_memory_bytes, reset_peak_memory
from raybench.runtime.training.opened import feature_cache, let_go, shared_network, trainable_network
from raybench.runtime.training.precision import compute_dtype
from raybench.runtime.training.unfinished import Saving
from raybench.tasks.catalog import task_of
from raybench.tasks.task import Examples, Task

__all__ = ["fit_networks"]


def fit_networks(
    trials: Sequence[Trial],
    train: pa.Table,
    device: torch.device,
    validation: pa.Table | None,
    attempt: Attempt,
    saving: Saving | None = None,
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    """Fit trials of one beginning (`methods.shared_steps`); each as soon as it is done, by its place."""
    began = time.perf_counter()
    reset_peak_memory(device)
    first = trials[0]
    task, method = task_of(first.dataset), get_method(first.method)
    h = method.read(first.hyperparameters)
    examples = task.examples(train, first.model, first.dataset)
    network = trainable_network(first, task, device, method, h)
    saved = 0.0
    if (
        task.objective is not None
        and h.head == "probe"
        and isinstance(network, PooledNetwork)
        and not from_scratch(first.model)
    ):
        saved = _probe(first, task, network, examples, device)
    if attempt.alone:
        let_go(device)  # what the copy was made from and the features came from
    outcomes = fine_tune(
        trials,
        task,
        method,
        network,
        examples,
        device,
        validation=None if validation is None else task.examples(validation, first.model, first.dataset),
        budget=attempt.budget,
        saving=saving,
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


def _probe(trial: Trial, task: Task, network: PooledNetwork, examples: Examples, device: torch.device) -> float:
    """Start the head from a logistic regression on the features before training; seconds saved by a cache."""
    frozen = shared_network(trial, task, device, own_head=False, for_scoring=False)
    cache = feature_cache(trial, device, for_scoring=False)
    saved = cache.saved_seconds
    features = extract(frozen, examples, cache, device)
    spec = HeadSpec(seed=trial.seed, data=trial.dataset.fingerprint)
    targets, outputs = task.head_targets(examples), task.num_outputs(trial.dataset)
    weights = fit_heads(features, targets, [spec], num_outputs=outputs, objective=task.objective)[0]
    if not isinstance(weights, Exception):
        _load_head(network, weights)
    return cache.saved_seconds - saved


def _load_head(network: PooledNetwork, weights: HeadWeights) -> None:
    """Put fitted weights into the head, in place."""
    state = {name.removeprefix("head."): torch.from_numpy(array) for name, array in weights.items()}
    network.head.load_state_dict(state)
