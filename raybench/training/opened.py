"""Networks over backbones that this process keeps open: loaded once, shared while frozen, copied before training."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch

from raybench.core import Trial
from raybench.identity import content_hash, seed_from
from raybench.methods.method import Method
from raybench.models.cache import BACKBONES
from raybench.models.configuration import from_scratch
from raybench.models.network import Network
from raybench.models.variant import scoring_variant
from raybench.tasks.task import Task
from raybench.training.feature_cache import FEATURES, FeatureCache, feature_directory

__all__ = ["feature_cache", "shared_network", "trainable_network"]


def _key(trial: Trial, device: torch.device, *more: object) -> str:
    seed = trial.seed if from_scratch(trial.model) else "pretrained"
    return ":".join(str(part) for part in (trial.weights_fingerprint, seed, device, *more))


def shared_network(
    trial: Trial, task: Task, device: torch.device, *, own_head: bool, for_scoring: bool = True
) -> Network:
    """The candidate's network as it was opened, in eval mode; whoever takes it changes nothing in it.

    For scoring it is the variant that the candidate asks for (dtype, compile), for training float32.
    """
    labels = ",".join(trial.dataset.labels) if own_head else len(trial.dataset.labels)

    def make() -> Network:
        model = trial.model if for_scoring else dataclasses.replace(trial.model, dtype="float32")
        network = task.network(model, trial.dataset, trial.seed, own_head=own_head)
        network = network.requires_grad_(False).to(device).eval()
        return scoring_variant(network, trial.model, device) if for_scoring else network

    variant = for_scoring and (trial.model.dtype, trial.model.compile) != ("float32", False)
    return BACKBONES.get(_key(trial, device, own_head, labels, variant), make)


def trainable_network(trial: Trial, task: Task, device: torch.device, method: Method, h: Any) -> Network:
    """The network as `method` trains it: a copy, sharing the backbone's weights where the method never changes them.

    What the method attaches is drawn from the trial's seed.
    """
    base = shared_network(trial, task, device, own_head=True, for_scoring=False)
    memo: dict[int, Any] = {}
    if method.shares_base:
        own = {id(parameter) for parameter in base.head_parameters()}
        memo = {id(parameter): parameter for parameter in base.backbone.parameters() if id(parameter) not in own}
    network = copy.deepcopy(base, memo)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("attach", trial.seed))
        return method.attach(network, h).to(device).eval()


def feature_cache(trial: Trial, device: torch.device, *, for_scoring: bool = True) -> FeatureCache:
    """The features that this trial's frozen backbone has computed in this process."""
    variant = for_scoring and (trial.model.dtype, trial.model.compile) != ("float32", False)
    key = _key(trial, device, variant)
    base = feature_directory()
    name = content_hash([key, trial.dataset.task, _arithmetic(device)])
    return FEATURES.get(key, lambda: FeatureCache(base / name if base else None))


def _arithmetic(device: torch.device) -> list[str]:
    """What else decides the bits of a forward pass: torch and the kind of device."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return [torch.__version__, device.type, kind]
