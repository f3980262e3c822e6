"""The training loop that all methods share: trials that begin with the very same steps run those once.

    for place, outcome in fine_tune(trials, task, method, network, train, device, validation=None, budget=2048): ...

A walk through the tree of their epochs, depth first: where trials part, a snapshot is taken for those that go on
later. The largest branch goes last and drops its snapshot as it starts, so at most log2(trials) are held at a time.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence

import torch

from raybench.core import Trial
from raybench.core.errors import DataError
from raybench.core.training_step import TrainingStep
from raybench.models.network import Network
from raybench.recipes.methods.method import Method
from raybench.runtime.training.epochs import Epochs, Tuned
from raybench.runtime.training.unfinished import Resuming, Saving, Waiting
from raybench.tasks.task import Examples, Task

__all__ = ["fine_tune"]


def fine_tune(
    trials: Sequence[Trial],
    task: Task,
    method: Method,
    network: Network,
    train: Examples,
    device: torch.device,
    *,
    validation: Examples | None,
    budget: int,
    saving: Saving | None = None,
    tell: Callable[[TrainingStep], None] = lambda step: None,
) -> Iterator[tuple[int, Tuned | Exception]]:
    """Train `network` in place for trials whose first epochs are the same; each as soon as it is done, by its place.

    `budget` is the padded tokens forwarded at once. With `saving`, what an earlier process has done of it is not done
    again. Each step is told in words.

    What goes wrong in an epoch (DivergedError: a loss was NaN or infinite) is the outcome of the trials that share
    it, and of no other.

    Raises:
        DataError: early stopping without a validation split.
        IncompatibleError: a network that does not offer what the trials ask for.
    """
    given = [method.read(trial.hyperparameters) for trial in trials]
    last = [trial.until or h.epochs for trial, h in zip(trials, given, strict=True)]
    if given[0].patience and validation is None:
        raise DataError(f"dataset {trials[0].dataset.name!r}: patience needs a validation split; give one under splits")
    epochs = Epochs(trials[0], given, task, method, network, train, device, validation, budget, tell)
    resuming = Resuming(epochs, trials, last, saving, budget=budget)
    waiting = resuming.start()
    while waiting:
        members, progress, snapshot = waiting.pop()
        try:
            if snapshot is not None:
                snapshot.restore()
                snapshot = None  # a last reference goes before the epoch needs the memory
            progress = epochs.epoch(given[members[0]], progress)
            ended = [i for i in members if progress.stopped or last[i] == progress.epochs]
            branches = epochs.part([i for i in members if i not in ended], progress.epochs)
            if len(branches) > 1:
                snapshot = epochs.snapshot()
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # its activations would stay in memory for all that follows
            yield from ((place, error) for place in members)
            continue
        resuming.at_end(ended, progress)
        for place in ended:
            yield place, epochs.tuned(place, progress)
        waiting += [Waiting(branch, progress, snapshot) for branch in reversed(branches[1:])]
        if branches:
            waiting.append(Waiting(branches[0], progress, None))  # goes on at once, from what is there
            resuming.after_epoch([place for branch in branches for place in branch], progress, waiting)
