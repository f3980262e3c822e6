"""Predictors: what puts out a task's outputs for the rows of a planned batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.data.batches import BatchSlice
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
from raybench.tasks.catalog import task_of
from raybench.tasks.task import Examples, Task

__all__ = ["Predictor", "open_predictor"]


class Predictor(ABC):
    """Ready to score. `dtype` names the precision of its products."""

    task: Task
    trial: Trial
    dtype: str
    device: torch.device
    saved_seconds: float = 0.0  # that looking up has saved so far

    @property
    def cost(self) -> dict[str, int]:
        """What is known of the cost without a fit: `params_total`, of those `params_trained`; empty for a baseline."""
        return {}

    def read(self, rows: pa.Table) -> Any:
        """Prepared rows as `outputs` wants them."""
        return self.task.examples(rows, self.trial.model, self.trial.dataset)

    @abstractmethod
    def outputs(self, read: Any, batch: BatchSlice, *, fresh: bool = False) -> Any:
        """The task's predictions for one planned batch; `fresh` looks nothing up."""

    def predictions(self, read: Any, batches: Sequence[BatchSlice]) -> Iterator[tuple[BatchSlice, Any]]:
        """Those of adjoining batches: for each, or, where they are tensors of one row an example, for all at once."""
        if self.task.objective is None:
            yield from ((batch, self.outputs(read, batch)) for batch in batches)
        else:
            yield _span(batches), torch.cat([self.outputs(read, batch) for batch in batches])

    def flush(self) -> None:  # noqa: B027 - most keep nothing
        """A shard is done: keep for other processes what was computed."""


class _NetworkPredictor(Predictor):
    """A network; where a row has pooled features, each distinct input of a batch is forwarded once."""

    def __init__(self, trial: Trial, task: Task, network: Network, precision: str, device: torch.device) -> None:
        self.task, self.device, self.trial = task, device, trial
        self._network = network
        self._compute = compute_dtype(precision, device)
        self.dtype = variant_name(trial.model, str(self._compute).removeprefix("torch."))

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
            features = self._network.features(read.batch(rows[distinct], batch.padded, self.device).inputs)
            if len(distinct) < len(rows):
                copies = np.searchsorted(distinct, first[place])
                features = features[torch.from_numpy(copies).to(self.device)]
            return self._network.head(features).float()


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


class _BaselinePredictor(Predictor):
    """A baseline's arrays on raw rows, all batches at once."""

    def __init__(self, trial: Trial, task: Task, checkpoint: Checkpoint) -> None:
        self.task, self.trial, self.dtype, self.device = task, trial, "float64", torch.device("cpu")
        self._baseline = get_baseline(trial.model.baseline or "")
        self._arrays = checkpoint.arrays

    def read(self, rows: pa.Table) -> pa.Table:
        return rows

    def outputs(self, read: pa.Table, batch: BatchSlice, *, fresh: bool = False) -> Any:
        part = read.slice(batch.start, batch.stop - batch.start)
        outputs = self._baseline.outputs(self._arrays, part, self.trial.dataset)
        return torch.from_numpy(outputs) if isinstance(outputs, np.ndarray) else outputs

    def predictions(self, read: pa.Table, batches: Sequence[BatchSlice]) -> Iterator[tuple[BatchSlice, Any]]:
        whole = _span(batches)
        yield whole, self.outputs(read, whole)


def _span(batches: Sequence[BatchSlice]) -> BatchSlice:
    """Adjoining batches as one."""
    return BatchSlice(batches[0].start, batches[-1].stop, max(batch.padded for batch in batches))


def open_predictor(trial: Trial, checkpoint: Checkpoint | None, device: torch.device) -> Predictor:
    """The trial's network with what its checkpoint trained, in eval mode; the backbone stays open in this process.

    Raises:
        ModelError, IncompatibleError: the candidate cannot be opened, or has no head to score as it is.
    """
    task = task_of(trial.dataset)
    if trial.model.baseline is not None:
        assert checkpoint is not None
        return _BaselinePredictor(trial, task, checkpoint)
    method = get_method(trial.method)
    if checkpoint is None:
        task.check_own_head(trial.model, trial.dataset.labels)
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
