"""Commits that are merged as they come give the row that they give one by one, and are few."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Status
from raybench.core.errors import CoverageError, MergeError
from raybench.metrics import Coverage, MetricSet
from raybench.results.reduce import reduce_trial
from raybench.store.held_commits import HeldCommits
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

METRICS = MetricSet(["accuracy", "log_loss"], {"labels": ["a", "b", "c"]})
BLANK = TrialRow(trial_id="t", status=Status.STOPPED)
MOST = 120  # batches, of two examples each
DEVICES = st.sampled_from(["cpu", "cpu", "cpu", "cpu", "cuda"])


def commit(start, stop, device="cpu", *, ids=None, basis="b"):
    ids = [f"e{number}" for number in range(2 * start, 2 * stop)] if ids is None else ids
    numbers = [int(one[1:]) for one in ids]
    columns = {name: pa.array([n % m for n in numbers], pa.int32()) for name, m in (("target", 2), ("prediction", 3))}
    records = pa.table({"id": ids, **columns, "nll": [0.1 + 0.7 * (n % 7) for n in numbers]})
    return ShardCommit(
        trial_id="t", start=start, stop=stop, num_examples=len(ids), states=METRICS.states(records).to_bytes(),
        score_seconds=0.1 * (start + 1), wall_seconds=0.0, peak_memory_bytes=start % 17, device=device,
        dtype="float32", threads=1, cost='{"params_total": 7}', basis=basis,
    )  # fmt: skip


@functools.cache
def made(start, stop, device="cpu"):
    return commit(start, stop, device)


SINGLE = [made(start, start + 1) for start in range(MOST)]


@st.composite
def arrivals(draw):
    """Shards of one to three batches that cover all, made on two devices, in any order, a stretch of them twice."""
    shards, num_batches = [], draw(st.integers(1, MOST))
    while (start := shards[-1][1] if shards else 0) < num_batches:
        shards.append((start, min(num_batches, start + draw(st.sampled_from([1, 1, 1, 2, 3]))), draw(DEVICES)))
    first, last = sorted(draw(st.tuples(*[st.integers(0, len(shards))] * 2)))
    place = draw(st.integers(0, len(shards)))
    shards[place:place] = shards[first:last]
    if draw(st.booleans()):
        draw(st.randoms(use_true_random=False)).shuffle(shards)
    return num_batches, shards


def held(commits, num_found=0):
    found = HeldCommits(commits[:num_found])
    for one in commits[num_found:]:
        found.add(one)
    return found.all()


def reduced(commits, num_batches):
    expected = Coverage.of([f"e{number}" for number in range(2 * num_batches)])
    row = reduce_trial(BLANK, commits, expected, {})
    seconds = [row.cost.pop(name) for name in ("score_seconds", "examples_per_second")]
    return replace(row, finished_at=0.0), seconds


@settings(max_examples=40)
@given(arrivals(), st.integers(0, MOST))
def test_they_give_the_row_that_they_give_one_by_one(arrived, num_found):
    num_batches, commits = arrived[0], [made(*shard) for shard in arrived[1]]
    row, seconds = reduced(held(commits, num_found), num_batches)
    alone, seconds_alone = reduced(commits, num_batches)
    assert row == alone
    assert all(map(math.isclose, seconds, seconds_alone))


def test_few_are_held():
    found, most = HeldCommits(), 0
    for one in SINGLE:
        found.add(one)
        most = max(most, len(found.all()))
    assert most < MOST / 3
    assert sum(one.num_examples for one in found.all()) == 2 * MOST


def test_shards_that_come_again_hide_none_of_those_after_them():
    row, _ = reduced(held([*SINGLE[:40], *SINGLE[24:40], *SINGLE[40:100]]), 100)
    assert row.num_examples == 200


def test_a_lost_checkpoint_and_a_missing_shard_are_seen_as_ever():
    other = [replace(one, basis="another") for one in SINGLE[50:100]]
    with pytest.raises(CoverageError, match="its checkpoint was lost"):
        reduced(held([*SINGLE[:50], *other]), 100)
    with pytest.raises(CoverageError, match="2 of 200 examples are missing"):
        reduced(held([*SINGLE[:40], *SINGLE[41:100]]), 100)


def test_the_same_examples_under_other_batches_are_refused_when_the_trial_ends():
    again = replace(commit(20, 21, ids=["e0", "e1"]))
    with pytest.raises((CoverageError, MergeError)):
        reduced(held([*SINGLE[:20], again, *SINGLE[21:100]]), 100)


def test_the_basis_is_that_of_the_first():
    found = HeldCommits()
    assert found.basis is None
    for place, one in enumerate(reversed(SINGLE)):
        found.add(replace(one, basis="late" if place else "first"))
    assert found.basis == "first"
    assert HeldCommits([replace(SINGLE[0], basis="stored"), *SINGLE[1:]]).basis == "stored"


def test_states_that_cannot_be_read_are_kept_until_the_trial_ends():
    torn = [replace(one, states=b"") for one in SINGLE]
    assert held(torn) == torn
