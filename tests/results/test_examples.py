"""What a store holds, a line a run; one run in detail; single examples joined with their texts."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from raybench.cli import app
from raybench.data import load_dataset
from raybench.job import load_job
from raybench.results.run_list import list_summaries
from raybench.store import Store
from raybench.store.runs import JOB_DIRECTORY
from raybench.tasks.catalog import get_task
from tests.results.nights import Scored, publish_run

JOB = """
name: stars
candidates: [{baseline: majority}]
datasets:
  - {name: topics, source: csv, data_files: {train: train.csv, test: test.csv}, task: text-classification}
"""
NUM = 12


@pytest.fixture
def night(tmp_path):
    """A store with a run of two candidates whose texts lie beside the job; its folder."""
    rows = [f'"<b>text</b> number {number}",{"abc"[number % 3]}\n' for number in range(NUM + 3)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(rows[NUM:]))
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(rows[:NUM]))
    (tmp_path / "job.yaml").write_text(JOB)
    (spec,) = load_job(tmp_path / "job.yaml").datasets
    loaded = load_dataset(spec, get_task(spec.task, {}).columns, tmp_path)
    test = loaded.splits["test"].sort_by("label")  # targets of `nights` count a, b, c, a, …
    ids = [test["id"][place].as_py() for place in np.argsort(np.arange(NUM) // 4, kind="stable")]
    by_label = [ids[4 * (number % 3) + number // 3] for number in range(NUM)]
    right = np.arange(NUM) != 5
    scored = [
        Scored(candidate="x", right=right, ids=by_label, fingerprint=loaded.fingerprint, seed=seed, weights=f"w{seed}")
        for seed in (0, 1)
    ]
    scored += [
        Scored(candidate="grid", right=right, ids=by_label, fingerprint=loaded.fingerprint, hyperparameters={"c": c})
        for c in (1, 2)
    ]
    publish_run(str(tmp_path / "store"), "stars-1", scored, job=JOB)
    run = Store.open(str(tmp_path / "store")).run("stars-1")
    environment = run.read_json("environment.json")
    run.write_json("environment.json", environment | {JOB_DIRECTORY: str(tmp_path), "written_by": "ann"})
    return tmp_path


def raybench(night, *arguments):
    done = CliRunner().invoke(app, [*arguments, "--store", str(night / "store")], env={"COLUMNS": "120"})
    return done.exit_code, done.output


def test_the_wrong_ones_are_shown_with_their_texts(night):
    code, shown = raybench(night, "examples", "latest", "--candidate", "x", "--wrong")
    assert code == 0
    assert "x on topics, seed 0 of 0, 1: 1 wrong of 12 examples" in shown
    assert "wrong: a, truth c" in shown
    assert "text: <b>text</b> number" in shown


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_all_are_written_to_a_file_with_truth_and_answer(night, kind):
    path = night / f"examples.{kind}"
    code, _ = raybench(night, "examples", "latest", "--candidate", "x", "--output", str(path))
    assert code == 0
    rows = list(csv.DictReader(path.read_text().splitlines())) if kind == "csv" else pq.read_table(path).to_pylist()
    assert len(rows) == NUM
    assert all(row["truth"] == row["label"] for row in rows)
    assert [str(row["right"]).lower() for row in rows].count("false") == 1


def test_without_its_rows_the_records_stand_alone_and_it_is_said(night):
    (night / "test.csv").write_text("text,label\nother,a\nmore,b\nlast,c\n")
    code, shown = raybench(night, "examples", "latest", "--candidate", "x", "--wrong")
    assert code == 0
    assert "note: without the rows themselves: dataset topics: its source holds other rows now" in shown
    assert "wrong: a, truth c" in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--candidate", "xx"], "no candidate 'xx' with a score; "),
        (["--candidate", "grid"], 'grid has several configurations; name one: "grid c=1", "grid c=2"'),
        (["--candidate", "x", "--seed", "7"], "x has no seed 7; it has 0, 1"),
        (["--candidate", "x", "--dataset", "topic"], "x has no score on 'topic'; did you mean topics?"),
        (["--candidate", "x", "--output", "a.xlsx"], "want a name that ends in .csv or .parquet"),
        (["--candidate", "x", "--job", "nowhere.yaml"], "nowhere.yaml: no such job file"),
    ],
)
def test_what_is_not_there_is_one_line(night, arguments, line):
    code, said = raybench(night, "examples", "latest", *arguments)
    assert code == 2
    assert line in said
    assert len(said.strip().splitlines()) == 1


def test_a_configuration_is_named_as_the_ranking_names_it(night):
    assert raybench(night, "examples", "latest", "--candidate", "grid c=2")[0] == 0


def test_runs_say_whose_they_are_how_they_ended_and_their_size(night):
    store = Store.open(str(night / "store"))
    (run,) = list_summaries(store).runs
    assert (run.job, run.written_by, dict(run.statuses), run.datasets) == ("stars", "ann", {"ok": 2 + 1}, ("topics",))
    assert run.num_bytes == list_summaries(store).num_bytes - sum(
        entry.size for entry in store.files.entries() if entry.path.startswith("trials/")
    )
    done = CliRunner().invoke(app, ["runs", str(night / "store")], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    assert "stars-1" in done.output
    assert "3 ok" in done.output


def test_runs_are_found_by_the_tags_of_their_jobs(night):
    url = str(night / "store")
    night_of = [Scored(candidate="x", right=np.arange(NUM) != 5)]
    publish_run(url, "stars-2", night_of, job=JOB.replace("name: stars", "name: stars\ntags: [nightly, team-a]"))
    runs = {run.run_id: run.tags for run in list_summaries(Store.open(url)).runs}
    assert runs == {"stars-1": (), "stars-2": ("nightly", "team-a")}
    done = CliRunner().invoke(app, ["runs", url, "--tag", "team-a"], env={"COLUMNS": "120"})
    assert "stars-2" in done.output
    assert "stars-1" not in done.output
    assert "nightly, team-a" in done.output
    assert ", tagged nightly, team-a" in raybench(night, "show", "stars-2")[1]
    done = CliRunner().invoke(app, ["runs", url, "--tag", "nightli"])
    assert done.exit_code == 2
    assert done.output.strip().endswith("no run is tagged 'nightli'; did you mean nightly?")


def test_show_has_a_line_a_trial_and_says_where_the_job_is(night):
    code, shown = raybench(night, "show", "latest")
    assert code == 0
    assert f"job file from {night}" in shown
    trials = json.dumps([row.split()[1:3] for row in shown.splitlines() if " topics " in row and "0.917" in row])
    assert trials == '[["x", "topics"], ["x", "topics"], ["grid", "c=1"], ["grid", "c=2"]]'


def test_an_empty_store_is_one_line(tmp_path):
    done = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no runs" in done.output
