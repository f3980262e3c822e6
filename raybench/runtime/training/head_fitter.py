"""Heads on features of a frozen network: those of one network are fitted together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.core.errors import IncompatibleError
from raybench.data.batches import BatchSlice, bucket
from raybench.models.network import Network
from raybench.models.variant import variant_name
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.method import Method
from raybench.recipes.methods.on_features import FeatureMethod
from raybench.runtime.fitter import FitInputs, Fitter
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.training.attempt import Attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.cost import count_flops, count_parameters, fit_meta
from raybench.runtime.training.feature_cache import FeatureCache
from raybench.runtime.training.features import batch_features, extract
from raybench.runtime.training.heads import HeadSpec, HeadWeights, fit_heads, head_module
from raybench.runtime.training.memory import reset_peak_memory
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import task_of
from raybench.tasks.task import Examples, Task

__all__ = ["HeadFitter"]


class HeadFitter(Fitter):
    """A linear head, an MLP, neighbours or trees."""

    def fit(
        self, trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
    ) -> Iterator[tuple[int, Checkpoint | Exception]]:
        yield from enumerate(_fit_heads(trials, inputs.train, inputs.workspace, attempt))

    def open(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Predictor:
        assert checkpoint is not None
        task, method = task_of(trial.dataset), get_method(trial.method)
        network = workspace.network(trial, task, own_head=False)
        head: Callable[[torch.Tensor], torch.Tensor]
        if isinstance(method, FeatureMethod):
            head = _on_host(method, checkpoint)
        else:
            head = head_module(checkpoint.arrays).to(workspace.device).eval()
        return _HeadPredictor(trial, task, network, head, workspace.features(trial), workspace.device)

    def whole(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Network:
        assert checkpoint is not None
        if isinstance(get_method(trial.method), FeatureMethod):
            raise IncompatibleError(f"method {trial.method} leaves no network: what it fits are not layers")
        network = task_of(trial.dataset).network(trial.model, trial.dataset, trial.seed, own_head=False)
        network.head = head_module(checkpoint.arrays)
        return network.requires_grad_(False).to(workspace.device).eval()


def _fit_heads(
    trials: Sequence[Trial], train: pa.Table, workspace: Workspace, attempt: Attempt
) -> list[Checkpoint | Exception]:
    """Heads of one frozen backbone; each trial is charged the features whole, as alone, and its share of the rest."""
    began, device = time.perf_counter(), workspace.device
    reset_peak_memory(device)
    first = trials[0]
    task, method = task_of(first.dataset), get_method(first.method)
    network = workspace.network(first, task, own_head=False)
    examples = task.examples(train, first.model, first.dataset)
    cache = workspace.features(first)
    extracting, saved = time.perf_counter(), cache.saved_seconds
    features = extract(network, examples, cache, device)
    computing = time.perf_counter() - extracting
    features_cost = computing + cache.saved_seconds - saved
    targets, num_outputs = task.head_targets(examples), task.num_outputs(first.dataset)
    fitted: Sequence[HeadWeights | Exception]
    if isinstance(method, FeatureMethod):
        host = features.cpu().numpy()
        fitted = [_fit_on_host(trial, method, host, targets, num_outputs) for trial in trials]
    else:
        specs = [_spec(trial, method) for trial in trials]
        fitted = fit_heads(features, targets, specs, num_outputs=num_outputs, objective=task.objective)
    padded = bucket(examples.lengths)
    row = examples.batch(np.zeros(1, dtype=np.int64), int(padded[0]), device)
    counted = network  # torch counts no operations of int8 kernels: those of the same network in float32 are given
    if first.model.dtype == "int8":
        counted = workspace.network(first, task, own_head=False, for_scoring=False)
    with torch.inference_mode():
        flops = count_flops(lambda: counted.features(row.inputs))[1] * int(padded.sum()) // int(padded[0])
    backbone = network.num_parameters - count_parameters(network.head.parameters())
    outcomes: list[Checkpoint | Exception] = []
    for weights in fitted:
        if isinstance(weights, Exception):
            outcomes.append(weights)
            continue
        trained = sum(array.size for array in weights.values())
        seconds = features_cost + (time.perf_counter() - began - computing) / len(trials)
        meta = fit_meta(seconds, device=device, dtype="float32", total=backbone + trained, trained=trained, flops=flops)
        outcomes.append(Checkpoint(arrays=weights, meta={**meta, "deterministic": attempt.deterministic}))
    return outcomes


def _fit_on_host(
    trial: Trial, method: FeatureMethod, features: np.ndarray, targets: np.ndarray, num_outputs: int
) -> HeadWeights | Exception:
    try:
        return method.fit(features, targets, num_outputs, method.read(trial.hyperparameters), trial.seed)
    except Exception as error:
        return error


def _spec(trial: Trial, method: Method) -> HeadSpec:
    h = method.read(trial.hyperparameters)
    return HeadSpec(
        seed=trial.seed,
        data=trial.dataset.training,
        learning_rate=h.learning_rate,
        weight_decay=h.weight_decay,
        hidden=h.hidden,
        epochs=h.epochs,
        batch_size=h.batch_size,
        optimizer=h.optimizer,
        label_smoothing=h.label_smoothing,
        balanced=h.class_weights == "balanced",
    )


class _HeadPredictor(Predictor):
    """A fitted head on features that other trials of the same backbone may have computed already."""

    def __init__(
        self,
        trial: Trial,
        task: Task,
        network: Network,
        head: Callable[[torch.Tensor], torch.Tensor],
        cache: FeatureCache,
        device: torch.device,
    ) -> None:
        self.task, self.device, self.trial, self.dtype = task, device, trial, variant_name(trial.model, "float32")
        self._network, self._head, self._cache = network, head, cache

    @property
    def cost(self) -> dict[str, int]:
        return {"params_total": self._network.num_parameters, "params_trained": 0}

    @property
    def saved_seconds(self) -> float:  # type: ignore[override]
        return self._cache.saved_seconds

    def outputs(self, read: Examples, batch: BatchSlice, *, fresh: bool = False) -> torch.Tensor:
        rows = np.arange(batch.start, batch.stop)
        cache = FeatureCache() if fresh else self._cache
        return self._head(batch_features(self._network, read, rows, batch.padded, cache, self.device))

    def flush(self) -> None:
        self._cache.flush()


def _on_host(method: FeatureMethod, checkpoint: Checkpoint) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda features: torch.from_numpy(method.outputs(checkpoint.arrays, features.cpu().numpy()))
