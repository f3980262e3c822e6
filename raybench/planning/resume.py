"""What the store already holds of a plan: so that a run does only what is missing.

found = look_up(plan, store, skipped)
found.rows, found.commits, found.fitted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from raybench.core import Status
from raybench.planning.plan import Plan, PlannedTrial
from raybench.schedule.work import TrialWork
from raybench.store import Store
from raybench.store.basis import basis_of
from raybench.store.checkpoints import is_intact, list_checkpoints, read_metadata
from raybench.store.files import Files
from raybench.store.parquet import Skipped
from raybench.store.records import count_records, has_records, list_records
from raybench.store.shards import ShardCommit, usable
from raybench.store.trials import TrialRow

__all__ = ["FINAL", "Found", "look_up"]

# These ends stand: the same work would end the same way. The others are tried again by the next run.
FINAL = frozenset({Status.OK, Status.NAN, Status.INCOMPATIBLE})

_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Trials that have ended, shards of those that have not, and checkpoints of fits that need not be done again."""

    rows: Mapping[str, TrialRow]
    commits: Mapping[str, list[ShardCommit]]
    fitted: Mapping[str, str]  # key of a checkpoint → its digest
    metas: Mapping[str, str]  # key of a checkpoint → the JSON that its fit left beside the arrays
    failures: Mapping[str, TrialRow]  # trials that ended badly and are tried again: why, for who only looks
    leftovers: Mapping[str, str] = field(default_factory=dict)  # trials that have ended and still lie there as if under
    # way, each with the checkpoint that nobody reads any more, or ""
    past: tuple[TrialRow, ...] = ()  # how every trial of the store ended, of other jobs too

    def usable(self, planned: PlannedTrial, plan: str, measures: str) -> list[ShardCommit]:
        """What need not be scored again: shards of this batch plan, of the checkpoint that is there, so measured."""
        trial_id, checkpoint = planned.trial.trial_id, planned.work.checkpoint
        if planned.work.needs_fit and checkpoint not in self.fitted:
            return []  # of a checkpoint that is gone
        basis = basis_of(plan=plan, checkpoint=self.fitted.get(checkpoint, ""), measures=measures)
        return usable(self.commits.get(trial_id, []), basis)

    def todo(self, plan: Plan) -> list[TrialWork]:
        """The work that is left, each trial once however many candidates' names it has."""
        left = {
            planned.trial.trial_id: planned.work
            for planned in plan.trials
            if planned.problem is None and planned.trial.trial_id not in self.rows
        }
        return [replace(work, needs_fit=False) if work.checkpoint in self.fitted else work for work in left.values()]


def look_up(plan: Plan, store: Store, skipped: Skipped) -> Found:
    """Read the store; what is torn or foreign is named and counts as missing."""
    checkpoints = {one.trial.trial_id: one.work.checkpoint for one in plan.trials if one.problem is None}
    races = {one.trial.trial_id: one.race for one in plan.trials if one.problem is None}
    contestants = {one for race in plan.races.values() for own in race.contestants for one in own.trial_ids}
    wanted = races.keys() | contestants
    past = store.trials.read(skipped, states_of=wanted)
    ended = {trial_id: row for trial_id, row in past.items() if trial_id in wanted}
    with ThreadPoolExecutor(_THREADS) as pool:
        final = {one: row for one, row in ended.items() if row.status in FINAL or _was_stopped(row, races.get(one))}
        failures = {trial_id: row for trial_id, row in ended.items() if trial_id not in final}
        scored, kept = store.shards.trials() & wanted, list_checkpoints(store.files) & set(checkpoints.values())
        records = list_records(store.files) if final or scored else {}
        counts = pool.map(
            lambda row: count_records(store.files, row.trial_id, records.get(row.trial_id, []), row.basis, skipped),
            final.values(),
        )
        rows = {}
        for (trial_id, row), count in zip(final.items(), counts, strict=True):
            if row.status is Status.OK and count != row.num_examples:
                skipped(f"trials: {trial_id}", f"{count} of its {row.num_examples} records are there; scored again")
            else:
                rows[trial_id] = row
        begun = sorted(scored - rows.keys())
        read = pool.map(lambda one: _with_records(store, one, records.get(one, []), skipped), begun)
        commits = dict(zip(begun, read, strict=True))
        needed = {checkpoint for trial_id, checkpoint in checkpoints.items() if trial_id not in rows}
        stored = sorted(kept & needed)
        whole = dict(zip(stored, pool.map(lambda one: is_intact(store.files, one), stored), strict=True))
        good = [checkpoint for checkpoint, is_good in whole.items() if is_good]
        heads = dict(zip(good, pool.map(lambda one: _head(store.files, one), good), strict=True))
        for checkpoint in (one for one, is_good in whole.items() if is_good is False):  # None: it has gone meanwhile
            skipped(f"checkpoints: {checkpoint}", "torn; fitted again")
    stopped = {trial_id for trial_id, row in rows.items() if row.status is Status.STOPPED}  # another race goes on there
    read_later = {one.work.checkpoint for one in plan.offered} | {checkpoints.get(trial_id, "") for trial_id in stopped}
    unread = kept - needed - read_later
    leftovers = {
        trial_id: checkpoint if checkpoint in unread else ""
        for trial_id, checkpoint in checkpoints.items()
        if trial_id in rows.keys() - stopped and (trial_id in scored or checkpoint in unread)
    }
    return Found(
        rows=rows,
        commits=commits,
        fitted={checkpoint: head.get("digest", "") for checkpoint, head in heads.items()},
        metas={checkpoint: head.get("raybench", "{}") for checkpoint, head in heads.items()},
        failures=failures,
        leftovers=leftovers,
        past=tuple(past.values()),
    )


def _head(files: Files, checkpoint: str) -> dict[str, str]:
    try:
        return read_metadata(files, checkpoint)
    except FileNotFoundError:  # it has gone meanwhile
        return {}


def _was_stopped(row: TrialRow, race: str | None) -> bool:
    """Whether the same race would stop it again; what is scored of it is kept for another one."""
    return row.status is Status.STOPPED and bool(race) and row.provenance.get("race") == race


def _with_records(store: Store, trial_id: str, paths: Sequence[str], skipped: Skipped) -> list[ShardCommit]:
    """The trial's shards whose records are there too: of one without them the tables could not be made."""
    there = frozenset(paths)
    return [one for one in store.shards.read(trial_id, skipped) if has_records(store.files, one, there, skipped)]
