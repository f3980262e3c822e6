"""Racing with real actors: the same decisions and bits however many there are and whatever is cut off."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raybench
from raybench.report.progress import Progress
from raybench.results.tables import TIMING_COLUMNS

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)
NUM_TEST = 1000
GUESSES = '''
"""Baselines that are right as often as their names say, on examples that their texts draw."""
import numpy as np
from raybench.core.identity import content_hash
from raybench.recipes.baselines.majority import Majority

def guess(share):
    class Guess(Majority):
        def outputs(self, arrays, rows, dataset):
            found = np.zeros((rows.num_rows, len(dataset.labels)))
            for row, text in enumerate(rows.column("text").to_pylist()):
                right, luck = int(text.split()[1]), int(content_hash([share, text])[:8], 16) / 16**8
                found[row, right if luck < share else (right + 1) % len(dataset.labels)] = 1.0
            return found
    return Guess

Ninety, NearlyNinety, Seventy, Fifty, Ten = map(guess, (0.90, 0.895, 0.70, 0.50, 0.10))
'''
NAMES = ["Ninety", "NearlyNinety", "Seventy", "Fifty", "Ten"]


@pytest.fixture(scope="module")
def racing(make_job):
    """Makes a job of five baselines of known accuracy, and two tokenizers' worth of a tiny BERT beside them."""

    def make():
        job = make_job()
        (job.folder / "guesses.py").write_text(GUESSES)
        for split, count in (("train", 30), ("test", NUM_TEST)):
            rows = range(count)
            texts = [f"w{number % 60} {number % 3} {split}{number} " + "w1 " * (number % 20) for number in rows]
            table = pa.table({"text": texts, "label": ["abc"[number % 3] for number in rows]})
            pq.write_table(table, job.folder / f"{split}.parquet")
        bert = next(one for one in job.job["candidates"] if one.get("name") == "full")
        job.job |= {
            "candidates": [{"baseline": f"guesses:{name}", "name": name} for name in NAMES] + [bert],
            "datasets": [{key: value for key, value in job.job["datasets"][0].items() if key != "slices"}],
            "seeds": [0], "metrics": ["accuracy", "log_loss"], "rank_by": "accuracy", "race": {"keep": 1},
        }  # fmt: skip
        return job

    return make


@pytest.fixture(scope="module")
def run(ray_address):
    return lambda path, **options: raybench.run(path, address=ray_address, quiet=True, **options)


@pytest.fixture(scope="module")
def raced(racing, run):
    """One actor, nothing is cut off: the folder whose race is over, and its ranking."""
    job = racing()
    return job, run(job.write())


def bits(ranking):
    return ranking.table.drop_columns(list(TIMING_COLUMNS)).to_pylist(), ranking.scores.to_pylist()


def scored(job):
    """How many examples of each candidate have a record."""
    found = {}
    for row in trials(job):
        paths = (job.folder / "store" / "records").glob(f"trial={row['trial_id']}/*.parquet")
        ids = {name for path in paths for name in pq.read_table(path).column("id").to_pylist()}
        found[row["identity"].split('"candidate": "')[1].split('"')[0]] = len(ids)
    return found


def trials(job):
    return [
        row for path in (job.folder / "store" / "trials").glob("*.parquet") for row in pq.read_table(path).to_pylist()
    ]


def test_the_worse_are_stopped_with_what_is_sure_and_the_best_scored_to_the_end(raced):
    job, ranking = raced
    assert ranking.complete
    rows = {row["candidate"]: row for row in ranking.table.to_pylist()}
    assert [rows[name]["status"] for name in NAMES] == ["ok", "ok", "stopped", "stopped", "stopped"]
    assert rows["full"]["reason"].startswith("worse than Ninety by at least ")
    assert rows["Ten"]["reason"].endswith(" points of accuracy (95 %, anytime), after 128 of 1,000")
    assert rows["Ten"]["rank"] is None
    assert rows["Ten"]["accuracy"] is None
    done = scored(job)
    assert {name: done[name] for name in ("Ninety", "NearlyNinety", "Ten")} == {
        "Ninety": 1000, "NearlyNinety": 1000, "Ten": 128,
    }  # fmt: skip
    assert 128 <= done["Seventy"] < 700
    untold = [row for row in ranking.scores.to_pylist() if row["candidate"] == "Ten"]
    assert [(row["metric"], row["value"], row["n"]) for row in untold] == [("accuracy", None, 128)]
    assert untold[0]["reason"] == rows["Ten"]["reason"]


def test_the_number_of_actors_and_where_a_run_was_cut_off_change_no_bit_of_a_race(raced, racing, run, monkeypatch):
    (job, ranking), cut = raced, racing()
    count = 0

    def interrupt(progress, commit):
        nonlocal count
        count += 1
        if count == 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "shard_scored", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(cut.write())
    assert bits(run(cut.write(resources={"actors": 2, "shard_batches": 1}))) == bits(ranking)
    assert scored(cut) == scored(job)


def test_what_a_race_stopped_stays_so_until_the_race_is_another(raced, run, tmp_path):
    job, ranking = raced[0].copy(tmp_path / "copy"), raced[1]
    done = scored(job)
    again = raybench.run(job.write(), address="nowhere:1", quiet=True)  # nothing is left to do
    assert bits(again) == bits(ranking)
    everything = run(job.write(race={"keep": 6}))
    assert everything.table.column("status").to_pylist() == ["ok"] * 6
    assert set(scored(job).values()) == {NUM_TEST}
    parts = [row for row in trials(job) if row["status"] == "ok"]
    assert len(parts) == 6
    without = run(job.write(race=None, store=str(tmp_path / "anew")))
    told = ["candidate", "rank", "accuracy", "accuracy_low", "accuracy_high", "num_examples"]  # last digits of losses
    assert everything.table.select(told).to_pylist() == without.table.select(told).to_pylist()  # are of other batches
    ended = {row["candidate"]: row for row in ranking.table.to_pylist()}
    for row in without.table.to_pylist():
        if ended[row["candidate"]]["status"] == "ok":
            assert ended[row["candidate"]]["accuracy"] == row["accuracy"]
    assert done["Ten"] < NUM_TEST
