"""What one process keeps on one device: open networks and features, shared by the trials it works on, bounded in bytes.

    workspace = Workspace(device)
    network = workspace.network(trial, task, own_head=False)         # shared: whoever takes it changes nothing in it
    network = workspace.trainable(trial, task, method, h)            # the trial's own
    cache = workspace.features(trial)

It belongs to an actor's session, or to whoever fits by hand; nothing of it is global to the process.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import time
from functools import cached_property
from importlib.metadata import version
from typing import Any

import torch

from raybench.core import Trial
from raybench.core.identity import RESULT_VERSION, content_hash, seed_from
from raybench.core.training_step import TrainingStep
from raybench.models.network import Network
from raybench.models.padded_attention import attend_by_length, has_kernel
from raybench.models.variant import scoring_variant
from raybench.recipes.methods.method import Method
from raybench.recipes.sharing import network_identity
from raybench.runtime.allocator import give_back_freed_memory
from raybench.runtime.kept import Kept
from raybench.runtime.training.feature_cache import FeatureCache, feature_directory
from raybench.runtime.training.precision import compute_dtype
from raybench.tasks.task import Task

__all__ = ["Workspace", "network_key"]

_VERSIONS_OF = ("torch", "transformers", "tokenizers")  # a release of each may change a feature's bits
_HOST_BYTES = 2 << 30  # of networks, and of features, that a process keeps in host memory


def network_key(trial: Trial, device: torch.device, *, own_head: bool, for_scoring: bool) -> str:
    """All that decides an opened network, and with it a row's features: the one key of both.

    What a whole network is told of its dataset's targets, such as their mean or how many items there are, is among it;
    features know nothing of it, so that training sets of any size share them. Features are always those of a network
    that scores; a whole one that is to be trained is another.
    """
    variant: list[Any] = [trial.model.dtype, trial.model.compile] if for_scoring else ["float32", False]
    if own_head:
        variant.append(for_scoring)
    told = [dict(trial.dataset.statistics)] if own_head and trial.dataset.statistics else []
    return content_hash([network_identity(trial), own_head, variant, str(device), *told])


class Workspace:
    """A device, and what lies on it for the trials to come.

    The least recently used goes when the networks (or features) together hold more than they may; one alone may be
    larger. The network in use is held by its user, too, so it only leaves this table.
    """

    def __init__(
        self, device: torch.device, *, network_bytes: int | None = None, feature_bytes: int = _HOST_BYTES
    ) -> None:
        self.device = device
        self.doing: TrainingStep | None = None  # how far the work in hand has got, for whoever asks from beside it
        self.first_step_at: float | None = None  # in seconds since 1970
        self.networks: Kept[Network] = Kept(lambda: network_bytes or _half_of(device), _network_bytes)
        self.caches: Kept[FeatureCache] = Kept(lambda: feature_bytes, lambda cache: cache.num_bytes)

    def tell(self, step: TrainingStep | None) -> None:
        """How far the work in hand has got."""
        self.doing = step
        if step is not None and self.first_step_at is None:
            self.first_step_at = time.time()

    def network(self, trial: Trial, task: Task, *, own_head: bool, for_scoring: bool = True) -> Network:
        """The candidate's network as it was opened, in eval mode; whoever takes it changes nothing in it.

        For scoring it is the variant that the candidate asks for (dtype, compile), for training float32. A fresh head
        in it is of any seed. Without its own head it is read for features alone, which training starts from as well.
        """

        def make() -> Network:
            give_back_freed_memory()  # another network's tensors are of other sizes
            model = trial.model if for_scoring else dataclasses.replace(trial.model, dtype="float32", compile=False)
            network = task.network(model, trial.dataset, trial.seed, own_head=own_head)
            network = network.requires_grad_(False).to(self.device).eval()
            if has_kernel(self.device):
                attend_by_length(network.backbone)
            compute = compute_dtype("auto" if own_head else "float32", self.device)  # as whoever scores with it does
            trained = own_head and not for_scoring
            return network if trained else scoring_variant(network, model, self.device, compute)

        return self.networks.get(network_key(trial, self.device, own_head=own_head, for_scoring=for_scoring), make)

    def trainable(self, trial: Trial, task: Task, method: Method, h: Any) -> Network:
        """The network as `method` trains it: a copy, but of weights that the method never changes.

        A fresh head and what the method attaches are drawn from the trial's seed.
        """
        base = self.network(trial, task, own_head=True, for_scoring=False)
        memo: dict[int, Any] = {}
        if method.shares_base:
            own = {id(parameter) for parameter in base.head_parameters()}
            memo = {id(parameter): parameter for parameter in base.backbone.parameters() if id(parameter) not in own}
        network = copy.deepcopy(base, memo)
        network.draw(trial.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_from("attach", trial.seed))
            return method.attach(network, h).to(self.device).eval()

    @cached_property
    def _versions(self) -> list[str]:
        """Read once: to parse what three packages say of themselves took a fifth of what scoring a head takes."""
        return [version(name) for name in _VERSIONS_OF]

    def features(self, trial: Trial, *, for_scoring: bool = True) -> FeatureCache:
        """The features that this trial's frozen backbone has computed here, and in other processes of this machine."""
        key = network_key(trial, self.device, own_head=False, for_scoring=for_scoring)
        base = feature_directory()
        name = content_hash([key, RESULT_VERSION, self._versions, _kind(self.device)])
        return self.caches.get(key, lambda: FeatureCache(base / name if base else None))

    def let_go(self) -> None:
        """Free what is kept on the device for trials to come: open networks, and on a CPU features too."""
        self.networks.clear()
        if self.device.type == "cpu":  # features lie in host memory
            self.caches.clear()
        give_back_freed_memory()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _half_of(device: torch.device) -> int:
    """Half of a GPU; of a host, that others share, a fixed part."""
    return torch.cuda.get_device_properties(device).total_memory // 2 if device.type == "cuda" else _HOST_BYTES


def _network_bytes(network: Network) -> int:
    tensors = {t.data_ptr(): t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers())}
    return sum(tensors.values())


def _kind(device: torch.device) -> str:
    """The kind of device: another one has other last bits."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
