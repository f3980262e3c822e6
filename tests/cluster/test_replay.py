"""Trials of a run again without Ray: the same bits, or what has changed; and their networks as directories."""

from __future__ import annotations

import json
import re
import sys

import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

import raybench
from raybench.cli import app
from raybench.replay.replay import replay_trial
from raybench.report.page.make import make_report
from raybench.results.stored import find_run, read_run, read_whole_records
from raybench.store import Store


def fail(path, reason):
    raise AssertionError(f"{path}: {reason}")


@pytest.fixture(scope="module")
def done(make_job, ray_address, tiny_bert):
    """A run of one candidate of each kind; its folder, and its trials by candidate."""
    job = make_job()
    model = str(tiny_bert)
    candidates = [
        {"baseline": "tfidf-logistic"},
        {"model": model, "name": "frozen", "method": "frozen"},
        {"model": model, "name": "full", "method": {"name": "full", "epochs": 1}},
        {"model": model, "name": "lora", "method": {"name": "lora", "epochs": 1}},
        {"model": model, "name": "neighbours", "method": "nearest_neighbors"},
        {"model": model, "name": "prompt", "method": {"name": "prompt_tuning", "epochs": 1}},
    ]
    raybench.run(job.write(candidates=candidates, seeds=[0]), address=ray_address, quiet=True)
    store = Store.open(job.job["store"])
    run = read_run(store, find_run(store, None), fail)
    return job, store, {one.trial.candidate: one for one in run.trials}


def command(done, *arguments):
    ended = CliRunner().invoke(app, [*arguments, "--store", done[0].job["store"]], env={"COLUMNS": "200"})
    return ended.exit_code, ended.output


@pytest.mark.parametrize("candidate", ["tfidf-logistic", "frozen", "full", "lora", "neighbours", "prompt"])
def test_a_trial_comes_out_again_with_the_same_bits(done, candidate):
    _, store, trials = done
    found, verdict, _ = replay_trial(store, trials[candidate].trial.trial_id[:10], None, fail)
    assert found.one.trial.candidate == candidate
    assert verdict.is_same


def test_what_has_changed_is_told(done, tmp_path):
    job, _, trials = done
    other = job.copy(tmp_path / "other")
    table = pq.read_table(other.folder / "train.parquet")
    pq.write_table(table.slice(1), other.folder / "train.parquet")
    other.job["candidates"] = [{"baseline": "tfidf-logistic"}]
    path = other.write(seeds=[0])
    trial_id = trials["tfidf-logistic"].trial.trial_id
    done_again = CliRunner().invoke(app, ["replay", trial_id, "--store", other.job["store"], "--job", str(path)])
    assert done_again.exit_code == 1
    assert "other than it was" in done_again.output
    assert re.search("why: data [0-9a-f]{8} → [0-9a-f]{8}", done_again.output)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["replay", "ab"], "want at least 4 characters of a trial's id"),
        (["replay", "0000000000"], "no run has a trial '0000000000' that ended well"),
        (["replay", "{frozen}", "--job", "nowhere.yaml"], "nowhere.yaml: no such job file"),
        (["export", "{tfidf-logistic}", "{folder}/out"], "baseline tfidf-logistic is no network"),
        (["export", "{neighbours}", "{folder}/out"], "method nearest_neighbors leaves no network"),
        (["export", "{prompt}", "{folder}/out"], "learned positions are no weights of a plain checkpoint"),
        (["export", "{frozen}", "{folder}"], "is there already and not empty"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(done, arguments, line):
    job, _, trials = done
    ids = {name: one.trial.trial_id for name, one in trials.items()}
    code, said = command(done, *(one.format(**ids, folder=job.folder) for one in arguments))
    assert code == 2
    assert line in said
    assert len(said.strip().splitlines()) == 1
    assert not (job.folder / "out").exists()


def test_a_job_of_somebody_else_runs_no_code_unless_it_is_named(done, tmp_path):
    other = done[0].copy(tmp_path / "other")
    store = Store.open(other.job["store"])
    run = read_run(store, find_run(store, None), fail)
    run.directory.write_text("job.yaml", "name: x\ncandidates: [{baseline: 'plugins:Slow'}]\ndatasets: []\n")
    ended = CliRunner().invoke(app, ["replay", run.trials[0].trial.trial_id, "--store", other.job["store"]])
    assert ended.exit_code == 2
    assert "its job names code of its own (plugins:Slow)" in ended.output


@pytest.mark.parametrize("candidate", ["frozen", "full", "lora"])
def test_an_exported_network_answers_as_the_trial_did_when_used_as_its_card_says(done, tmp_path, candidate):
    _, store, trials = done
    one = trials[candidate]
    code, said = command(done, "export", one.trial.trial_id, str(tmp_path / "out"))
    assert code == 0, said
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: unknown" in card
    assert "| accuracy |" in card
    records = read_whole_records(store, one.row, fail)
    rows = raybench_rows(done)
    (used,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    used = used.replace('"."', repr(str(tmp_path / "out"))).replace('"head', f'"{tmp_path}/out/head')
    answers = []
    for identity in records["id"].to_pylist()[:12]:
        scope: dict = {}
        exec(used.replace('"a text"', repr(rows[identity])), scope)
        answers.append(scope["labels"][int(torch.argmax(scope["scores"]))])
    expected = [one.trial.dataset.labels[place] for place in records["prediction"].to_pylist()[:12]]
    assert answers == expected


def raybench_rows(done):
    from raybench.data import load_dataset
    from raybench.job import load_job
    from raybench.tasks.catalog import get_task

    job = load_job(done[0].folder / "job.yaml")
    (spec,) = job.datasets
    test = load_dataset(spec, get_task(spec.task, {}).columns, job.directory).splits["test"]
    return dict(zip(test["id"].to_pylist(), test["text"].to_pylist(), strict=True))


def test_a_report_explains_what_the_best_two_say_again(done):
    _, store, _ = done
    run = read_run(store, find_run(store, None), fail)
    told = []
    (part,) = make_report(run, fail, why=2, tell=told.append).datasets
    assert part.examples.unexplained == ()
    best = [row.name for row in part.ranking.rows[:2]]
    assert [line.split(" is opened again")[0] for line in told] == [f"words: {name}" for name in best]
    explained = [example for example in part.examples.hardest if example.whys]
    assert explained == list(part.examples.hardest[:2])
    for example in explained:
        (text,) = (cell for column, cell in example.cells if column == "text")
        for why in example.whys:
            assert why.is_same
            assert "".join(piece for piece, _ in why.parts[0].pieces) == text
            assert why.largest > 0


def test_what_a_report_cannot_explain_is_said(done):
    job, _, _ = done
    for flags, line in (
        (["--format", "md"], "--why explains examples, which --format md has not"),
        (["--no-examples"], "--why explains the examples that --no-examples leaves out"),
    ):
        ended = CliRunner().invoke(app, ["report", job.job["store"], "--why", "2", *flags], env={"COLUMNS": "200"})
        assert (ended.exit_code, line in ended.output) == (2, True)


def test_an_export_is_a_run_of_mlflow_with_its_scores_and_its_directory(done, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'raybench[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the store that needs no server and no database
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    mlflow.set_tracking_uri(None)
    trial = done[2]["frozen"].trial
    code, said = command(done, "export", trial.trial_id, str(tmp_path / "out"), "--mlflow")
    assert code == 0, said
    client = mlflow.MlflowClient()
    (found,) = client.search_runs(["0"])
    assert f"run {found.info.run_id}" in said
    scores = {
        row["metric"]: row
        for row in raybench.rank(done[0].folder / "job.yaml").scores.to_pylist()
        if row["trial_id"] == trial.trial_id and row["class"] is None and row["slice"] is None
    }
    accuracy = scores["accuracy"]
    for end, column in (("", "value"), ("_low", "low"), ("_high", "high"), ("_n", "n")):
        assert found.data.metrics[f"accuracy{end}"] == accuracy[column]
    assert found.data.params["candidate"] == "frozen"
    assert found.data.params["frozen.weight_decay"] == str(trial.hyperparameters["weight_decay"])
    assert found.data.tags["raybench.trial"] == trial.trial_id
    names = {one.path for one in client.list_artifacts(found.info.run_id, "model")}
    assert {"model/README.md", "model/model.safetensors"} <= names


def test_a_server_of_mlflow_that_does_not_answer_is_one_line_before_anything_is_fitted(done, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'raybench[mlflow]'")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    mlflow.set_tracking_uri(None)
    code, said = command(done, "export", done[2]["frozen"].trial.trial_id, str(tmp_path / "out"), "--mlflow")
    assert code == 2
    assert said.strip().startswith("--mlflow: nothing can be written to http://127.0.0.1:9: ")
    assert not (tmp_path / "out").exists()


def test_without_mlflow_that_is_one_line_before_anything_is_fitted(done, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "raybench.replay.mlflow_run", raising=False)
    code, said = command(done, "export", done[2]["frozen"].trial.trial_id, str(tmp_path / "out"), "--mlflow")
    assert code == 2
    assert said.strip().endswith("mlflow is not installed; pip install 'raybench[mlflow]'")
    assert not (tmp_path / "out").exists()


def test_of_a_run_the_best_network_is_exported(done, tmp_path):
    _, store, _ = done
    code, said = command(done, "export", "latest", str(tmp_path / "out"))
    assert code == 0, said
    run = find_run(store, None)
    networks = {"frozen", "full", "lora", "neighbours", "prompt"}
    rows = [row for row in run.read_table("ranking").to_pylist() if row["candidate"] in networks]
    best = min(rows, key=lambda row: row["rank"])["candidate"]
    assert said.startswith(f"{best} on words")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "bert"
