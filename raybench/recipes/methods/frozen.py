"""`frozen`: a head on features that are computed once; linear by L-BFGS to convergence, or by AdamW, or an MLP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from raybench.recipes.methods.method import Hyperparameters, Method

__all__ = ["Frozen", "HeadFitting"]


class HeadFitting(Hyperparameters):
    """Without `learning_rate` the convex problem is solved: mean loss + weight_decay/2·|W|², the bias left free."""

    learning_rate: float | None = Field(
        default=None, gt=0, description="of steps; left out: the convex problem is solved to its end by L-BFGS"
    )
    weight_decay: float | None = Field(
        default=None,
        ge=0,
        description="of |W|²/2 beside the mean loss; left out, without learning_rate: 1 / training rows (C = 1)",
    )
    hidden: int = Field(default=0, ge=0, description="units of one hidden layer, fitted in steps; 0: a linear head")
    epochs: int = Field(default=100, ge=1, description="with learning_rate: passes over the training rows")
    batch_size: int = Field(default=32, ge=1, description="with learning_rate: rows a step")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="with learning_rate; sgd has momentum 0.9")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="the share of a label that is spread over all")
    class_weights: Literal["equal", "balanced"] = Field(
        default="equal", description="balanced: rare labels count more, so that all count alike"
    )

    @model_validator(mode="after")
    def _hidden_needs_steps(self) -> HeadFitting:
        if self.hidden and self.learning_rate is None:
            raise ValueError("a hidden layer is fitted in steps; give learning_rate too (0.001 is usual)")
        return self


class Frozen(Method):
    """The backbone never changes, so its features are shared by all heads, seeds and training-set sizes."""

    name = "frozen"
    hyperparameters = HeadFitting
    on_features = True
