"""Stores of a team as one: the union, whatever the order, and nothing more when it is done again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from typer.testing import CliRunner

from raybench.cli import app
from raybench.core import Status
from raybench.results.stored import finished_runs, read_run, read_whole_records
from raybench.store import Store
from raybench.store.merge import ORIGINS, merge_store
from tests.results.nights import Scored, publish_run

NUM = 30


def fail(path, reason):
    raise AssertionError(f"{path}: {reason}")


@pytest.fixture
def stores(tmp_path):
    """Two people's stores with one trial in common, and a run in common."""
    right = np.arange(NUM) % 4 > 0
    shared = Scored(candidate="shared", right=right)
    own = {
        "ann": Scored(candidate="a", right=right, weights="wa"),
        "bob": Scored(candidate="b", right=~right, weights="wb"),
    }
    for name, one in own.items():
        publish_run(str(tmp_path / name), f"{name}-1", [shared, one])
        publish_run(str(tmp_path / name), "both-1", [shared])
        run = Store.open(str(tmp_path / name)).run("both-1")
        run.write_json("environment.json", run.read_json("environment.json") | {"written_by": name})
    return tmp_path


def content(store):
    """Every file of a store but for names and times of what rows are written in."""
    rows = {trial_id: row.status for trial_id, row in store.trials.read(fail).items()}
    files = {entry.path: store.files.read(entry.path) for entry in store.files.entries() if entry.path[:6] != "trials"}
    return rows, {path: data for path, data in files.items() if "environment" not in path}


def test_the_union_has_what_each_has_in_any_order_and_is_done_once(stores):
    merged = []
    for order in itertools.permutations(["ann", "bob"]):
        into = Store.open(str(stores / "-".join(order)))
        for name in order:
            merge_store(Store.open(str(stores / name)), into, fail)
        for run in finished_runs(into):
            for one in read_run(into, run, fail).trials:
                assert read_whole_records(into, one.row, fail).num_rows == NUM
        before = content(into)
        again = [merge_store(Store.open(str(stores / name)), into, fail) for name in order]
        assert [(one.new_trials, one.new_runs, one.num_bytes) for one in again] == [(0, (), 0)] * 2
        assert content(into) == before
        merged.append(before)
    assert merged[0] == merged[1]
    assert len(merged[0][0]) == 3


def test_a_run_says_who_wrote_it_where_and_when(stores):
    into = Store.open(str(stores / "team"))
    for name in ("ann", "bob"):
        merge_store(Store.open(str(stores / name)), into, fail)
    origins = into.run("both-1").read_json(ORIGINS)["origins"]
    assert {(one["written_by"], one["store"].rpartition("/")[2]) for one in origins} == {("ann", "ann"), ("bob", "bob")}
    twice = Store.open(str(stores / "twice"))
    merge_store(into, twice, fail)
    assert len(twice.run("both-1").read_json(ORIGINS)["origins"]) == 3  # and the store it came through


def test_what_ended_here_is_not_changed_and_what_failed_here_is_made_good(stores):
    into = Store.open(str(stores / "team"))
    ann = Store.open(str(stores / "ann"))
    rows = list(ann.trials.read(fail).values())
    failed = type(rows[0]).from_record(rows[0].as_record() | {"status": "oom", "finished_at": 1.0})
    into.trials.append(failed)
    into.flush()
    merge_store(ann, into, fail)
    assert {row.status for row in into.trials.read(fail).values()} == {Status.OK}
    worse = type(rows[1]).from_record(rows[1].as_record() | {"status": "failed"})
    other = Store.open(str(stores / "other"))
    other.trials.append(worse)
    other.flush()
    assert merge_store(other, into, fail).new_trials == 0
    assert {row.status for row in into.trials.read(fail).values()} == {Status.OK}


def test_a_trial_without_its_whole_records_is_said_and_left_out(stores):
    ann = Store.open(str(stores / "ann"))
    trial_id = next(iter(ann.trials.read(fail)))
    ann.files.remove(f"records/trial={trial_id}")
    said = []
    merged = merge_store(ann, Store.open(str(stores / "team")), lambda path, reason: said.append((path, reason)))
    assert merged.new_trials == 1
    assert said == [(f"trials: {trial_id}", "its records are not whole; not merged")]


def test_the_command_says_what_was_added_and_refuses_what_is_no_store(stores):
    team = str(stores / "team")
    done = CliRunner().invoke(app, ["merge", str(stores / "ann"), str(stores / "bob"), "--into", team])
    assert done.exit_code == 0, done.output
    assert "2 trials and 2 runs added" in done.output
    assert "1 trials and 1 runs were there" in done.output
    for wrong, line in ((team, "is the one to merge into"), (str(stores / "nowhere"), "holds no runs")):
        refused = CliRunner().invoke(app, ["merge", wrong, "--into", team])
        assert refused.exit_code == 2
        assert line in refused.output
