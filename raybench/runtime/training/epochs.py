"""A network on its way through epochs, and what a trial has behind it after each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from raybench.core import Trial
from raybench.core.errors import DivergedError, IncompatibleError
from raybench.core.training_step import TrainingStep
from raybench.data.batches import bucket
from raybench.models.network import Network
from raybench.models.seen_words import SeenWords, train_seen_words
from raybench.recipes.methods.fine_tuning import FineTuning
from raybench.recipes.methods.learning_rate import rate_factor
from raybench.recipes.methods.method import Method
from raybench.recipes.methods.shared_steps import epoch_key
from raybench.runtime.training.memory import peak_memory_bytes, reset_peak_memory
from raybench.runtime.training.optimizer import adamw
from raybench.runtime.training.order import epoch_steps, model_rows
from raybench.runtime.training.snapshot import Kept, Snapshot, live
from raybench.runtime.training.step import Stepper
from raybench.tasks.task import Examples, Task

__all__ = ["Best", "Epochs", "Progress", "Tuned"]


class Best(NamedTuple):
    """The epoch of the least validation loss, and what the network was then."""

    loss: float
    epoch: int
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a trial has behind it, shared epochs in full: the same as if it were alone."""

    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    peak_memory_bytes: int = 0
    loss: float = math.nan  # mean over the last epoch
    num_open: int = -1  # tensors trained in the last epoch
    flops_per_token: float = 0.0  # of its steps
    best: Best | None = None  # with early stopping
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuned:
    """A trial at its end; `best_epoch` is the one whose arrays these are (the last without early stopping)."""

    arrays: Mapping[str, np.ndarray]
    best_epoch: int
    num_trained: int  # parameters
    progress: Progress


class Epochs:
    """One network on its way through the epochs of trials that begin alike."""

    def __init__(
        self,
        trial: Trial,
        given: Sequence[FineTuning],
        task: Task,
        method: Method,
        network: Network,
        train: Examples,
        device: torch.device,
        validation: Examples | None,
        budget: int,
        tell: Callable[[TrainingStep], None],
    ) -> None:
        self._tell = tell
        self._trial, self._given, self._method, self._validation = trial, given, method, validation
        self._sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
        self._names = [[name for name, _ in method.trained(network, h)] for h in given]
        union = {name for names in self._names for name in names}
        self._seen = _train_seen_words(network, train, union, given[0])
        self._trained = [(name, parameter) for name, parameter in network.named_parameters() if name in union]
        self._stepper = Stepper(trial, task, given[0], network, train, device, budget)
        self._optimizer = adamw(network, self._trained, given[0])
        weight = None if self._seen is None else self._seen.weight
        groups = self._optimizer.param_groups
        self._words_group = next((one for one in groups if any(p is weight for p in one["params"])), {})
        if given[0].gradient_checkpointing:
            _checkpoint_activations(network)
        counts = model_rows(train)
        padded = bucket(train.lengths)
        self._tokens_of_epoch = int((padded if counts is None else padded * counts).sum())

    def part(self, members: Sequence[int], epoch: int) -> list[list[int]]:
        """Who goes on with whom, the smallest branch first."""
        branches: dict[str, list[int]] = {}
        for index in members:
            branches.setdefault(self.key(index, epoch), []).append(index)
        return sorted(branches.values(), key=len)

    @property
    def num_rows(self) -> int:
        return len(self._stepper.train)

    def key(self, index: int, epoch: int) -> str:
        """What decides the steps of a trial's epoch, beside all that was before it."""
        return epoch_key(self._method, self._given[index], epoch, self.num_rows)

    def live(self) -> Kept:
        """What training changes, as it is now."""
        return live(self._stepper, self._optimizer, self._trained)

    def snapshot(self, kept: Kept | None = None) -> Snapshot:
        """Where training is now, or where it was when this was kept."""
        return Snapshot(self._stepper, self._optimizer, self._trained, kept)

    def epoch(self, h: FineTuning, before: Progress) -> Progress:
        """One epoch more."""
        began = time.perf_counter()
        stepper, optimizer, train, epoch = self._stepper, self._optimizer, self._stepper.train, before.epochs
        reset_peak_memory(stepper.device)
        self._method.unfreeze(stepper.network, h, epoch)
        num_open = sum(parameter.requires_grad for _, parameter in self._trained)
        flops_per_token = before.flops_per_token if num_open == before.num_open else None
        stepper.begin(epoch)
        stepper.network.train()
        steps = epoch_steps(
            len(train), h.batch_size, seed=self._trial.seed, data=self._trial.dataset.training, epoch=epoch
        )
        losses = []
        with torch.random.fork_rng(devices=[stepper.device] if stepper.device.type == "cuda" else []):
            last = self._trial.until or h.epochs
            for number, rows in enumerate(steps, before.steps):
                self._tell(TrainingStep(epoch + 1, last, number - before.steps + 1, len(steps)))
                factor = rate_factor(number, len(steps) * h.epochs, warmup=h.warmup, decay=h.decay)
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * factor
                loss, counted = stepper.gradients(rows, number, counted=flops_per_token is None)
                flops_per_token = counted if flops_per_token is None else flops_per_token
                losses.append(loss)
                stepper.update(optimizer)
                if self._seen is not None and self._seen.weight.requires_grad:
                    self._seen.decay(1 - self._words_group["lr"] * self._words_group["weight_decay"])
        mean = _finite_mean(losses, epoch)
        best, stopped = self._judge(h, before.best, epoch)
        assert flops_per_token is not None
        return Progress(
            epochs=epoch + 1,
            steps=before.steps + len(steps),
            seconds=before.seconds + time.perf_counter() - began,
            flops=before.flops + flops_per_token * self._tokens_of_epoch,
            peak_memory_bytes=max(before.peak_memory_bytes, peak_memory_bytes(stepper.device)),
            loss=mean,
            num_open=num_open,
            flops_per_token=flops_per_token,
            best=best,
            stopped=stopped,
        )

    def _judge(self, h: FineTuning, best: Best | None, epoch: int) -> tuple[Best | None, bool]:
        """The best epoch so far, and whether it is too long ago."""
        if not h.patience or self._validation is None:
            return None, False
        self._stepper.settle()
        loss = self._stepper.validate(self._validation)
        if best is None or loss < best.loss:
            return Best(loss, epoch, self._arrays()), False
        return best, epoch - best.epoch >= h.patience

    def _arrays(self) -> dict[str, np.ndarray]:
        """What training changes, copied: parameters, and the running statistics of batch norms."""
        buffers = [
            (name, buffer)
            for name, buffer in self._stepper.network.named_buffers()
            if name.endswith(("running_mean", "running_var"))
        ]
        arrays = {
            name: tensor.detach().to("cpu", torch.float32, copy=True).numpy()
            for name, tensor in [*self._trained, *buffers]
        }
        if self._seen is not None:
            name = next(name for name, parameter in self._trained if parameter is self._seen.weight)
            arrays[name] = self._seen.whole().to("cpu", torch.float32).numpy()
        return arrays

    def tuned(self, index: int, progress: Progress) -> Tuned:
        """A trial's outcome, of what its own epochs train."""
        others = {name for name, _ in self._trained} - set(self._names[index])
        began = time.perf_counter()
        if progress.best is None:
            self._stepper.settle()
        arrays = self._arrays() if progress.best is None else progress.best.arrays
        progress = replace(progress, seconds=progress.seconds + time.perf_counter() - began)
        return Tuned(
            arrays={name: array for name, array in arrays.items() if name not in others},
            best_epoch=progress.epochs - 1 if progress.best is None else progress.best.epoch,
            num_trained=sum(self._sizes[name] for name, _ in self._trained if name not in others),
            progress=progress,
        )


def _train_seen_words(network: Network, train: Examples, trained: set[str], h: FineTuning) -> SeenWords | None:
    """Where the word embeddings are among the parameters trained, and it is known what words there are."""
    words = getattr(train, "occurring_words", None)
    if words is None or h.precision == "float16":  # which leaves steps out, and their decay
        return None
    backbone: Any = network.backbone
    whole = (
        getattr(backbone.get_input_embeddings(), "weight", None) if hasattr(backbone, "get_input_embeddings") else None
    )
    if not any(parameter is whole for name, parameter in network.named_parameters() if name in trained):
        return None
    return train_seen_words(network.backbone, words())


def _finite_mean(losses: list[torch.Tensor], epoch: int) -> float:
    mean = float(torch.stack(losses).double().mean())  # the one wait for the device of an epoch
    if not math.isfinite(mean):
        raise DivergedError(f"the loss became {mean} in epoch {epoch + 1}; a smaller learning_rate may do")
    return mean


def _checkpoint_activations(network: Network) -> None:
    backbone: Any = network.backbone
    renamed = getattr(backbone, "activation_checkpointing_enable", None)  # transformers renames it on the way to v6
    enable = renamed or getattr(backbone, "gradient_checkpointing_enable", None)
    if enable is None or not getattr(network.backbone, "supports_gradient_checkpointing", False):
        raise IncompatibleError(f"gradient_checkpointing: {type(network.backbone).__name__} does not offer it")
    enable({"use_reentrant": False})
