"""Networks over backbones that this process keeps open: loaded once, shared while frozen, copied before training."""

from __future__ import annotations

import copy
import dataclasses
import gc
from importlib.metadata import version
from typing import Any

import torch

from raybench.core import Trial
from raybench.core.identity import RESULT_VERSION, content_hash, seed_from
from raybench.models.cache import BACKBONES
from raybench.models.configuration import from_scratch
from raybench.models.network import Network
from raybench.models.variant import scoring_variant
from raybench.recipes.methods.method import Method
from raybench.runtime.training.feature_cache import FEATURES, FeatureCache, feature_directory
from raybench.tasks.task import Task

__all__ = ["feature_cache", "let_go", "network_key", "shared_network", "trainable_network"]

_VERSIONS_OF = ("torch", "transformers", "tokenizers")  # a release of each may change a feature's bits


def network_key(trial: Trial, device: torch.device, *, own_head: bool, for_scoring: bool) -> str:
    """All that decides an opened network, and with it a row's features: the one key of both.

    It is what `Task.network` is given, but for a seed where there are weights: then only a fresh head is drawn from
    it, which `trainable_network` draws anew for every trial and features do not see.
    """
    model, data = trial.model, trial.dataset
    return content_hash(
        [
            trial.weights_fingerprint,
            trial.seed if from_scratch(model) else None,
            [data.task, trial.code.get(data.task), dict(data.task_config), list(data.labels)],
            own_head,
            [model.dtype, model.compile] if for_scoring else ["float32", False],
            str(device),
        ]
    )


def shared_network(
    trial: Trial, task: Task, device: torch.device, *, own_head: bool, for_scoring: bool = True
) -> Network:
    """The candidate's network as it was opened, in eval mode; whoever takes it changes nothing in it.

    For scoring it is the variant that the candidate asks for (dtype, compile), for training float32. A fresh head in
    it is of any seed.
    """

    def make() -> Network:
        model = trial.model if for_scoring else dataclasses.replace(trial.model, dtype="float32")
        network = task.network(model, trial.dataset, trial.seed, own_head=own_head)
        network = network.requires_grad_(False).to(device).eval()
        return scoring_variant(network, trial.model, device) if for_scoring else network

    return BACKBONES.get(network_key(trial, device, own_head=own_head, for_scoring=for_scoring), make)


def trainable_network(trial: Trial, task: Task, device: torch.device, method: Method, h: Any) -> Network:
    """The network as `method` trains it: a copy, sharing the backbone's weights where the method never changes them.

    A fresh head and what the method attaches are drawn from the trial's seed.
    """
    base = shared_network(trial, task, device, own_head=True, for_scoring=False)
    memo: dict[int, Any] = {}
    if method.shares_base:
        own = {id(parameter) for parameter in base.head_parameters()}
        memo = {id(parameter): parameter for parameter in base.backbone.parameters() if id(parameter) not in own}
    network = copy.deepcopy(base, memo)
    network.draw(trial.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("attach", trial.seed))
        return method.attach(network, h).to(device).eval()


def feature_cache(trial: Trial, device: torch.device, *, for_scoring: bool = True) -> FeatureCache:
    """The features that this trial's frozen backbone has computed in this process, and in others on this machine."""
    key = network_key(trial, device, own_head=False, for_scoring=for_scoring)
    base = feature_directory()
    name = content_hash([key, RESULT_VERSION, [version(name) for name in _VERSIONS_OF], _kind(device)])
    return FEATURES.get(key, lambda: FeatureCache(base / name if base else None))


def let_go(device: torch.device) -> None:
    """Free what this process keeps on the device for trials to come: open networks, and on a CPU features too."""
    BACKBONES.clear()
    if device.type == "cpu":  # features lie in host memory
        FEATURES.clear()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _kind(device: torch.device) -> str:
    """The kind of device: another one has other last bits."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
