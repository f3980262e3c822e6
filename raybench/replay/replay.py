"""From a trial's id to a verdict on doing it again.

found, verdict, again = replay_trial(store, "3f2a91", None, skipped)
"""

from __future__ import annotations

from typing import NamedTuple

from raybench.replay.again import Again, run_again
from raybench.replay.find import FoundTrial, find_trial, job_again, plan_again
from raybench.replay.verdict import Verdict, judge
from raybench.results.stored import read_whole_records
from raybench.store import Store
from raybench.store.parquet import Skipped

__all__ = ["Replayed", "replay_trial"]


class Replayed(NamedTuple):
    """What was stored, what is to be said of it now, and what came out again."""

    found: FoundTrial
    verdict: Verdict
    again: Again


def replay_trial(store: Store, name: str, job: str | None, skipped: Skipped) -> Replayed:
    """Fit and score it on the kind of device and with the threads that its row names."""
    found = find_trial(store, name, skipped)
    before = read_whole_records(store, found.one.row, skipped)
    planned, plan = plan_again(found, job_again(found.run, job))
    again = run_again(planned, plan, threads=found.threads, on_gpu=found.on_gpu)
    dataset = plan.datasets[planned.trial.dataset.name]
    return Replayed(found, judge(found, before, again, dataset.metric_set()), again)
