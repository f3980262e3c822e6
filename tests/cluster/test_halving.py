"""Halving with real actors: no epoch is fitted twice, and neither their number nor a killed run changes a bit."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

import raybench
from raybench.report.progress import Progress
from raybench.results.tables import TIMING_COLUMNS

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)
COUNTED = '''
"""Full fine-tuning that writes down each epoch as it begins."""
import sys
from pathlib import Path
from raybench.recipes.methods.full import Full

class Counted(Full):
    def unfreeze(self, network, hyperparameters, epoch):
        if sys._getframe(1).f_code.co_name == "epoch":
            with open(Path(__file__).parent / "epochs", "a") as file:
                print(hyperparameters.learning_rate, epoch, file=file)
        super().unfreeze(network, hyperparameters, epoch)
'''
RATES = [1e-4, 3e-3, 1e-2, 3e-2]
EPOCHS = Counter({0: 4, 1: 2, 2: 1, 3: 1})  # in how many fits each is: of four configurations two go on, then one


@pytest.fixture(scope="module")
def halved(make_job):
    """A job of one candidate, of whose configurations the best of four, and of two, go on."""

    def make():
        job = make_job()
        (job.folder / "counted_epochs.py").write_text(COUNTED)
        dataset = job.job["datasets"][0] | {"splits": {"train": "train", "test": "test", "validation": "cut"}}
        candidate = next(one for one in job.job["candidates"] if one.get("name") == "full")
        candidate |= {"method": {"name": "counted_epochs:Counted", "epochs": 4}, "grid": {"learning_rate": RATES}}
        job.job |= {"candidates": [candidate], "datasets": [dataset], "seeds": [0], "halving": {"eta": 2}}
        return job

    return make


@pytest.fixture(scope="module")
def run(ray_address):
    return lambda path: raybench.run(path, address=ray_address, quiet=True)


@pytest.fixture(scope="module")
def undisturbed(halved, run):
    """The folder of a job that one actor has done, and its ranking."""
    job = halved()
    return job, run(job.write())


def bits(ranking):
    return ranking.table.drop_columns(list(TIMING_COLUMNS)).to_pylist(), ranking.scores.to_pylist(), ranking.notes


def epochs(job):
    lines = (job.folder / "epochs").read_text().split("\n")[:-1]
    return Counter(int(line.split()[1]) for line in lines)


def unfinished(job):
    return list((job.folder / "store" / "unfinished").glob("*"))


def ended(job):
    """(status, epochs looked at, reason) of what the store has on validation rows, by learning rate."""
    found = {}
    for path in (job.folder / "store" / "trials").glob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            identity = json.loads(row["identity"])
            if identity["scored"] == "validation":
                key = (identity["hyperparameters"]["learning_rate"], identity.get("until", 0))
                found[key] = (row["status"], json.loads(row["provenance"]).get("halving"), row["reason"])
    return found


def test_no_epoch_is_fitted_twice_and_who_is_stopped_has_a_reason_and_no_value(undisturbed):
    job, ranking = undisturbed
    assert ranking.complete
    assert epochs(job) == EPOCHS
    whole = [row for row in ranking.table.to_pylist() if row["split"] == "validation"]
    assert sorted(row["status"] for row in whole) == ["ok", "stopped", "stopped", "stopped"]
    stopped = {row["reason"][:29] for row in whole if row["status"] == "stopped"}
    assert stopped == {"halving: after 1 of 4 epochs ", "halving: after 2 of 4 epochs "}
    assert all(row["rank"] is None and row["macro_f1"] is None for row in whole if row["status"] == "stopped")
    in_store = ended(job)
    assert Counter(until for _, until in in_store) == {1: 4, 2: 2, 0: 4}
    assert {why for status, key, why in in_store.values() if key} == {row["reason"] for row in whole if row["reason"]}
    assert not unfinished(job)
    assert bits(raybench.run(job.write(), address="nowhere:1", quiet=True)) == bits(ranking)  # nothing is left to do
    assert bits(raybench.rank(job.write())) == bits(ranking)


def test_neither_the_number_of_actors_nor_a_killed_run_changes_a_bit(undisturbed, halved, run, monkeypatch):
    _, ranking = undisturbed
    job = halved()
    count, trial_ended = 0, Progress.trial_ended

    def interrupt(progress, row):
        nonlocal count
        trial_ended(progress, row)
        count += 1
        if count == 5:  # in the second rung
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "trial_ended", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(job.write(resources={"actors": 2, "shard_batches": 1}))
    assert unfinished(job)  # to go on from
    assert bits(run(job.write())) == bits(ranking)
    assert not unfinished(job)


def test_who_went_on_is_the_fit_that_it_would_have_been_alone(undisturbed, halved, run):
    _, ranking = undisturbed
    (best,) = [row for row in ranking.table.to_pylist() if row["split"] == "test"]
    rate = json.loads(best["hyperparameters"])["learning_rate"]
    alone = halved()
    method = {"name": "counted_epochs:Counted", "epochs": 4, "learning_rate": rate}
    candidate = {key: value for key, value in alone.job["candidates"][0].items() if key != "grid"} | {"method": method}
    (same,) = run(alone.write(candidates=[candidate], halving=None)).table.to_pylist()
    told = [name for name in same if name not in TIMING_COLUMNS]
    assert {name: same[name] for name in told} == {name: best[name] for name in told}
