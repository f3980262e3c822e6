"""How a trial is made: a baseline, a head on features, a fine-tuned network, the checkpoint as it is, or made pictures.

    recipe = recipe_of(model, "frozen")
    hyperparameters = recipe.resolve({"weight_decay": 0.01})
    recipe.check(task, model, labels, hyperparameters)          # IncompatibleError, in a line, before anything starts
    recipe.sharing_key(trial, num_rows)                         # equal: fitted together, by one actor

Nobody else asks what kind of candidate a trial has. What a recipe does with rows and a device is its `fitter`, a
"module:attribute" of the runtime, so planners import no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from raybench.core import ModelSpec, Trial
from raybench.core.errors import IncompatibleError
from raybench.core.identity import content_hash
from raybench.models.configuration import from_scratch, open_config
from raybench.models.files import model_directory
from raybench.models.pooling import pooling_of
from raybench.models.weights import check_weights
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.method import Method
from raybench.recipes.methods.shared_steps import beginning, course
from raybench.recipes.sharing import network_identity
from raybench.tasks.catalog import task_of
from raybench.tasks.task import Task

__all__ = ["Recipe", "recipe_of"]


class Recipe(ABC):
    """One way to come from training rows to something that predicts."""

    fitter: ClassVar[str]
    needs_fit: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = True

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All hyperparameters, checked; JobError whose `key` names the one at fault."""
        return dict(given)

    def adapt(self, model: ModelSpec, hyperparameters: Mapping[str, Any]) -> ModelSpec:
        """The model as this recipe opens it."""
        return model

    @abstractmethod
    def check(self, task: Task, model: ModelSpec, labels: Sequence[str], hyperparameters: Mapping[str, Any]) -> None:
        """Open nothing heavy and raise what would be raised later.

        Raises:
            ModelError: no such model, no configuration, no safe weights.
            IncompatibleError: the candidate cannot do this task in this way.
        """

    def checked_by(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the hyperparameters that `check` looks at."""
        return {}

    def sharing_key(self, trial: Trial, num_rows: int) -> str:
        """Trials of one dataset with equal keys are fitted together; `num_rows` are those to train on."""
        return trial.trial_id

    def epochs(self, hyperparameters: Mapping[str, Any]) -> int:
        """How many a fit goes through, each of which leaves something to score; 0: there are none."""
        return 0

    def fit_steps(self, trial: Trial, num_rows: int) -> list[tuple[str, float]]:
        """The steps of a fit: what decides each, as `sharing_key`, and its forward passes over the training rows."""
        return [(self.sharing_key(trial, num_rows), 1.0)]

    def has_own_head(self, task: Task, model: ModelSpec, labels: Sequence[str]) -> bool:
        """Whether what is fitted starts from the head that the checkpoint was saved with."""
        return False

    def features(self, trial: Trial, *, own_head: bool) -> dict[str, str]:
        """By split, the features of a frozen network that a trial reads: equal keys, equal features of equal rows."""
        return {}


class _Baseline(Recipe):
    fitter = "raybench.runtime.training.baseline_fitter:BaselineFitter"
    uses_seed = False

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def check(self, task: Task, model: ModelSpec, labels: Sequence[str], hyperparameters: Mapping[str, Any]) -> None:
        baseline = get_baseline(str(model.baseline))
        if task.name not in baseline.tasks:
            raise IncompatibleError(
                f"baseline {model.baseline!r} does {', '.join(baseline.tasks)}, not {task.name}; leave it out here"
            )


class _OfMethod(Recipe):
    """A network, adapted by a method of the catalogue."""

    def __init__(self, method: Method) -> None:
        self.method = method

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self.method.resolve(given)

    def adapt(self, model: ModelSpec, hyperparameters: Mapping[str, Any]) -> ModelSpec:
        return self.method.adapt(model, hyperparameters)

    def checked_by(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        return dict(hyperparameters) if type(self.method).check is not Method.check else {}

    def check(self, task: Task, model: ModelSpec, labels: Sequence[str], hyperparameters: Mapping[str, Any]) -> None:
        config = open_config(model)
        directory = model_directory(model)
        if directory is not None and not from_scratch(model):
            check_weights(model, directory)
        task.check(model, config)
        pooling_of(model)
        self.method.check(model, hyperparameters)


class _AsItIs(_OfMethod):
    fitter = "raybench.runtime.training.network_fitter:AsItIs"
    needs_fit = False
    uses_seed = False

    def check(self, task: Task, model: ModelSpec, labels: Sequence[str], hyperparameters: Mapping[str, Any]) -> None:
        super().check(task, model, labels, hyperparameters)
        task.check_own_head(model, labels)


class _Images(Recipe):
    """Pictures that were made before: there is nothing to fit and no head to look for."""

    fitter = "raybench.runtime.training.network_fitter:AsItIs"
    needs_fit = False
    uses_seed = False

    def check(self, task: Task, model: ModelSpec, labels: Sequence[str], hyperparameters: Mapping[str, Any]) -> None:
        task.check_images(model)


class _Head(_OfMethod):
    fitter = "raybench.runtime.training.head_fitter:HeadFitter"

    def check(self, task: Task, model: ModelSpec, labels: Sequence[str], hyperparameters: Mapping[str, Any]) -> None:
        if task.objective not in self.method.objectives:
            lacking = "has no one vector a row" if task.objective is None else f"asks for {task.objective} outputs"
            raise IncompatibleError(
                f"method {self.method.name!r} fits a head on one vector a row, and {task.name} {lacking}; "
                "full, lora or top_layers do"
            )
        super().check(task, model, labels, hyperparameters)

    def sharing_key(self, trial: Trial, num_rows: int) -> str:
        return content_hash([network_identity(trial), trial.method])

    def features(self, trial: Trial, *, own_head: bool) -> dict[str, str]:
        """Of the variant that the candidate asks for, to fit and to score a head on."""
        key = content_hash([network_identity(trial), [trial.model.dtype, trial.model.compile]])
        return {"train": key, "test": key}


class _FineTuning(_OfMethod):
    fitter = "raybench.runtime.training.network_fitter:NetworkFitter"

    def sharing_key(self, trial: Trial, num_rows: int) -> str:
        """Networks whose first epoch is the same."""
        return beginning(trial, num_rows)

    def epochs(self, hyperparameters: Mapping[str, Any]) -> int:
        return int(hyperparameters.get("epochs", 0))

    def fit_steps(self, trial: Trial, num_rows: int) -> list[tuple[str, float]]:
        return [(key, 3.0) for key in course(trial, num_rows)]  # backward costs two forwards

    def has_own_head(self, task: Task, model: ModelSpec, labels: Sequence[str]) -> bool:
        return task.objective is not None and not from_scratch(model) and task.has_own_head(model, labels)

    def features(self, trial: Trial, *, own_head: bool) -> dict[str, str]:
        """Of the float32 network, where a fresh head starts from them."""
        has_objective = task_of(trial.dataset).objective is not None
        starts_there = has_objective and trial.hyperparameters.get("head") == "probe"
        if not starts_there or from_scratch(trial.model) or own_head:
            return {}
        return {"train": content_hash([network_identity(trial), ["float32", False]])}


def recipe_of(model: ModelSpec, method: str) -> Recipe:
    """The recipe of a candidate's model and method; JobError for names that no catalogue knows."""
    if model.baseline is not None:
        return _Baseline()
    if model.images is not None:
        return _Images()
    found = get_method(method)
    if not found.needs_fit:
        return _AsItIs(found)
    return _Head(found) if found.on_features else _FineTuning(found)
