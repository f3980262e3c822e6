"""What fitting and scoring a trial would take alone, from its operations and a machine's rates; before corrections.

    shape = trial_shape(planned, dataset, tokens=60.0, model_rows=1.0)
    fit, score = charged_seconds(shape, rates)

As a trial's row counts them: a candidate is charged for its features, computed or found.
"""

from __future__ import annotations

from typing import NamedTuple

from raybench.models.forward_cost import ForwardCost
from raybench.planning.datasets import PlannedDataset
from raybench.planning.plan import PlannedTrial
from raybench.planning.rates import Rates
from raybench.recipes.methods.catalog import get_method

__all__ = [
    "Charged",
    "TrialShape",
    "charged_seconds",
    "feature_seconds",
    "forward_seconds",
    "head_seconds",
    "step_seconds",
    "trial_shape",
]

_ROW_SECONDS = 5e-5  # of an example's record, and of one that no network is forwarded through
_BASELINE_ROW_SECONDS = 1e-3  # fitting a bag of words
_HEAD_SECONDS, _HEAD_ROW_SECONDS = 0.1, 4e-4  # of a head on features
_BESIDE_STEPS = 1.3  # times the steps: rows, losses and checks, beside another actor (quickstart: 1.3 and 1.45)


class TrialShape(NamedTuple):
    """All of a trial that its seconds hang on. `kind` is what a prediction's error is learned by, with the model."""

    kind: str
    model: str
    is_baseline: bool
    on_features: bool  # a head, which scores by the same features
    starts_from_features: bool
    trains_all: bool  # the network's own weights, not what is added to it
    size: ForwardCost
    tokens: float  # of a model row
    model_rows: float  # of an example: its windows or choices
    num_train: int
    num_test: int
    passes: float  # forward passes over the training rows that the steps of a fit take
    scores_in_bfloat16: bool  # as the job says; a GPU's rates know no other
    trains_in_bfloat16: bool


class Charged(NamedTuple):
    """Seconds."""

    fit: float
    score: float


def trial_shape(planned: PlannedTrial, dataset: PlannedDataset, *, tokens: float, model_rows: float) -> TrialShape:
    """Of a trial on its dataset's rows, which are so many tokens long."""
    trial, work = planned.trial, planned.work
    rows = dataset.loaded.num_rows
    per_pass = planned.size.a_token * rows.get("train", 0)
    is_baseline = trial.model.baseline is not None
    trains_in_bfloat16 = work.test_features is None and trial.hyperparameters.get("precision") == "bfloat16"
    return TrialShape(
        kind=trial.model.reference if is_baseline else trial.method,
        model=f"{trial.model.reference} {trial.model.num_layers} {trial.model.pooling} {trial.model.dtype}",
        is_baseline=is_baseline,
        on_features=work.test_features is not None,
        starts_from_features=work.train_features is not None,
        trains_all=_trains_all(planned),
        size=planned.size,
        tokens=tokens,
        model_rows=model_rows,
        num_train=rows.get("train", 0) if work.needs_fit else 0,
        num_test=rows["test"],
        passes=sum(cost for _, cost in work.fit_steps) / per_pass if per_pass else 0.0,
        scores_in_bfloat16=trains_in_bfloat16 or trial.model.dtype == "bfloat16",
        trains_in_bfloat16=trains_in_bfloat16,
    )


def _trains_all(planned: PlannedTrial) -> bool:
    trial, work = planned.trial, planned.work
    of_network = work.needs_fit and trial.model.baseline is None and work.test_features is None
    return of_network and not get_method(trial.method).shares_base


def forward_seconds(shape: TrialShape, rates: Rates) -> float:
    """Of an example."""
    operations = shape.model_rows * shape.size.flops(shape.tokens)
    if not operations:
        return _ROW_SECONDS
    return operations / rates.forward_flops(shape.size.hidden, bfloat16=shape.scores_in_bfloat16)


def feature_seconds(shape: TrialShape, rates: Rates) -> float:
    """Of a training row's features: a head is fitted on them as it scores, a network starts from those in float32."""
    return forward_seconds(shape if shape.on_features else shape._replace(scores_in_bfloat16=False), rates)


def head_seconds(shape: TrialShape) -> float:
    """Of fitting one head on features that are there."""
    return _HEAD_SECONDS + _HEAD_ROW_SECONDS * shape.num_train


def step_seconds(shape: TrialShape, rates: Rates) -> float:
    """Of all steps through a network."""
    operations = shape.model_rows * shape.size.flops(shape.tokens) * shape.passes * shape.num_train
    return _BESIDE_STEPS * operations / rates.train_flops(shape.size.hidden, bfloat16=shape.trains_in_bfloat16)


def charged_seconds(shape: TrialShape, rates: Rates) -> Charged:
    """What stands in the trial's row, if the rates hold."""
    forward = forward_seconds(shape, rates)
    score = shape.num_test * (_ROW_SECONDS + (0.0 if shape.is_baseline else forward))
    if shape.is_baseline:
        return Charged(_BASELINE_ROW_SECONDS * shape.num_train, score)
    features = (
        shape.num_train * feature_seconds(shape, rates) + head_seconds(shape) if shape.starts_from_features else 0.0
    )
    steps = 0.0 if shape.on_features else step_seconds(shape, rates)
    return Charged(features + steps, score)
