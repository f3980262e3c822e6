"""The training loop that all methods share: steps of planned rows, micro-batches that fit, losses that stay finite.

Nothing random is shared with other trials: order and dropout come from (seed, data fingerprint, step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from raybench.batches import bucket, plan_batches
from raybench.core import Trial
from raybench.errors import DataError, DivergedError, IncompatibleError
from raybench.identity import seed_from
from raybench.methods.fine_tuning import FineTuning
from raybench.methods.method import Method
from raybench.models.network import Network
from raybench.tasks.task import Examples, LossOptions, Task
from raybench.training.cost import count_flops
from raybench.training.heads import class_weights
from raybench.training.memory import BUDGETS, is_out_of_memory
from raybench.training.optimizer import adamw, rate_factor
from raybench.training.order import MicroBatch, epoch_steps, micro_batches
from raybench.training.precision import autocast, compute_dtype

__all__ = ["FitReport", "fine_tune"]

# padding (tokens) that a cut is worth: on a CPU a further backward pass costs about as much, a GPU wants wide batches
_MAX_WASTE = {"cpu": 256, "cuda": 16384}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """How the fit went. `best_epoch` is the one whose state was kept (the last without early stopping)."""

    steps: int
    loss: float  # mean over the last epoch
    flops: int
    best_epoch: int
    micro_batch_tokens: int


class _Run:
    """One trial's network, data and options under way."""

    def __init__(
        self, trial: Trial, task: Task, method: Method, network: Network, train: Examples, device: torch.device
    ) -> None:
        self.trial, self.task, self.method, self.network, self.train, self.device = (
            trial, task, method, network, train, device,
        )  # fmt: skip
        self.h: FineTuning = method.read(trial.hyperparameters)
        self.dtype = compute_dtype(self.h.precision, device)
        self.options = LossOptions(label_smoothing=self.h.label_smoothing, class_weights=self._class_weights())
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        longest = int(bucket(train.lengths).max(initial=1))
        self.budget_key = BUDGETS.key(trial.weights_fingerprint, trial.method, longest, device)
        self.budget = BUDGETS.start(self.budget_key, device, self.h.micro_batch_tokens)
        self.largest_row = int(train.lengths.max(initial=1))

    def _class_weights(self) -> torch.Tensor | None:
        if self.h.class_weights == "equal":
            return None
        labels = getattr(self.train, "labels", None)
        if labels is None:
            raise IncompatibleError(f"class_weights: balanced: {self.task.name} has no classes; leave it out")
        return torch.from_numpy(class_weights(labels, len(self.trial.dataset.labels))).to(self.device)

    def step(self, rows: np.ndarray, number: int) -> torch.Tensor:
        """Gradients of the mean loss over `rows`, in as many micro-batches as memory asks for; the loss."""
        while True:
            try:
                return self._accumulate(rows, number)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.network.zero_grad(set_to_none=True)
                self.budget = BUDGETS.smaller(self.budget_key, self.budget, error, largest_row=self.largest_row)

    def _accumulate(self, rows: np.ndarray, number: int) -> torch.Tensor:
        torch.manual_seed(seed_from("dropout", self.trial.seed, self.trial.dataset.fingerprint, number))
        units = self.train.units(rows)
        total = torch.zeros((), device=self.device)
        for piece in micro_batches(rows, self.train.lengths, self.budget, _MAX_WASTE.get(self.device.type, 16384)):
            loss = self._loss(self.train, piece) / units
            self.scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _loss(self, examples: Examples, piece: MicroBatch) -> torch.Tensor:
        batch = examples.batch(piece.rows, piece.padded, self.device)
        with autocast(self.dtype, self.device):
            outputs = self.network(batch.inputs)
        return self.task.losses(outputs, batch.targets, self.options).sum()

    @torch.inference_mode()
    def validate(self, examples: Examples) -> float:
        """Mean loss over a validation split."""
        self.network.eval()
        plan = plan_batches(examples.lengths, keys=examples.keys)
        losses = [
            self._loss(examples, MicroBatch(plan.order[start:stop], padded))
            for start, stop, padded in plan.batches(0, plan.num_batches)
        ]
        return float(torch.stack(losses).double().sum()) / examples.units(np.arange(len(examples)))

    def flops_per_token(self) -> float:
        """Of a forward and backward pass with what is trained now, from one row, forgotten again."""
        piece = MicroBatch(np.zeros(1, dtype=np.int64), _padded(self.train, 0))
        self.network.eval()
        flops = count_flops(lambda: self._loss(self.train, piece).backward())
        self.network.zero_grad(set_to_none=True)
        return flops / piece.padded


def _padded(examples: Examples, row: int) -> int:
    return int(bucket(examples.lengths[row]))


def fine_tune(
    trial: Trial,
    task: Task,
    method: Method,
    network: Network,
    train: Examples,
    device: torch.device,
    *,
    validation: Examples | None = None,
) -> FitReport:
    """Train `network` in place and leave it in eval mode.

    Raises:
        DivergedError: a loss was NaN or infinite.
        DataError: early stopping without a validation split.
    """
    run = _Run(trial, task, method, network, train, device)
    h = run.h
    if h.patience and validation is None:
        raise DataError(f"dataset {trial.dataset.name!r}: patience needs a validation split; give one under splits")
    trained = method.trained(network, h)
    optimizer = adamw(network, trained, h)
    if h.gradient_checkpointing:
        _checkpoint_activations(network)
    total = math.ceil(len(train) / h.batch_size) * h.epochs
    seen, flops, number, mean = -1, 0.0, 0, math.nan
    best: tuple[float, int, list[torch.Tensor]] | None = None
    tokens_of_epoch = int(bucket(train.lengths).sum())
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for epoch in range(h.epochs):
            method.unfreeze(network, h, epoch)
            trainable = sum(p.requires_grad for _, p in trained)
            if trainable != seen:
                seen, rate = trainable, run.flops_per_token()
            flops += rate * tokens_of_epoch
            network.train()
            losses = []
            for rows in epoch_steps(
                len(train), h.batch_size, seed=trial.seed, data=trial.dataset.fingerprint, epoch=epoch
            ):
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * rate_factor(number, total, warmup=h.warmup, decay=h.decay)
                losses.append(run.step(rows, number))
                _update(run, optimizer, [p for _, p in trained], h.clip)
                number += 1
            mean = _finite_mean(losses, epoch)
            if h.patience and validation is not None:
                value = run.validate(validation)
                if best is None or value < best[0]:
                    best = (value, epoch, [p.detach().clone() for _, p in trained])
                elif epoch - best[1] >= h.patience:
                    break
    if best is not None:
        with torch.no_grad():
            for (_, parameter), kept in zip(trained, best[2], strict=True):
                parameter.copy_(kept)
    network.eval()
    return FitReport(
        steps=number,
        loss=mean,
        flops=int(flops),
        best_epoch=best[1] if best is not None else epoch,
        micro_batch_tokens=run.budget,
    )


def _update(run: _Run, optimizer: torch.optim.Optimizer, trained: Sequence[nn.Parameter], clip: float) -> None:
    run.scaler.unscale_(optimizer)
    if clip:
        nn.utils.clip_grad_norm_(trained, clip)
    run.scaler.step(optimizer)
    run.scaler.update()
    optimizer.zero_grad(set_to_none=True)


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
