"""What a recipe does with rows on a device: fit trials that share work, and open what a fit left to predict with it.

fitter = fitter_of(trial)
for place, outcome in fitter.fit([trial], inputs, fitter.first_attempt(trial, inputs)): ...
predictor = fitter.open(trial, checkpoint, workspace)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raybench.core import Trial
from raybench.core.catalog import import_place
from raybench.models.network import Network
from raybench.recipes.recipe import recipe_of
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.training.attempt import Attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.unfinished import Saving
from raybench.runtime.workspace import Workspace

__all__ = ["FitInputs", "Fitter", "fitter_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitInputs:
    """Prepared rows, where to work, and how a fit is to outlive its process."""

    train: pa.Table
    workspace: Workspace
    validation: pa.Table | None = None
    saving: Saving | None = None


class Fitter(ABC):
    """One recipe's work on one device."""

    def first_attempt(self, trial: Trial, inputs: FitInputs) -> Attempt:
        """How a fit is tried first; trials of equal attempts go together."""
        return Attempt()

    @abstractmethod
    def fit(
        self, trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
    ) -> Iterator[tuple[int, Checkpoint | Exception]]:
        """Fit trials of one sharing key, each by its place as soon as it is done."""

    @abstractmethod
    def open(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Predictor:
        """Ready to score.

        Raises:
            ModelError, IncompatibleError: the candidate cannot be opened, or has no head to score as it is.
        """

    @abstractmethod
    def whole(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Network:
        """The float32 network with all that was trained in it, as it is kept beyond a run.

        Raises:
            IncompatibleError: the trial is no network.
        """


def fitter_of(trial: Trial) -> Fitter:
    """The fitter of a trial's recipe."""
    fitter: Fitter = import_place("a recipe's fitter", recipe_of(trial.model, trial.method).fitter)()
    return fitter
