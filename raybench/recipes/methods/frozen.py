"""`frozen`: a head on features that are computed once; linear by L-BFGS to convergence, or by AdamW, or an MLP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from raybench.recipes.methods.method import Hyperparameters, Method

__all__ = ["Frozen", "HeadFitting"]


class HeadFitting(Hyperparameters):
    """Without `learning_rate` the convex problem is solved: mean loss + weight_decay/2·|W|², the bias left free.

    `weight_decay` unset is 1/N then (N rows), which is scikit-learn's LogisticRegression with C = 1.
    """

    learning_rate: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    hidden: int = Field(default=0, ge=0)  # units of one hidden layer; 0: linear
    epochs: int = Field(default=100, ge=1)  # with AdamW
    batch_size: int = Field(default=32, ge=1)  # with AdamW
    optimizer: Literal["adamw", "sgd"] = "adamw"  # with learning_rate; sgd has momentum 0.9
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["equal", "balanced"] = "equal"

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
