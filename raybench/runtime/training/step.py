"""One training step: gradients of planned rows, in micro-batches.

Nothing random is shared with other trials: dropout comes from (seed, data fingerprint, step).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from raybench.core import Trial
from raybench.core.errors import IncompatibleError
from raybench.core.identity import seed_from
from raybench.data.batches import BatchSlice, plan_batches
from raybench.models.network import Network
from raybench.recipes.methods.fine_tuning import FineTuning
from raybench.runtime.training.batch_norm import batch_norms, settle_batch_norms
from raybench.runtime.training.cost import count_flops
from raybench.runtime.training.heads import class_weights
from raybench.runtime.training.order import MicroBatch, in_epoch, micro_batches, model_rows
from raybench.runtime.training.precision import autocast, compute_dtype
from raybench.tasks.task import Examples, LossOptions, Task

__all__ = ["Gradients", "Stepper"]

# padding (tokens) that a cut is worth: on a CPU a further backward pass costs about as much, a GPU wants wide batches
MAX_WASTE = {"cpu": 256, "cuda": 16384}


class Gradients(NamedTuple):
    """What a step's backward pass leaves behind beside the gradients; counting changes no bit of them."""

    loss: torch.Tensor
    flops_per_token: float | None  # padded ones; None: not counted


class Stepper:
    """A network, its rows and the options of its steps."""

    def __init__(
        self,
        trial: Trial,
        task: Task,
        h: FineTuning,
        network: Network,
        train: Examples,
        device: torch.device,
        budget: int,
    ) -> None:
        self._trial, self._task, self._h, self.budget = trial, task, h, budget
        self.network, self.train, self.device = network, train, device
        self._seen = train
        self.dtype = compute_dtype(h.precision, device)
        self._options = LossOptions(label_smoothing=h.label_smoothing, class_weights=self._class_weights())
        self.scaler = self.fresh_scaler()

    def fresh_scaler(self) -> torch.amp.GradScaler:
        """The scaler of float16's losses as it is before the first step."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def _class_weights(self) -> torch.Tensor | None:
        if self._h.class_weights == "equal":
            return None
        if self._task.objective != "softmax":
            raise IncompatibleError(f"class_weights: balanced: {self._task.name} has no classes; leave it out")
        labels = self._task.head_targets(self.train)
        return torch.from_numpy(class_weights(labels, len(self._trial.dataset.labels))).to(self.device)

    def begin(self, epoch: int) -> None:
        """Rows as this epoch sees them, until the next begins."""
        self._seen = in_epoch(self.train, self._trial.seed, epoch)

    def gradients(self, rows: np.ndarray, number: int, *, counted: bool) -> Gradients:
        """Gradients of the mean loss over `rows`, in micro-batches of up to `budget` padded tokens."""
        waste = MAX_WASTE.get(self.device.type, 16384)
        counts = model_rows(self.train)
        pieces = micro_batches(rows, self.train.lengths, self.budget, waste, counts)
        run = partial(self._accumulate, rows, pieces, number)
        if not counted:
            return Gradients(run(), None)
        loss, flops = count_flops(run)
        rows_of = [len(piece.rows) if counts is None else int(counts[piece.rows].sum()) for piece in pieces]
        return Gradients(loss, flops / sum(n * piece.padded for n, piece in zip(rows_of, pieces, strict=True)))

    def _accumulate(self, rows: np.ndarray, pieces: list[MicroBatch], number: int) -> torch.Tensor:
        torch.manual_seed(seed_from("dropout", self._trial.seed, self._trial.dataset.training, number))
        units = self.train.units(rows)
        total = torch.zeros((), device=self.device)
        for piece in pieces:
            loss = self._loss(self._seen, piece) / units
            self.scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _loss(self, examples: Examples, piece: MicroBatch) -> torch.Tensor:
        batch = examples.batch(piece.rows, piece.padded, self.device)
        with autocast(self.dtype, self.device):
            outputs = self.network(batch.inputs)
        return self._task.loss(outputs, batch, self._options)

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the gradients, clipped, into the optimizer's parameters, and forget them."""
        self.scaler.unscale_(optimizer)
        if self._h.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self._h.clip)
        self.scaler.step(optimizer)
        self.scaler.update()
        # measured on MiniLM, 1 thread: zeros in place of None cost 0 to 6 % of a fit and a third more page faults
        optimizer.zero_grad(set_to_none=True)

    def settle(self) -> None:
        """Running statistics of batch norms over all training rows, as the network is now."""
        if not batch_norms(self.network):
            return
        plan = plan_batches(self.train.lengths, keys=self.train.keys, rows=model_rows(self.train))
        batches = plan.batches(0, plan.num_batches)
        many = [batch for batch in batches if batch.stop - batch.start > 1] or batches  # of one row nothing varies

        def forward(batch: BatchSlice) -> None:
            rows = plan.order[batch.start : batch.stop]
            with autocast(self.dtype, self.device):
                self.network(self.train.batch(rows, batch.padded, self.device).inputs)

        settle_batch_norms(self.network, [partial(forward, batch) for batch in many])

    @torch.inference_mode()
    def validate(self, examples: Examples) -> float:
        """Mean loss over a validation split."""
        self.network.eval()
        plan = plan_batches(examples.lengths, keys=examples.keys, rows=model_rows(examples))
        losses = [
            self._loss(examples, MicroBatch(plan.order[start:stop], padded))
            for start, stop, padded in plan.batches(0, plan.num_batches)
        ]
        return float(torch.stack(losses).double().sum()) / examples.units(np.arange(len(examples)))
