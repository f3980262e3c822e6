"""Whether what an actor opens is what was planned: the same files on its node, the same code beside the job file."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from raybench.core import ModelSpec, Trial
from raybench.core.code import code_digests
from raybench.core.errors import JobError, ModelError
from raybench.models.fingerprint import weights_stamp
from raybench.recipes.fingerprint import candidate_fingerprint

__all__ = ["PlannedFiles", "not_planned"]


class PlannedFiles:
    """Checks each model once, and again when its files have changed.

    Files that look as they did to the driver (path, size, time, inode) are not read; others are hashed, as a plan does.
    """

    def __init__(self, stamps: Mapping[str, str], directory: Path) -> None:
        self._stamps = stamps  # trial id → as the driver saw the files
        self._directory = directory  # of the job file
        self._checked: set[tuple[str, str]] = set()  # fingerprints, and the stamp they were found at
        self._code: dict[str, str] = {}

    def check(self, trial: Trial) -> None:
        """Raise unless the trial is what its id says.

        Raises:
            ModelError: its weights, configuration or tokenizer are others here.
            JobError: the user's own code is another here.
        """
        for name, planned in trial.code.items():
            if name not in self._code:
                self._code |= code_digests([name], self._directory)
            if self._code[name] != planned:
                raise JobError(
                    f"{name}: on node {socket.gethostname()} its source is not what was planned; put the same beside "
                    "the job file on every node, or run again"
                )
        stamp = weights_stamp(trial.model)
        if (stamp and stamp == self._stamps.get(trial.trial_id)) or (trial.weights_fingerprint, stamp) in self._checked:
            return
        if candidate_fingerprint(trial.model) != trial.weights_fingerprint:
            raise not_planned(trial.model)
        self._checked.add((trial.weights_fingerprint, stamp))


def not_planned(model: ModelSpec) -> ModelError:
    """The error of a model that is another one here."""
    return ModelError(
        f"model {model.reference!r}: on node {socket.gethostname()} its files are not what was planned; copy the same "
        "to every node and leave it alone while a job runs, or run again"
    )
