"""Fitting trials: a bundle shares what its trials have in common, and each is tried again where that helps."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.recipes.recipe import recipe_of
from raybench.runtime.fitter import FitInputs, fitter_of
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.training.attempt import Attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.determinism import deterministic, deterministic_where_possible
from raybench.runtime.training.features import extract_part
from raybench.runtime.training.unfinished import Saving
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import task_of

__all__ = ["features_part", "fit_bundle", "fit_in_turn", "fit_trial", "needs_fit", "open_predictor"]


def needs_fit(trial: Trial) -> bool:
    """Whether there is anything to fit before scoring; False for method `none`."""
    return recipe_of(trial.model, trial.method).needs_fit


def features_part(
    trial: Trial,
    rows: pa.Table,
    batches: Sequence[tuple[np.ndarray, int]],
    workspace: Workspace,
    *,
    for_scoring: bool,
) -> pa.Table:
    """Features of some batches of prepared rows by the trial's frozen network, for `FeatureCache.include` elsewhere.

    For scoring (and for heads) it is the variant that the candidate asks for, else the float32 network that
    fine-tuning starts from.
    """
    task, device = task_of(trial.dataset), workspace.device
    network = workspace.network(trial, task, own_head=False, for_scoring=for_scoring)
    cache = workspace.features(trial, for_scoring=for_scoring)
    examples = task.examples(rows, trial.model, trial.dataset)
    return deterministic_where_possible(lambda: extract_part(network, examples, batches, cache, device), device)[0]


def open_predictor(trial: Trial, checkpoint: Checkpoint | None, where: Workspace | torch.device) -> Predictor:
    """The trial with what its checkpoint trained, ready to score; a device alone is a workspace for this once.

    Raises:
        ModelError, IncompatibleError: the candidate cannot be opened, or has no head to score as it is.
    """
    return fitter_of(trial).open(trial, checkpoint, _workspace(where))


def fit_trial(
    trial: Trial, train: pa.Table, where: Workspace | torch.device, *, validation: pa.Table | None = None
) -> Checkpoint:
    """Fit one trial on prepared rows: a bundle of one. A device alone is a workspace for this once.

    Raises:
        RaybenchError: something the user can mend. DivergedError: the loss became NaN or infinite.
    """
    outcome = fit_bundle([trial], train, where, validation=validation)[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def fit_bundle(
    trials: Sequence[Trial], train: pa.Table, where: Workspace | torch.device, *, validation: pa.Table | None = None
) -> list[Checkpoint | Exception]:
    """Fit trials that share rows, in their order; one that fails is its exception and stops no other."""
    outcomes = dict(fit_in_turn(trials, train, where, validation=validation))
    return [outcomes[place] for place in range(len(trials))]


def fit_in_turn(
    trials: Sequence[Trial],
    train: pa.Table,
    where: Workspace | torch.device,
    *,
    validation: pa.Table | None = None,
    saving: Saving | None = None,
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    """The same, each by its place as soon as it is done, so that no more than one need be held.

    Trials of one sharing key are fitted together; the bits are those of each alone. What runs out of memory is tried
    again as `Attempt.after` says. With `saving`, networks go on from where an earlier process was; heads, a matter of
    seconds, begin anew.
    """
    inputs = FitInputs(train=train, workspace=_workspace(where), validation=validation, saving=saving)
    waiting: dict[tuple[str, Attempt], list[int]] = {}
    for place, trial in enumerate(trials):
        shared = recipe_of(trial.model, trial.method).sharing_key(trial, train.num_rows)
        waiting.setdefault((shared, fitter_of(trial).first_attempt(trial, inputs)), []).append(place)
    while waiting:
        shared, attempt = key = next(iter(waiting))
        places = waiting.pop(key)
        if attempt.alone:
            inputs.workspace.let_go()
        with deterministic(inputs.workspace.device, strict=attempt.deterministic):
            for index, outcome in _fit_together([trials[place] for place in places], inputs, attempt):
                if not isinstance(outcome, Exception) or (further := attempt.after(outcome)) is None:
                    yield places[index], outcome
                else:
                    outcome.__traceback__ = None  # its frames hold what did fit into memory
                    waiting.setdefault((shared, further), []).append(places[index])


def _fit_together(
    trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    """Each outcome by its place; what goes wrong for all of them is the outcome of each that has none yet."""
    missing = dict.fromkeys(range(len(trials)))
    try:
        for place, outcome in fitter_of(trials[0]).fit(trials, inputs, attempt):
            del missing[place]
            yield place, outcome
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # they hold what did fit into memory
        yield from ((place, error) for place in missing)


def _workspace(where: Workspace | torch.device) -> Workspace:
    return where if isinstance(where, Workspace) else Workspace(where)
