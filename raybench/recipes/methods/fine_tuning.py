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

    epochs: int = Field(default=3, ge=1, description="passes over the training rows")
    batch_size: int = Field(default=16, ge=1, description="examples a step, whatever fits into memory at once")
    learning_rate: float = Field(default=5e-5, gt=0, description="AdamW's highest")
    head_learning_rate: float | None = Field(default=None, gt=0, description="the head's own; left out: the same")
    layer_decay: float = Field(default=1.0, gt=0, le=1, description="each block below the top learns this much slower")
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's")
    warmup: float = Field(
        default=0.1, ge=0, le=1, description="the share of the steps in which the learning rate rises"
    )
    decay: Literal["linear", "cosine", "constant"] = Field(default="linear", description="how it falls after that")
    head: Literal["probe", "random"] = Field(
        default="probe",
        description="a fresh head starts from a logistic regression on frozen features (probe), or at random",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="the share of a label that is spread over all")
    class_weights: Literal["equal", "balanced"] = Field(
        default="equal", description="balanced: rare labels count more, so that all count alike"
    )
    clip: float = Field(default=1.0, ge=0, description="the largest norm of a gradient; 0: no limit")
    patience: int = Field(
        default=0, ge=0, description="epochs without a better validation loss before the fit ends; 0: it never ends so"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="of the arithmetic; auto: bfloat16 on a GPU, float32 elsewhere"
    )
    micro_batch_tokens: int = Field(
        default=0, ge=0, description="padded tokens forwarded at once; 0: what the device takes"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory for more time")

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
