"""An exported network as a run of MLflow: what it was made with, its scores with their intervals, its directory.

    check_mlflow()                    # before the fit, which may take long
    told = log_run(exported)            # "run 3f2a… of experiment 0 at http://…"

Where it goes MLflow's own settings say (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_TRACKING_TOKEN …).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from raybench.core import Score
from raybench.core.errors import ModelError, summary
from raybench.core.identity import VERSION
from raybench.replay.export import Exported

__all__ = ["check_mlflow", "log_run"]

_REFUSED = re.compile(r"[^\w\-. /]")  # in a name, by MLflow
_LONGEST = 500  # characters of a parameter, by MLflow's older stores


def check_mlflow() -> None:
    """ModelError where it is not installed, or what it writes to is not there."""
    if find_spec("mlflow") is None:
        raise ModelError("--mlflow: mlflow is not installed; pip install 'raybench[mlflow]'")
    import mlflow

    try:
        mlflow.MlflowClient().search_experiments(max_results=1)
    except Exception as error:  # of its client, its server or its store
        uri = mlflow.get_tracking_uri()
        local = "" if uri.startswith("http") else " (without a server it wants all of mlflow: pip install mlflow)"
        raise ModelError(f"--mlflow: nothing can be written to {uri}{local}: {summary(error)}") from error


def log_run(exported: Exported) -> str:
    """Write the run; its id and place. ModelError, with what MLflow says, where it cannot be written."""
    import mlflow

    trial = exported.replayed.again.trial
    tags = {
        "raybench.version": VERSION,
        "raybench.trial": trial.trial_id,
        "raybench.run": exported.replayed.found.run.run_id,
        "raybench.weights_fingerprint": trial.weights_fingerprint,
        "raybench.data_fingerprint": trial.dataset.fingerprint,
        "raybench.same_as_ranked": str(exported.replayed.verdict.is_same).lower(),
    }
    params = {
        "candidate": trial.candidate,
        "model": trial.model.reference,
        "revision": trial.model.revision,
        "dataset": trial.dataset.name,
        "task": trial.dataset.task,
        "max_length": trial.dataset.max_length,
        "method": trial.method,
        "seed": trial.seed,
        **{f"{trial.method}.{name}": value for name, value in trial.hyperparameters.items()},
    }
    try:
        with mlflow.start_run(run_name=f"{trial.candidate} on {trial.dataset.name}", tags=tags) as run:
            mlflow.log_params({_named(name): str(value)[:_LONGEST] for name, value in params.items()})
            mlflow.log_metrics(metrics_of(exported.replayed.again.scores))
            mlflow.log_artifacts(str(exported.directory), "model")
            uri = mlflow.get_tracking_uri()
    except Exception as error:  # of its client, its server or its store
        raise ModelError(f"{exported.directory} is written; MLflow has no whole run of it: {summary(error)}") from error
    return f"run {run.info.run_id} of experiment {run.info.experiment_id} at {uri}"


def metrics_of(scores: Mapping[str, Score]) -> dict[str, float]:
    """`macro_f1`, `macro_f1_low`, `macro_f1_high` and `macro_f1_n`; what is undefined is left out."""
    found: dict[str, Any] = {}
    for name, score in scores.items():
        ends = {"": score.value, "_low": score.low, "_high": score.high, "_n": score.n}
        found |= {_named(name + end): value for end, value in ends.items()}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _named(name: str) -> str:
    return _REFUSED.sub(".", name)
