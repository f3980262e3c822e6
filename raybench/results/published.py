"""Tables of a run that were made of the very same things before: read, not made again.

    made_of = basis_of_tables(plan, rows, notes, store)
    ranking = read_published(run, made_of, notes)       # None: made of something else, or not whole

So a run with nothing left to do measures nothing. What tables are made of: trials and how they ended, their record
files as the store lists them, what is measured, and every line of raybench and release of its libraries here. Metrics
of the user's own and slices are not known by all this; tables with them are made each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from raybench.core.identity import bytes_hash, content_hash
from raybench.core.stamps import installed_stamp
from raybench.planning.plan import Plan
from raybench.results.ranking import Ranking
from raybench.store import Store
from raybench.store.runs import NOTES, RunDirectory
from raybench.store.trials import TrialRow

__all__ = ["MADE_OF", "basis_of_tables", "read_published"]

MADE_OF = "made_of"  # of environment.json: the basis of the tables, and the digests of their files


def basis_of_tables(plan: Plan, rows: Mapping[str, TrialRow], notes: Sequence[str], store: Store) -> str | None:
    """Equal: equal tables; None where that is not known."""
    installed, datasets = installed_stamp(), plan.datasets.values()
    if installed is None or any(one.metric_code or one.spec.slices for one in datasets):
        return None
    trials: list[Any] = []
    for planned in plan.trials:
        trial, problem = planned.trial, planned.problem
        named = [trial.trial_id, trial.candidate, asdict(trial.model), trial.method, dict(trial.hyperparameters)]
        failed = None if problem is None else [problem.status, problem.reason]
        trials.append([*named, trial.seed, trial.dataset.name, _ended(rows.get(trial.trial_id)), failed])
    ids = {planned.trial.trial_id for planned in plan.trials}
    records = [list(entry) for entry in store.files.entries("records") if _trial_of(entry.path) in ids]
    measured = [[one.spec.name, one.spec.task, one.loaded.fingerprint, one.rank_by, one.measures] for one in datasets]
    told = [plan.run_id, plan.job.text, str(plan.job.directory), plan.rank_by, list(map(list, plan.job.limits))]
    return content_hash([installed, told, [*plan.notes, *notes], measured, trials, records])


def read_published(run: RunDirectory, made_of: str) -> Ranking | None:
    """What was published on this basis, if all of it is whole."""
    known = run.read_json("environment.json") or {}
    basis = known.get(MADE_OF)
    if not isinstance(basis, dict) or basis.get("basis") != made_of:
        return None
    try:
        tables = {name: run.read_table(name, digest=found) for name, found in basis.items() if name != "basis"}
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
    return Ranking(
        run_id=run.run_id,
        table=tables["ranking"],
        scores=tables["scores"],
        location=run.location("ranking.parquet"),
        notes=tuple(known[NOTES]),
        drops=tables.get("drops"),
    )


def _ended(row: TrialRow | None) -> Any:
    if row is None:
        return None
    return [row.status, row.reason, row.num_examples, bytes_hash([row.states]), row.cost, row.provenance]


def _trial_of(path: str) -> str:
    return path.split("/")[1].removeprefix("trial=")
