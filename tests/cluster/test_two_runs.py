"""Several drivers on one store: each trial is done once, nobody fails for the others, and all tables are whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest
import yaml

import raybench
from raybench.report.status_table import print_status
from raybench.results.tables import TIMING_COLUMNS

COMMAND = [sys.executable, "-m", "raybench"]
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)


class Jobs:
    """One job, and one that shares some of its trials, on one store."""

    def __init__(self, job, small):
        self.folder, self.store = job.folder, job.folder / "store"
        self.one = job.write(**small.keys)
        self.other = job.folder / "other.yaml"
        other = job.job | small.keys | {"name": "other", "candidates": small.keys["candidates"][:2]}
        self.other.write_text(yaml.safe_dump(other))

    def start(self, path, ray_address):
        return subprocess.Popen(
            [*COMMAND, "run", str(path), "--address", ray_address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip

    def wait_for(self, pattern, process, count=1):
        deadline = time.monotonic() + 120
        while len([*self.folder.glob(pattern)]) < count:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def ends(self):
        """How often each trial has ended."""
        tables = [pq.read_table(path).to_pylist() for path in self.store.glob("trials/part-*.parquet")]
        return Counter((row["trial_id"], row["status"]) for table in tables for row in table)


@pytest.fixture
def jobs(make_job, small):
    return Jobs(make_job(), small)


@pytest.fixture(scope="module")
def expected(small):
    """Each job alone: the second one has nothing left to do."""
    raybench.run(Jobs(small.job, small).other, address="nowhere:1", quiet=True)
    return published(small.job.folder / "store")


def timeless(table):
    return table.drop_columns(list(TIMING_COLUMNS)).to_pylist()


def published(store):
    return {path.parent.name: timeless(pq.read_table(path)) for path in store.glob("runs/*/ranking.parquet")}


def test_runs_that_share_trials_do_each_once_and_publish_the_same(jobs, expected, ray_address):
    first = jobs.start(jobs.one, ray_address)
    jobs.wait_for("store/leases/*.json", first)
    second, third = jobs.start(jobs.one, ray_address), jobs.start(jobs.other, ray_address)
    jobs.wait_for("store/leases/*.json", first, count=3)
    while first.poll() is None:  # whoever looks meanwhile sees a whole state: a warning would be an error
        seen = raybench.rank(jobs.one)
        assert not seen.location or not any("the run is under way" in note for note in seen.notes)
        print_status(str(jobs.store))
    said = {process: process.communicate(timeout=120) for process in (first, second, third)}
    assert [process.returncode for process in said] == [0, 0, 0], said
    assert "waiting for trials that other runs do: " in said[second][1]
    assert published(jobs.store) == expected
    assert {status for _, status in jobs.ends()} == {"ok"}
    assert set(jobs.ends().values()) == {1}
    assert [*jobs.store.glob("leases/*"), *jobs.store.glob("checkpoints/*"), *jobs.store.rglob(".*")] == []


def test_a_run_takes_over_what_a_killed_one_was_doing(jobs, expected, ray_address):
    first = jobs.start(jobs.one, ray_address)
    jobs.wait_for("slow", first)
    first.send_signal(signal.SIGSTOP)  # or it might end before the second one is there
    second = jobs.start(jobs.one, ray_address)
    jobs.wait_for("store/leases/*.json", first, count=2)
    first.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    first.communicate()
    while len([*jobs.store.glob("leases/*.json")]) == 2:
        assert time.monotonic() - killed_at < 50, "silence would have told it a minute later"
        time.sleep(0.01)
    _, error = second.communicate(timeout=120)
    assert second.returncode == 0, error
    assert published(jobs.store).items() <= expected.items()
    assert [*jobs.store.glob("leases/*")] == []
