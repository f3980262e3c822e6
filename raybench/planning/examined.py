"""What a plan finds out of a candidate for a task: whether it can do it, its weights' fingerprint, what it costs.

    found = examine(Candidacy(recipe, task, ("text-classification", "full"), model, labels, hyperparameters))
    found.problem, found.weights, found.processor

Looking into a configuration imports transformers; so what was found is remembered on this machine by all
that it hangs on: the spec, the task and its options, the labels, every file of the model and its tokenizer, all that is
installed. Errors of a candidate's files are not: they are looked into anew each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from raybench.core import ModelSpec, Status
from raybench.core.errors import IncompatibleError, ModelError, summary
from raybench.core.remembered import keep, recall
from raybench.core.stamps import installed_stamp, tree_stamps
from raybench.models.files import model_directory, tokenizer_directory
from raybench.models.fingerprint import weights_stamp
from raybench.models.forward_cost import NO_COST, ForwardCost, forward_cost
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.recipe import Recipe
from raybench.tasks.task import Task

__all__ = ["Candidacy", "Examined", "Problem", "examine"]

_KIND = "candidates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a trial cannot start."""

    status: Status
    reason: str


class Examined(NamedTuple):
    """What was found until a problem was; `stamp` is of the files before they were read."""

    problem: Problem | None
    cost: ForwardCost
    stamp: str
    weights: str
    processor: str
    own_head: bool  # what is fitted starts from the checkpoint's own


class Candidacy(NamedTuple):
    """What is asked: whether a recipe can do a task with a model, for any seed."""

    recipe: Recipe
    task: Task
    names: tuple[str, str]  # of task and method in the job
    model: ModelSpec
    labels: Sequence[str]
    hyperparameters: Mapping[str, Any]


def examine(asked: Candidacy) -> Examined:
    """The answer; whatever a candidate's files or code raise is a problem."""
    key = _key(asked)
    if key is not None and (known := recall(_KIND, key)) is not None:
        reason, sizes, stamped, weights, processor, own_head = known
        problem = None if reason is None else Problem(status=Status.INCOMPATIBLE, reason=reason)
        stamp = weights_stamp(asked.model) if stamped else ""
        return Examined(problem, ForwardCost(*sizes), stamp, weights, processor, own_head)
    found = _found(asked)
    stays = found.problem is None or found.problem.status is Status.INCOMPATIBLE
    if key is not None and stays and key == _key(asked):
        reason = None if found.problem is None else found.problem.reason
        of_it = [found.weights, found.processor, found.own_head]
        keep(_KIND, key, [reason, list(found.cost), bool(found.stamp), *of_it])
    return found


def _found(asked: Candidacy) -> Examined:
    recipe, task, _, model, labels, hyperparameters = asked
    problem, cost, stamp, weights, processor = None, NO_COST, "", f"unavailable:{model.reference}", ""
    own_head = False
    try:
        recipe.check(task, model, labels, hyperparameters)
        cost = forward_cost(model)
        stamp = weights_stamp(model)  # before the files are read: if they change meanwhile, actors read them again
        weights = candidate_fingerprint(model)
        processor = task.processor_key(model)
        own_head = recipe.has_own_head(task, model, labels)
    except IncompatibleError as error:
        problem = Problem(status=Status.INCOMPATIBLE, reason=str(error))
    except ModelError as error:
        problem = Problem(status=Status.FAILED, reason=str(error))
    except (Exception, SystemExit) as error:  # whatever a candidate's files or code do is its own: the others go on
        problem = Problem(status=Status.FAILED, reason=f"model {model.reference!r}: {summary(error)}")
    return Examined(problem, cost, stamp, weights, processor, own_head)


def _key(asked: Candidacy) -> Any:
    """All that the answer hangs on; None where that is not known, or it is found as quickly."""
    recipe, task, names, model, labels, hyperparameters = asked
    installed = installed_stamp()
    of_others = any(":" in name for name in names) or model.images is not None or task.opened()
    if installed is None or model.baseline is not None or of_others:
        return None
    try:
        directories = [model_directory(model, weights=False), tokenizer_directory(model) if model.tokenizer else None]
    except ModelError:
        return None  # whoever opens it says why it cannot be
    files = [tree_stamps(directory) for directory in directories if directory is not None]
    if None in files:
        return None
    question = [*names, task.settings.model_dump(mode="json"), list(labels)]
    return [installed, asdict(model), question, recipe.checked_by(hyperparameters), files]
