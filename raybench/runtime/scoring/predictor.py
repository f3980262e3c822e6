"""Predictors: what puts out a task's outputs for the rows of a planned batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.data.batches import BatchSlice
from raybench.models.check import check_own_head
from raybench.models.network import Network
from raybench.models.variant import scoring_variant, variant_name
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.on_features import FeatureMethod
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.feature_cache import FeatureCache
from raybench.runtime.training.features import batch_features
from raybench.runtime.training.heads import head_module
from raybench.runtime.training.opened import feature_cache, shared_network, trainable_network
from raybench.runtime.training.precision import autocast, compute_dtype
from raybench.tasks.catalog import get_task
from raybench.tasks.task import Examples, Task

__all__ = ["Predictor", "open_predictor"]


class Predictor(Protocol):
    """Ready to score. `dtype` names the precision of its products."""

    task: Task
    dtype: str
    device: torch.device

    @property
    def cost(self) -> dict[str, int]:
        """What is known of the cost without a fit: `params_total`, of those `params_trained`; empty for a baseline."""

    @property
    def saved_seconds(self) -> float:
        """Seconds that looking up has saved so far."""

    def read(self, rows: pa.Table) -> Any:
        """Prepared rows as `outputs` wants them."""

    def outputs(self, read: Any, batch: BatchSlice, *, fresh: bool = False) -> torch.Tensor:
        """The task's outputs for one planned batch, on the predictor's device; `fresh` looks nothing up."""

    def flush(self) -> None:
        """A shard is done: keep for other processes what was computed."""


class _NetworkPredictor:
    """A network forwards each distinct input of a batch once."""

    def __init__(self, trial: Trial, task: Task, network: Network, precision: str, device: torch.device) -> None:
        self.task, self.device = task, device
        self._trial, self._network = trial, network
        self._compute = compute_dtype(precision, device)
        self.dtype = variant_name(trial.model, str(self._compute).removeprefix("torch."))

    @property
    def cost(self) -> dict[str, int]:
        return {"params_total": self._network.num_parameters, "params_trained": 0}

    @property
    def saved_seconds(self) -> float:
        return 0.0

    def read(self, rows: pa.Table) -> Examples:
        return self.task.examples(rows, self._trial.model)

    def outputs(self, read: Examples, batch: BatchSlice, *, fresh: bool = False) -> torch.Tensor:
        rows = np.arange(batch.start, batch.stop)
        _, first, place = np.unique(read.keys[rows], return_index=True, return_inverse=True)
        distinct = np.sort(first)
        inputs = read.batch(rows[distinct], batch.padded, self.device).inputs
        with autocast(self._compute, self.device):
            features = self._network.features(inputs)
            if len(distinct) < len(rows):
                copies = np.searchsorted(distinct, first[place])
                features = features[torch.from_numpy(copies).to(self.device)]
            return self._network.head(features).float()

    def flush(self) -> None:
        return


class _HeadPredictor:
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
        self.task, self.device, self.dtype = task, device, variant_name(trial.model, "float32")
        self._trial, self._network, self._head, self._cache = trial, network, head, cache

    @property
    def cost(self) -> dict[str, int]:
        return {"params_total": self._network.num_parameters, "params_trained": 0}

    @property
    def saved_seconds(self) -> float:
        return self._cache.saved_seconds

    def read(self, rows: pa.Table) -> Examples:
        return self.task.examples(rows, self._trial.model)

    def outputs(self, read: Examples, batch: BatchSlice, *, fresh: bool = False) -> torch.Tensor:
        rows = np.arange(batch.start, batch.stop)
        cache = FeatureCache() if fresh else self._cache
        return self._head(batch_features(self._network, read, rows, batch.padded, cache, self.device))

    def flush(self) -> None:
        self._cache.flush()


class _BaselinePredictor:
    """A baseline's arrays on raw rows."""

    def __init__(self, trial: Trial, task: Task, checkpoint: Checkpoint) -> None:
        self.task, self.dtype, self.device = task, "float64", torch.device("cpu")
        self._baseline = get_baseline(trial.model.baseline or "")
        self._trial, self._arrays = trial, checkpoint.arrays

    @property
    def cost(self) -> dict[str, int]:
        return {}

    @property
    def saved_seconds(self) -> float:
        return 0.0

    def read(self, rows: pa.Table) -> pa.Table:
        return rows

    def outputs(self, read: pa.Table, batch: BatchSlice, *, fresh: bool = False) -> torch.Tensor:
        part = read.slice(batch.start, batch.stop - batch.start)
        return torch.from_numpy(self._baseline.outputs(self._arrays, part, self._trial.dataset))

    def flush(self) -> None:
        return


def open_predictor(trial: Trial, checkpoint: Checkpoint | None, device: torch.device) -> Predictor:
    """The trial's network with what its checkpoint trained, in eval mode; the backbone stays open in this process.

    Raises:
        ModelError, IncompatibleError: the candidate cannot be opened, or has no head to score as it is.
    """
    task = get_task(trial.dataset.task)
    if trial.model.baseline is not None:
        assert checkpoint is not None
        return _BaselinePredictor(trial, task, checkpoint)
    method = get_method(trial.method)
    if checkpoint is None:
        check_own_head(trial.model, trial.dataset.labels)
        network = shared_network(trial, task, device, own_head=True)
        return _NetworkPredictor(trial, task, network, "auto", device)
    if method.on_features:
        network = shared_network(trial, task, device, own_head=False)
        head: Callable[[torch.Tensor], torch.Tensor]
        if isinstance(method, FeatureMethod):
            head = _on_host(method, checkpoint)
        else:
            head = head_module(checkpoint.arrays).to(device).eval()
        return _HeadPredictor(trial, task, network, head, feature_cache(trial, device), device)
    h = method.read(trial.hyperparameters)
    network = trainable_network(trial, task, device, method, h)
    _load(network, checkpoint)
    network = scoring_variant(network.requires_grad_(False), trial.model, device)
    return _NetworkPredictor(trial, task, network, h.precision, device)


def _on_host(method: FeatureMethod, checkpoint: Checkpoint) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda features: torch.from_numpy(method.outputs(checkpoint.arrays, features.cpu().numpy()))


def _load(network: Network, checkpoint: Checkpoint) -> None:
    state = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.arrays.items()}
    unknown = network.load_state_dict(state, strict=False).unexpected_keys
    assert not unknown, f"the checkpoint holds {unknown[0]}, the network does not"
