"""What trials share: with whom a trial is fitted, and which features of frozen networks it reads. No torch.

bundle_of(trial, data_key, num_rows)                 # equal: one actor fits them together
feature_groups(trial, data_key, own_head=False)      # equal: computed once
steps_of(trial, data_key, num_rows, row_cost)        # equal keys: steps of a fit that are done once in a bundle

Who shares is the recipe's to say; here it is joined with the rows that they share.
"""

from __future__ import annotations

from raybench.core import Trial
from raybench.core.identity import content_hash
from raybench.recipes.recipe import recipe_of

__all__ = ["bundle_of", "feature_groups", "steps_of"]


def bundle_of(trial: Trial, data_key: str, num_rows: int) -> str:
    """The trials with which this one is fitted on `num_rows` rows."""
    return content_hash([data_key, recipe_of(trial.model, trial.method).sharing_key(trial, num_rows)])


def feature_groups(trial: Trial, data_key: str, *, own_head: bool) -> dict[str, str]:
    """By split, the group of features that a trial reads: to fit and score its head, or to start its head from."""
    features = recipe_of(trial.model, trial.method).features(trial, own_head=own_head)
    return {split: f"{content_hash([key, data_key])}:{split}" for split, key in features.items()}


def steps_of(trial: Trial, data_key: str, num_rows: int, row_cost: float) -> tuple[tuple[str, float], ...]:
    """The steps of a trial's fit and what each costs, where a row costs so much in a forward pass."""
    steps = recipe_of(trial.model, trial.method).fit_steps(trial, num_rows)
    return tuple((content_hash([data_key, key]), passes * num_rows * row_cost) for key, passes in steps)
