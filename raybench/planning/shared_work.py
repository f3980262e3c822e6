"""What trials share: with whom a trial is fitted, and which features of frozen networks it reads. No torch.

bundle_of(trial, data_key, num_rows)         # equal: one actor fits them together
feature_groups(trial, data_key)              # equal: computed once
"""

from __future__ import annotations

from typing import Any

from raybench.core import Trial
from raybench.core.identity import content_hash
from raybench.models.configuration import from_scratch
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.shared_steps import beginning
from raybench.tasks.catalog import task_of

__all__ = ["bundle_of", "feature_groups"]


def bundle_of(trial: Trial, data_key: str, num_rows: int) -> str:
    """Heads on the same features are one bundle, and networks whose first epoch over `num_rows` rows is the same."""
    if trial.model.baseline is not None or not get_method(trial.method).needs_fit:
        return trial.trial_id
    if get_method(trial.method).on_features:
        return content_hash([_network(trial), data_key, trial.method])
    return content_hash([data_key, beginning(trial, num_rows)])


def feature_groups(trial: Trial, data_key: str) -> dict[str, str]:
    """By split, the features that a trial reads: to fit and score its head, or to start its head from.

    Those that a head is scored on are of the variant that the candidate asks for, those that training starts from of
    the float32 network.
    """
    model = trial.model
    if model.baseline is not None or not get_method(trial.method).needs_fit:
        return {}
    task = task_of(trial.dataset)
    splits: tuple[str, ...]
    if get_method(trial.method).on_features:
        splits, network = ("train", "test"), (model.dtype, model.compile)
    elif (
        task.objective is not None
        and trial.hyperparameters.get("head") == "probe"
        and not from_scratch(model)
        and not task.has_own_head(model, trial.dataset.labels)
    ):
        splits, network = ("train",), ("float32", False)
    else:
        return {}
    key = content_hash([_network(trial), data_key, network])
    return {split: f"{key}:{split}" for split in splits}


def _network(trial: Trial) -> list[Any]:
    """What of a trial decides the bits of its frozen network."""
    seed = trial.seed if from_scratch(trial.model) else None
    return [trial.weights_fingerprint, seed, list(trial.dataset.labels), dict(trial.dataset.task_config)]
