"""The hyperparameters that all methods trained by gradient steps through the backbone share."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from raybench.recipes.methods.learning_rate import course_key
from raybench.recipes.methods.method import Hyperparameters, Method

__all__ = ["FineTuning", "FineTuningMethod"]

_WHEN = {"epochs", "warmup", "decay"}  # in an epoch they are the factors of the learning rate and nothing else


class FineTuning(Hyperparameters):
    """AdamW over epochs of shuffled batches.

    `head: probe` starts a fresh head from a logistic regression on the frozen features, so that the first steps do
    not spoil the backbone (Kumar et al. 2022, "Fine-tuning can distort pretrained features").
    """

    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=16, ge=1)  # examples a step, whatever fits into memory at once
    learning_rate: float = Field(default=5e-5, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0)  # the head's own; None: the same
    layer_decay: float = Field(default=1.0, gt=0, le=1)  # each block below the top learns this much slower
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, le=1)  # share of the steps
    decay: Literal["linear", "cosine", "constant"] = "linear"
    head: Literal["probe", "random"] = "probe"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["equal", "balanced"] = "equal"
    clip: float = Field(default=1.0, ge=0)  # largest gradient norm; 0: no limit
    patience: int = Field(default=0, ge=0)  # epochs without a better validation loss before stopping; 0: never
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: bfloat16 on a GPU
    micro_batch_tokens: int = Field(default=0, ge=0)  # padded tokens forwarded at once; 0: what the device takes
    gradient_checkpointing: bool = False

    def num_steps(self, num_rows: int) -> int:
        """Steps of an epoch; the last may be smaller."""
        return math.ceil(num_rows / self.batch_size)


class FineTuningMethod(Method):
    """Base of the methods of this kind. One whose `attach` or `unfreeze` reads `epochs` adds it to the settings."""

    hyperparameters = FineTuning

    def epoch_settings(self, hyperparameters: Any, epoch: int, num_rows: int) -> dict[str, Any]:
        h = hyperparameters
        steps = h.num_steps(num_rows)
        rates = course_key(epoch * steps, steps, h.epochs * steps, warmup=h.warmup, decay=h.decay)
        return {**h.model_dump(exclude=_WHEN), "rates": rates}
