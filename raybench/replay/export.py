"""A trial's fitted network as a directory with a model card: fitted again, since a store keeps no checkpoints.

exported = export_trial(store, "3f2a91", None, Path("out"), skipped, anyway=False)
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from raybench.core.errors import IncompatibleError, ModelError
from raybench.models.export import HEAD_FILE, save_network
from raybench.replay.card import model_card
from raybench.replay.replay import Replayed, replay_trial
from raybench.results.stored import StoredRun
from raybench.runtime.fitter import fitter_of
from raybench.runtime.workspace import Workspace
from raybench.store import Store
from raybench.store.parquet import Skipped

__all__ = ["Exported", "best_trial", "export_trial"]


class Exported(NamedTuple):
    """What was written, and how the fit that it is of compares with the stored one."""

    replayed: Replayed
    directory: Path
    opened_by: str
    has_own_head: bool  # beside what transformers opens


def best_trial(run: StoredRun, dataset: str | None) -> str:
    """The id of the first seed of the best configuration that is a network; IncompatibleError where there is none."""
    table = run.directory.read_table("ranking").to_pylist()
    rows = [row for row in table if row.get("split") != "validation"]
    datasets = dict.fromkeys(row["dataset"] for row in rows if row["dataset"] != "*")
    if dataset is None and len(datasets) > 1:
        raise IncompatibleError(f"run {run.run_id} ranks {', '.join(datasets)}: name one with --dataset")
    wanted = dataset if dataset is not None else next(iter(datasets), "")
    by_configuration = {(one.configuration, one.trial.dataset.name): one for one in reversed(run.trials)}
    for row in sorted((row for row in rows if row["dataset"] == wanted and row["rank"]), key=lambda row: row["rank"]):
        for (configuration, name), one in by_configuration.items():
            found = configuration.candidate, configuration.hyperparameters, name
            if found == (row["candidate"], row["hyperparameters"], wanted) and not one.trial.model.baseline:
                return one.trial.trial_id
    raise IncompatibleError(f"run {run.run_id} ranks no network on {wanted!r}")


def export_trial(
    store: Store, name: str, job: str | None, directory: Path, skipped: Skipped, *, anyway: bool
) -> Exported:
    """Fit it again and write what was fitted.

    Raises:
        ModelError: the directory is not empty, or the fit came out otherwise than the stored one, unless `anyway`.
        IncompatibleError: no class of transformers holds it.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ModelError(f"{directory}: is there already and not empty; name another")
    replayed = replay_trial(store, name, job, skipped)
    verdict, again = replayed.verdict, replayed.again
    if not verdict.is_same and not anyway:
        raise ModelError(
            f"trial {again.row.trial_id[:8]} came out otherwise than it was stored ({'; '.join(verdict.causes)}); "
            "--anyway exports what came out now"
        )
    trial = replace(again.trial, model=replace(again.trial.model, dtype="float32", compile=False))
    network = fitter_of(trial).whole(trial, again.checkpoint, Workspace(again.device))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        opened_by = save_network(network, trial.model, directory)
        head = sorted(network.head.state_dict()) if (directory / HEAD_FILE).exists() else []
        card = model_card(
            again.trial,
            again.scores,
            opened_by=opened_by,
            pooling=getattr(network, "pooling", None),
            head=head,
            notes=_notes(replayed),
        )
        (directory / "README.md").write_text(card, encoding="utf-8")
    except IncompatibleError:
        shutil.rmtree(directory)
        raise
    return Exported(replayed, directory, opened_by, bool(head))


def _notes(replayed: Replayed) -> list[str]:
    if replayed.verdict.is_same:
        return ["fitted again for this export: the same answers to the bit as when it was ranked"]
    return [f"fitted again for this export, other than when it was ranked: {'; '.join(replayed.verdict.causes)}"]
