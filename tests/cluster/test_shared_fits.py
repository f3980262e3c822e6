"""One fit serves all test rows: perturbed ones, those of another source, validation rows and then test rows."""

from __future__ import annotations

import pytest

import raybench
from raybench.job import load_job
from raybench.job.overrides import only
from raybench.results.tables import OVERALL
from raybench.store import Store
from raybench.store.checkpoints import list_checkpoints

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)
COUNTED = """
from pathlib import Path

from raybench.recipes.baselines.majority import Majority

HERE = Path(__file__).parent


class Counted(Majority):
    def fit(self, rows, dataset, seed):
        with open(HERE / "fits", "a") as file:
            print(dataset.name, file=file)
        return super().fit(rows, dataset, seed)
"""


@pytest.fixture(scope="module")
def job(make_job):
    job = make_job()
    (job.folder / "counted.py").write_text(COUNTED)
    words = job.job["datasets"][0] | {"splits": {"train": "train", "test": "test", "validation": "cut"}}
    far = {"name": "far", "like": "words", "source": "parquet", "data_files": "test.parquet", "limit": {"test": 50}}
    candidates = [{"baseline": "counted:Counted"}, *job.job["candidates"][2:]]
    job.job |= {
        "candidates": candidates, "seeds": [0],
        "datasets": [words, {"name": "dropped", "like": "words", "perturb": {"drop_words": 0.5}}, far],
    }  # fmt: skip
    return job


@pytest.fixture(scope="module")
def ranking(job, ray_address):
    return raybench.run(job.write(), address=ray_address, quiet=True)


def test_each_is_fitted_once_and_nothing_of_it_is_left(job, ranking):
    assert ranking.complete
    assert (job.folder / "fits").read_text().split() == ["words"]
    rows = [row for row in ranking.table.to_pylist() if row["dataset"] != OVERALL]
    seconds = {}
    for row in rows:
        seconds.setdefault((row["candidate"], row["hyperparameters"]), {})[row["dataset"]] = row["fit_seconds"]
    assert len(rows) == 3 * 3 + 2  # of the grid two configurations were tried, and one was chosen
    for by_dataset in seconds.values():  # a fit's own seconds, to the last digit: there was no other
        assert len(set(by_dataset.values())) == 1
    assert {"words", "dropped", "far", "words (validation)"} in [set(found) for found in seconds.values()]
    assert not list_checkpoints(Store.open(job.job["store"]).files)


def test_who_is_scored_on_other_rows_alone_is_the_same_network(job, ranking, make_job, ray_address):
    """Without its original, in a store of its own, fitted for itself."""
    wanted, store = ("full", "dropped"), job.folder / "alone"
    alone = only(load_job(job.write(), [f"store={store}"]), ["dropped", "full"])
    made = raybench.run(alone, address=ray_address, quiet=True)
    whole, found = (
        [row | {"run_id": ""} for row in one.scores.to_pylist() if (row["candidate"], row["dataset"]) == wanted]
        for one in (ranking, made)
    )
    assert found
    assert found == whole
    assert not list_checkpoints(Store.open(str(store)).files)


def test_what_changes_on_perturbed_rows_is_told_in_pairs(ranking):
    drops = ranking.drops.to_pylist()
    assert {(row["dataset"], row["original"]) for row in drops} == {("dropped", "words")}
    assert {row["candidate"] for row in drops} == {"Counted", "frozen", "full"}
    assert all(row["n"] == 150 for row in drops)
