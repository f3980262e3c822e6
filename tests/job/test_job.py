"""A good job: names, paths, defaults, grids and globs come out as the file means them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from raybench.core import ModelSpec
from raybench.job import Job, job_schema, load_job
from raybench.job.rank_by import weights_of

Parse = Callable[..., Job]
JOBS = Path(__file__).parents[2] / "jobs"


def write(directory: Path, candidate: str, dataset: str = "{source: imdb, task: text-classification}") -> Path:
    path = directory / "x.yaml"
    path.write_text(f"name: x\ncandidates:\n  - {candidate}\ndatasets:\n  - {dataset}\n")
    return path


def test_defaults_are_one_seed_and_the_tasks_own_metrics(parse: Parse) -> None:
    job = parse()
    assert (job.seeds, job.metrics, job.rank_by, job.store) == ((0,), (), None, "./raybench-store")
    assert (job.resources.actors, job.resources.cpus_per_actor, job.resources.hang_seconds) == ("auto", 1, 600)


def test_names_come_from_references(parse: Parse) -> None:
    job = parse("{name: reviews, source: imdb", "{source: glue, config: sst2")
    assert [one.name for one in job.candidates] == ["bert"]
    assert [one.name for one in job.datasets] == ["glue-sst2"]


def test_a_model_without_method_is_scored_as_it_is(parse: Parse) -> None:
    assert parse(", method: frozen", "").candidates[0].expand() == ((ModelSpec(reference="org/bert"), "none", {}),)


def test_a_grid_is_the_product_in_the_order_written(parse: Parse) -> None:
    job = parse(
        "method: frozen", "method: {name: full, batch_size: 8}, grid: {learning_rate: [1e-4, 1e-5], epochs: [2, 1]}"
    )
    found = [hyperparameters for _, _, hyperparameters in job.candidates[0].expand()]
    assert found == [
        {"batch_size": 8, "learning_rate": rate, "epochs": epochs} for rate in (1e-4, 1e-5) for epochs in (2, 1)
    ]


def test_a_candidates_settings_reach_its_model(parse: Parse) -> None:
    settings = (
        "revision: abc, init: scratch, num_layers: 2, config: {hidden_size: 8}, "
        "pooling: cls, dtype: bfloat16, allow_pickle: true"
    )
    (configuration,) = parse("method: frozen", f"method: frozen, {settings}").candidates[0].expand()
    assert configuration.model == ModelSpec(
        reference="org/bert",
        revision="abc",
        init="scratch",
        num_layers=2,
        config={"hidden_size": 8},
        pooling="cls",
        dtype="bfloat16",
        allow_pickle=True,
    )


def test_the_ranking_metric_is_measured_too(parse: Parse) -> None:
    assert parse("", "metrics: [accuracy]\nrank_by: macro_f1").metrics == ("accuracy", "macro_f1")


@pytest.mark.parametrize("written", ["{macro_f1: 2, ece: 1}", "2 macro_f1 + ece", "2.0 macro_f1 + 1 ece"])
def test_metrics_that_rank_by_weights_are_measured_and_written_in_one_way(parse: Parse, written: str) -> None:
    job = parse("", f"metrics: [accuracy]\nrank_by: {written}")
    assert job.rank_by == "2 macro_f1 + 1 ece"
    assert job.metrics == ("accuracy", "macro_f1", "ece")
    assert weights_of(job.rank_by) == {"macro_f1": 2.0, "ece": 1.0}


def test_one_metric_with_a_weight_is_that_metric(parse: Parse) -> None:
    assert parse("", "rank_by: {ece: 3}").rank_by == "ece"


def test_a_glob_gives_a_candidate_a_checkpoint_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"run/checkpoint-{number}").mkdir(parents=True)
    (tmp_path / "run/trainer_state.json").write_text("{}")
    job = load_job(write(tmp_path, "{model: 'run/*', method: full}"))
    assert [one.name for one in job.candidates] == ["checkpoint-1", "checkpoint-2", "checkpoint-10"]
    assert job.candidates[2].model == str(tmp_path / "run/checkpoint-10")
    assert {job.where(one) for one in job.candidates} == {f"{tmp_path}/x.yaml:3: candidates[0]"}


def test_checkpoints_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for run in "ab":
        (tmp_path / run / "last").mkdir(parents=True)
    job = load_job(write(tmp_path, "{model: '*/last', name: mine}"))
    assert [one.name for one in job.candidates] == ["mine/a/last", "mine/b/last"]


def test_what_is_beside_the_job_file_is_a_path_and_all_else_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("WHERE", "/data")
    references = {
        "here": str(tmp_path / "here"),
        "./gone": str(tmp_path / "gone"),
        "~/m": "/home/someone/m",
        "$WHERE/m": "/data/m",
        "org/bert": "org/bert",
        "pkg:some_package/model": "pkg:some_package/model",
        "arch:vit": "arch:vit",
    }
    for written, meant in references.items():
        assert load_job(write(tmp_path, f"{{model: '{written}'}}")).candidates[0].model == meant


def test_data_files_start_beside_the_job_file(tmp_path: Path) -> None:
    dataset = (
        "{source: csv, data_files: {train: [a.csv, 'b-*.csv'], test: s3://bucket/t.csv}, task: text-classification}"
    )
    job = load_job(write(tmp_path, "{model: org/bert}", dataset))
    assert job.datasets[0].data_files == {
        "train": (str(tmp_path / "a.csv"), str(tmp_path / "b-*.csv")),
        "test": ("s3://bucket/t.csv",),
    }
    assert job.directory == tmp_path


def test_a_job_survives_pickling_with_its_places(parse: Parse) -> None:
    job = parse()
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert again.where(again.candidates[0], ("method",)) == "jobs/x.yaml:3: candidates[0].method"
    assert (again.text, again.directory) == (job.text, job.directory)


def test_the_schema_takes_the_jobs_shipped_and_refuses_a_typo() -> None:
    schema = job_schema()
    json.dumps(schema)
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    for path in JOBS.glob("*.yaml"):
        data = yaml.safe_load(path.read_text())
        if "candidates" in data:
            assert not list(check.iter_errors(data))
            assert list(check.iter_errors(data | {"candidate": []}))


def test_every_key_of_the_schema_is_described() -> None:
    schema = job_schema()
    for name, part in {"Job": schema, **schema["$defs"]}.items():
        for key, value in part["properties"].items():
            assert value.get("description"), f"{name}.{key}"


def test_importing_the_job_is_light() -> None:
    heavy = ["torch", "transformers", "datasets", "pandas", "ray", "pyarrow", "sklearn"]
    code = f"import sys, raybench.job; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_limits_are_costs_or_metrics_that_are_measured_then(parse: Parse) -> None:
    job = parse("", "limits: [latency_p95_ms <= 20, params_total <= 1e8, macro_recall >= 0.9]")
    assert [tuple(limit) for limit in job.limits] == [
        ("latency_p95_ms", "<=", 20.0), ("params_total", "<=", 1e8), ("macro_recall", ">=", 0.9)
    ]  # fmt: skip
