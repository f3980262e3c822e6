"""The same job gives the same tables to the bit, whatever happens to actors, shards and the driver."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch

import raybench
from raybench.api import StoreWarning, try_models
from raybench.cluster.pool import Pool
from raybench.core import stamps
from raybench.core.errors import MetricError, StoreError
from raybench.job import load_job
from raybench.metrics.thresholds import pick_threshold
from raybench.planning.first_job import FirstJob, first_job
from raybench.planning.plan import make_plan
from raybench.report.plan_table import print_plan
from raybench.results.measure import Measurer
from raybench.results.references import open_run
from raybench.results.rescore import rescore
from raybench.results.stored import read_whole_records
from raybench.results.tables import TIMING_COLUMNS

COMMAND = [sys.executable, "-m", "raybench"]
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)


@pytest.fixture(scope="module")
def run(ray_address):
    return lambda path, **options: raybench.run(path, address=ray_address, quiet=True, **options)


@pytest.fixture(scope="module")
def undisturbed(make_job, run):
    """One actor, nothing goes wrong: the folder whose job is done, and its ranking."""
    job = make_job()
    return job, run(job.write())


@pytest.fixture(scope="module")
def reference(undisturbed):
    return undisturbed[1]


@pytest.fixture
def done(undisturbed, tmp_path):
    """A copy of the folder whose job is done."""
    return undisturbed[0].copy(tmp_path / "copy")


def bits(ranking):
    """Everything but times, as bytes."""
    timeless = ranking.table.drop_columns(list(TIMING_COLUMNS))
    return timeless.to_pylist(), ranking.scores.to_pylist()


@pytest.fixture(scope="module")
def stop_driver(ray_address, tmp_path_factory):
    """Starts a driver and sends it a signal as soon as its folder holds such a file: its exit code, and what it said.

    Drivers remember what they have found out of models, and so import next to nothing from the second one on.
    """
    memory = str(tmp_path_factory.mktemp("remembered"))
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "RAYBENCH_CACHE": memory}

    def stop(job, path, moment, number):
        command = [*COMMAND, "run", str(path), "--address", ray_address]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=environment, **pipes)
        deadline = time.monotonic() + 120
        while not list(job.folder.glob(moment)):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        return process.wait(60), process.stderr.read()

    return stop


def test_every_trial_ends_well(reference):
    assert reference.complete
    assert reference.table.num_rows == 5
    assert set(reference.scores.column("metric").to_pylist()) == {"accuracy", "macro_f1", "log_loss", "brier", "ece"}
    assert all(n == 150 for n in reference.table.column("num_examples").to_pylist())


def test_the_number_of_actors_and_the_size_of_shards_change_no_bit_and_actors_measure(
    make_job, run, reference, monkeypatch
):
    monkeypatch.setattr(Measurer, "measure", lambda *_: pytest.fail("measured by the driver"))
    path = make_job().write(resources={"actors": 2, "shard_batches": 3})
    assert bits(run(path)) == bits(reference)


def test_a_killed_actor_changes_no_bit_and_leaves_nothing_held(done, make_job, run, monkeypatch):
    held, stop_all = [], Pool.stop_all

    def counted(pool):
        kept = [len(getattr(pool, name)) for name in ("_held", "_leaving", "_told")]
        held.append([*kept, sum(bool(call.work) for call in pool._calls.values())])  # one may still be starting
        stop_all(pool)

    monkeypatch.setattr(Pool, "stop_all", counted)
    calm, stormy = done, make_job()
    candidates = [*calm.job["candidates"][:2], {"baseline": "plugins:DiesOnce", "name": "fragile"}]
    (calm.folder / "died").touch()  # it has died before: it will not again
    expected = run(calm.write(candidates=candidates))
    ranking = run(stormy.write(candidates=candidates, resources={"actors": 2, "shard_batches": 1}))
    assert (stormy.folder / "died").exists()
    assert ranking.complete
    assert bits(ranking) == bits(expected)
    assert held == [[0] * 4] * 2


def test_a_hung_actor_costs_only_time(make_job, run):
    calm, job = make_job(), make_job()
    (calm.folder / "hung").touch()  # it has hung before: it will not again
    candidates = [{"baseline": "majority"}, {"baseline": "plugins:HangsOnce", "name": "sleepy"}]
    ranking = run(job.write(candidates=candidates, resources={"actors": 1, "hang_seconds": 3}))
    assert (job.folder / "hung").exists()
    assert ranking.complete
    assert bits(ranking) == bits(run(calm.write(candidates=candidates)))


AT_FAULT = {  # plugin → status and reason of its trial
    "Exits": ("failed", "its actor died while it ran (3 attempts)"),  # os._exit
    "LeavesFit": ("failed", "SystemExit: 3"),
    "LeavesScoring": ("failed", "SystemExit: I have had enough"),
    "Raises": ("failed", "RuntimeError: the roof is on fire"),
    "Greedy": ("oom", "MemoryError: Unable to allocate 1.00 EiB"),
}


@pytest.fixture(scope="module")
def faulty(make_job, run):
    """A job of candidates that go wrong, each in its way, and a sound one; its ranking."""
    job = make_job()
    own = [{"baseline": f"plugins:{name}", "name": name} for name in AT_FAULT]
    wild = {"name": "full", "epochs": 2, "learning_rate": 1e30, "clip": 0, "warmup": 0, "head": "random"}
    models = [
        {"model": job.job["candidates"][2]["model"], "name": "wild", "method": wild},
        {"model": "./nowhere", "name": "missing", "method": "frozen"},
    ]
    path = job.write(candidates=[*own, *models, {"baseline": "majority"}], seeds=[0])
    return path, run(path)


@pytest.fixture(scope="module")
def ended(faulty):
    """Status and reason of each candidate."""
    return {row["candidate"]: (row["status"], row["reason"]) for row in faulty[1].table.to_pylist()}


def test_code_that_raises_exits_or_wants_all_memory_is_a_status_and_stops_no_other(faulty, ended):
    path, ranking = faulty
    assert ended["majority"] == ("ok", None)
    assert {name: ended[name][0] for name in AT_FAULT} == {name: one[0] for name, one in AT_FAULT.items()}
    for name, (_, words) in AT_FAULT.items():
        assert words in ended[name][1]
    assert "the roof is on fire" in "".join(ranking.tracebacks.values())
    again = raybench.rank(path).table.to_pylist()
    found = {row["candidate"]: (row["status"], row["reason"]) for row in again if row["rank"] is None}
    assert found == {name: end for name, end in ended.items() if name != "majority"}


def test_a_diverging_loss_is_a_status(ended):
    assert ended["wild"][0] == "nan"


def test_a_candidate_at_fault_leaves_the_others_alone(ended):
    assert ended["majority"] == ("ok", None)
    assert ended["missing"][0] == "failed"
    assert "nowhere" in ended["missing"][1]


def test_an_endless_trial_ends_at_its_time_limit(make_job, run):
    candidates = [{"baseline": "plugins:Endless", "name": "endless"}, {"baseline": "majority"}]
    resources = {"actors": 1, "trial_timeout_minutes": 0.1}
    rows = run(make_job().write(candidates=candidates, resources=resources)).table.to_pylist()
    assert [(row["candidate"], row["status"]) for row in rows] == [("majority", "ok"), ("endless", "timeout")]
    assert rows[1]["reason"] == "took longer than 0.1 minutes"


def slowed(job):
    """Long enough under way to be killed there."""
    candidates = [{"baseline": "plugins:Slow", "name": "slow"}, job.job["candidates"][0], job.job["candidates"][3]]
    return job.write(candidates=candidates, seeds=[0], resources={"actors": 1, "shard_batches": 1})


@pytest.fixture(scope="module")
def slow_reference(undisturbed, run, tmp_path_factory):
    return run(slowed(undisturbed[0].copy(tmp_path_factory.mktemp("slow") / "copy")))


def test_a_driver_killed_at_its_first_checkpoint_shard_and_trial_and_stopped_by_ctrl_c_changes_no_bit(
    make_job, run, stop_driver, slow_reference
):
    job = make_job()
    path = slowed(job)
    for moment in ("checkpoints/*.safetensors", "shards/*/part-*.parquet", "trials/part-*.parquet"):
        code, _ = stop_driver(job, path, f"store/{moment}", signal.SIGKILL)
        assert code == -signal.SIGKILL
    (job.folder / "slow").unlink(missing_ok=True)
    code, said = stop_driver(job, path, "slow", signal.SIGINT)
    assert code == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert bits(run(path)) == bits(slow_reference)


def finished(job):
    """When each trial ended, from the store."""
    tables = [pq.read_table(path).to_pylist() for path in (job.folder / "store" / "trials").glob("part-*.parquet")]
    return {row["trial_id"]: row["finished_at"] for table in tables for row in table}


def test_the_same_command_again_does_nothing(done, reference):
    before = finished(done)
    again = raybench.run(done.write(), address="nowhere:1", quiet=True)  # no cluster is needed
    assert finished(done) == before
    assert bits(again) == bits(reference)


LIGHT = """
import sys
from raybench.cli import app
for command in ("check", "plan", "run"):
    app([command, sys.argv[1]], standalone_mode=False)
print("heavy:", *{"torch", "ray", "transformers", "pandas", "scipy"} & set(sys.modules))
"""


def test_check_plan_and_a_run_with_nothing_to_do_import_no_engine(done, run, tmp_path, monkeypatch):
    job = done
    time.sleep(stamps._SETTLED_SECONDS)  # what is remembered is of files that have lain still
    (dataset,) = job.job["datasets"]
    path = job.write(datasets=[{**dataset, "slices": []}])
    ranking = run(path)
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "cache"))
    run(path)  # what it finds out it remembers
    print_plan(load_job(path))
    before = finished(job)
    command = [sys.executable, "-c", LIGHT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.stdout.splitlines()[-1] == "heavy:", done.stderr
    assert "8 done (ok)" in done.stdout
    assert finished(job) == before
    assert bits(run(path)) == bits(ranking)
    table = pq.read_table(job.folder / "store" / "runs" / ranking.run_id / "ranking.parquet")
    table = table.replace_schema_metadata(None)
    assert table.equals(ranking.table)  # those that were there, to the last time


def test_tables_that_are_gone_or_torn_are_made_anew(done, run, monkeypatch):
    (dataset,) = done.job["datasets"]
    path = done.write(datasets=[{**dataset, "slices": []}])
    monkeypatch.setattr(stamps, "_SETTLED_SECONDS", -1.0)
    stamps.installed_stamp.cache_clear()
    ranking = run(path)
    directory = done.folder / "store" / "runs" / ranking.run_id
    whole = {name: (directory / f"{name}.parquet").read_bytes() for name in ("ranking", "scores")}
    (directory / "ranking.parquet").write_bytes(whole["ranking"][:-9])
    assert bits(run(path)) == bits(ranking)
    (directory / "scores.parquet").unlink()
    assert bits(run(path)) == bits(ranking)
    (directory / "scores.parquet").write_bytes(whole["ranking"])  # another file of raybench
    assert bits(run(path)) == bits(ranking)
    assert {name: (directory / f"{name}.parquet").read_bytes() for name in whole} == whole


def test_a_record_that_rots_is_found_by_the_next_run(done, run):
    (dataset,) = done.job["datasets"]
    path = done.write(datasets=[{**dataset, "slices": []}])
    run(path)
    (record, *_) = sorted((done.folder / "store" / "records").glob("*/*.parquet"))
    data = bytearray(record.read_bytes())
    data[100:200] = bytes(100)  # its footer is whole
    record.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="records"), pytest.warns(StoreWarning, match="CRC"):
        run(path)


def test_only_what_changed_is_done_again(done, run):
    before = finished(done)
    candidates = done.job["candidates"]
    candidates[2]["grid"] = {"weight_decay": [0.01, 0.2]}
    run(done.write(candidates=candidates))
    assert len(finished(done).keys() - before.keys()) == 2  # two seeds of one new value
    assert {key: finished(done)[key] for key in before} == before


def test_a_changed_row_is_new_work_for_all(done, run):
    job = done
    before = finished(job)
    table = pq.read_table(job.folder / "test.parquet").to_pylist()
    table[7]["text"] += " w1"
    pq.write_table(pa.Table.from_pylist(table), job.folder / "test.parquet")
    planned = {one.trial.trial_id for one in make_plan(load_job(job.write())).trials}
    assert (len(planned), planned & before.keys()) == (len(before), set())
    run(job.write(candidates=job.job["candidates"][:2]))
    assert len(finished(job)) == len(before) + 2  # each baseline of the two, as any other


def test_a_changed_checkpoint_is_new_work_for_its_trials(done, run, tmp_path, tiny_bert):
    copy = tmp_path / "model"
    shutil.copytree(tiny_bert, copy)
    candidates = [{"baseline": "majority"}, done.job["candidates"][2] | {"model": str(copy)}]
    path = done.write(candidates=candidates)
    before = finished(done)
    run(path)
    assert finished(done) == before  # the same weights elsewhere
    weights = safetensors.torch.load_file(copy / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"] = weights["encoder.layer.0.output.dense.bias"] + 1
    safetensors.torch.save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    run(path)
    assert len(finished(done).keys() - before.keys()) == 4  # two seeds of two values; majority stays


def test_a_torn_and_a_foreign_file_are_named_and_done_again(done, run, reference):
    job = done
    (newest, *_) = sorted((job.folder / "store" / "trials").glob("part-*.parquet"))
    data = newest.read_bytes()
    newest.write_bytes(data[: len(data) // 2])
    (record, *_) = sorted((job.folder / "store" / "records").glob("*/part-*.parquet"))
    record.write_bytes(b"not Parquet")
    (job.folder / "store" / "trials" / "notes.parquet").write_bytes(b"PAR1 something else PAR1")
    with pytest.warns(StoreWarning) as warned:
        ranking = run(job.write())
    assert {newest.name, "notes.parquet"} <= {str(one.message).split(": ")[1].rsplit("/", 1)[-1] for one in warned}
    assert bits(ranking) == bits(reference)


def test_what_is_best_on_validation_rows_is_scored_on_test_rows_alone(make_job, run):
    job = make_job()
    candidates = [job.job["candidates"][0], job.job["candidates"][2]]
    splits = {"train": "train", "test": "test", "validation": "cut"}
    path = job.write(candidates=candidates, datasets=[job.job["datasets"][0] | {"splits": splits}], seeds=[0])
    ranking = run(path)
    assert ranking.complete
    rows = sorted((row["candidate"], row["split"]) for row in ranking.table.to_pylist())
    assert rows == [("frozen", "test"), ("frozen", "validation"), ("frozen", "validation"), ("majority", "test")]
    assert any("is the best of 2 configurations on the validation rows" in note for note in ranking.notes)
    assert not any("ranked on the test examples" in note for note in ranking.notes)
    again = run(path)
    assert again.table.to_pylist() == ranking.table.to_pylist()
    assert raybench.rank(path).notes == ranking.notes


def test_the_threshold_that_stored_validation_records_pick_makes_the_test_predictions(make_job, run):
    job = make_job()
    for split in ("train", "test"):  # b, whose words are those of the others too
        table = pq.read_table(job.folder / f"{split}.parquet")
        label = pa.array(["yes" if label == "b" else "no" for label in table["label"].to_pylist()])
        pq.write_table(table.set_column(1, "label", label), job.folder / f"{split}.parquet")
    dataset = job.job["datasets"][0] | {"task_config": {"threshold": "validation"}}
    dataset["splits"] = {"train": "train", "test": "test", "validation": "cut"}
    path = job.write(candidates=[{"baseline": "tfidf-logistic"}], datasets=[dataset], seeds=[0])
    ranking = run(path)
    stored = open_run(str(path.parent / "store"), "", pytest.fail)
    records = {
        one.trial.dataset.scored: read_whole_records(stored.store, one.row, pytest.fail) for one in stored.trials
    }
    (test,) = (one.trial for one in stored.trials if one.trial.dataset.scored == "test")
    picked = pick_threshold(records["validation"], "macro_f1", {"labels": ["no", "yes"]})
    assert picked.threshold != 0.5
    assert test.dataset.task_config == {"threshold": picked.threshold}
    assert any(f"threshold {picked.threshold:g}, picked on the validation rows" in note for note in ranking.notes)
    of_second = 1 / (1 + np.exp(-records["test"]["score"].to_numpy().astype(float)))
    assert np.array_equal(records["test"]["prediction"].to_numpy(), of_second >= picked.threshold)
    again = run(path)
    assert (again.table.to_pylist(), again.notes) == (ranking.table.to_pylist(), ranking.notes)
    assert raybench.rank(path).notes == ranking.notes


def test_models_are_tried_without_a_job_file(make_job, ray_address, tiny_bert, monkeypatch):
    folder = make_job().folder
    monkeypatch.chdir(folder)
    text = FirstJob.text  # two actors would do no more
    monkeypatch.setattr(FirstJob, "text", lambda *given, **how: text(*given, **how) + "resources: {actors: 1}\n")
    first = first_job([str(tiny_bert)], "train.parquet", test="test.parquet", store=str(folder / "tried"))
    ranking = try_models(first, address=ray_address, quiet=True)
    assert {"majority", "tfidf-logistic", first.candidate(0)} <= set(ranking.table.column("candidate").to_pylist())
    assert ranking.complete


def test_other_metrics_come_from_the_records(done, reference):
    job = done
    before = finished(job)
    ranking = raybench.run(job.write(metrics=["mcc", "macro_f1"]), address="nowhere:1", quiet=True)
    assert finished(job) == before
    expected = reference.table.sort_by("candidate").column("macro_f1").to_pylist()
    assert ranking.table.sort_by("candidate").column("macro_f1").to_pylist() == expected


def test_every_value_of_a_slice_is_scored(reference):
    scores = reference.scores.to_pandas()
    accuracy = scores[(scores["metric"] == "accuracy") & scores["class"].isna() & (scores["candidate"] == "majority")]
    whole = accuracy[accuracy["slice"].isna()].iloc[0]
    parts = accuracy[accuracy["slice"].notna()]
    assert sorted(parts["slice"]) == ["source=print", "source=web"]
    assert parts["n"].sum() == whole["n"] == 150
    assert (parts["value"] * parts["n"]).sum() / 150 == pytest.approx(whole["value"])


def test_rescore_needs_only_the_store(done, reference):
    (done.folder / "test.parquet").unlink()
    ranking = rescore(done.job["store"], ["mcc", "macro_f1"], slices=["source", "target"], skipped=pytest.fail)
    old = reference.scores.to_pandas()
    new = ranking.scores.to_pandas()
    keys = ["candidate", "hyperparameters", "seed"]

    def of(scores):
        chosen = scores[(scores["metric"] == "macro_f1") & scores["class"].isna() & scores["slice"].isna()]
        return chosen.sort_values(keys)[[*keys, "value", "low", "high"]].to_numpy().tolist()

    assert of(new) == of(old)
    assert set(new["slice"].dropna()) == {"source=print", "source=web", "target=0", "target=1", "target=2"}
    assert (done.folder / "store" / "runs" / ranking.run_id / "ranking.parquet").exists()


def test_rescore_without_a_metric_is_one_line(done):
    with pytest.raises(MetricError, match=r"^rescore: name at least one metric$"):
        rescore(done.job["store"], [], skipped=pytest.fail)


def test_rescore_of_an_unknown_slice_is_one_line(done):
    with pytest.raises(StoreError, match=r"slice 'sorce': no such column of the records; did you mean source\?"):
        rescore(done.job["store"], ["mcc"], slices=["sorce"], skipped=pytest.fail)
