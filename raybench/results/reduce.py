"""A trial's shards into one row: coverage proven, states merged exactly, cost added up.

    row = reduce_trial(blank, commits, expected, fit_meta)       # commits of one basis

Raises CoverageError unless every example of the split was merged exactly once, and all by one checkpoint.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raybench.core import Status
from raybench.core.errors import CoverageError
from raybench.metrics import StateSet
from raybench.metrics.coverage import Coverage
from raybench.store.shards import ShardCommit, disjoint
from raybench.store.trials import TrialRow

__all__ = ["reduce_trial"]

_MADE_ON = ("device", "device_name", "dtype", "threads")


def reduce_trial(
    blank: TrialRow, commits: Sequence[ShardCommit], expected: Coverage, fit_meta: Mapping[str, Any]
) -> TrialRow:
    """The row of a trial all of whose batches are scored; `fit_meta` is what its checkpoint says of its fit."""
    if len({commit.basis for commit in commits}) > 1:
        raise CoverageError("its checkpoint was lost and the fit that replaced it gave other bits; run it again")
    commits = disjoint(list(commits))
    states = StateSet().merge(*(StateSet.from_bytes(commit.states) for commit in commits))
    states.coverage.check(expected)
    num_examples = states.coverage.n
    seconds = math.fsum(commit.score_seconds for commit in commits)
    scoring_cost = json.loads(commits[0].cost)
    cost = {
        **scoring_cost,
        **{
            name: fit_meta[name]
            for name in ("fit_seconds", "params_total", "params_trained", "flops")
            if name in fit_meta
        },
        "score_seconds": seconds,
        "examples_per_second": num_examples / seconds if seconds > 0 else None,
        "peak_memory_bytes": max(
            [*(commit.peak_memory_bytes for commit in commits), int(fit_meta.get("peak_memory_bytes") or 0)]
        ),
    }
    return replace(
        blank,
        status=Status.OK,
        num_examples=num_examples,
        states=states.to_bytes(),
        cost=cost,
        provenance={
            "basis": commits[0].basis,
            "versions": _versions(commits),
            **{name: sorted({getattr(commit, name) for commit in commits}) for name in _MADE_ON},
            "fit": dict(fit_meta),
        },
        finished_at=time.time(),
    )


def _versions(commits: Sequence[ShardCommit]) -> dict[str, list[str]]:
    """Of each library the versions that scored, more than one where the run went on with another."""
    found: dict[str, set[str]] = {}
    for commit in commits:
        for name, version in json.loads(commit.versions).items():
            found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}
