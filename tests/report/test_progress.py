"""What progress.json and `raybench status` say of a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.console import Console

from raybench.cluster.observer import AtWork
from raybench.core import Shard, Status
from raybench.core.errors import StoreError
from raybench.core.training_step import TrainingStep
from raybench.report.progress import Progress
from raybench.report.status_table import print_status
from raybench.schedule.work import Fit, Prepare, TrialWork
from raybench.store import Store
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow


def plan(*names):
    trials = [
        SimpleNamespace(
            problem=None,
            trial=SimpleNamespace(trial_id=name, candidate=name, seed=0, until=0, dataset=SimpleNamespace(name="rows")),
        )
        for name in names
    ]
    return SimpleNamespace(trials=trials, fits={})


def work(name, cost=1.0, **given):
    return TrialWork(trial_id=name, data_key="d", needs_fit=False, bundle=name, cost=cost, **given)


def commit(name, start, stop):
    return ShardCommit(
        trial_id=name, start=start, stop=stop, num_examples=10, states=b"", score_seconds=1.0, wall_seconds=1.0,
        peak_memory_bytes=0, device="cpu", dtype="float32", threads=1, cost="{}", basis="b",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "store"))


def test_counts_are_those_of_what_was_committed(store):
    with Progress(store.run("r"), quiet=True) as progress:
        progress.begin(plan("a", "b", "c"), [work("b"), work("c")])
        progress.batches_planned("d", 4)
        progress.shard_scored(commit("b", 0, 2))
        progress.trial_ended(TrialRow(trial_id="c", status=Status.NAN, reason="loss"))
        state = progress.as_dict()
    assert (state["trials"], state["trials_done_before"], state["trials_done"]) == (3, 1, 2)
    assert (state["shards_scored"], state["examples_scored"]) == (1, 10)
    assert state["statuses"] == {"nan": 1}


def test_the_time_left_weighs_trials_by_cost(store):
    progress = Progress(store.run("r"), quiet=True)
    progress.begin(plan("a", "b"), [work("a", 90.0), work("b", 10.0)])
    progress.trial_ended(TrialRow(trial_id="b", status=Status.NAN))
    progress._began -= 100  # as if it had taken long
    state = progress.as_dict()
    assert state["seconds_left"] == pytest.approx(9 * state["seconds"], rel=0.1)


def test_no_time_left_is_told_before_there_is_something_to_tell_it_from(store):
    progress = Progress(store.run("r"), quiet=True)
    progress.begin(plan("a", "b"), [work("a", 99.0), work("b", 1.0)])
    progress.trial_ended(TrialRow(trial_id="b", status=Status.NAN))
    assert progress.as_dict()["seconds_left"] is None
    progress._began -= 200  # of a night, a hundredth says something
    assert progress.as_dict()["seconds_left"] == pytest.approx(200 * (101.98 / 1.99 - 1), rel=0.01)


def test_the_time_left_counts_a_fit_under_way_and_what_has_been_fitted(store):
    progress = Progress(store.run("r"), quiet=True)
    fitted = [work(name, fit_steps=((f"{name} 1", 0.25), (f"{name} 2", 0.25))) for name in ("a", "b")]
    progress.begin(plan("a", "b"), fitted)
    progress._began -= 1000  # starting actors and preparing rows come once
    progress.tick([AtWork(0, Prepare(data_key="rows"), None)])
    progress.tick([AtWork(0, Fit(trial_ids=("a",)), None)])
    assert progress._at_work_since is not None
    progress._at_work_since -= 200
    lefts = []
    for step in (TrainingStep(1, 2, 1, 10), TrainingStep(1, 2, 6, 10), TrainingStep(2, 2, 1, 10)):
        progress.tick([AtWork(0, Fit(trial_ids=("a",)), step)])
        lefts.append(progress.as_dict()["seconds_left"])
    assert lefts[0] is None  # nothing is done
    whole = 2 * 1.01  # and something for each trial's end
    assert lefts[1:] == pytest.approx([200 * (whole / (0.5 * share) - 1) for share in (0.25, 0.5)], rel=0.01)
    progress.tick([AtWork(0, Shard(trial_id="a", start=0, stop=2), None)])  # fitted, no shard is in
    assert progress.as_dict()["seconds_left"] == pytest.approx(lefts[2], rel=0.01)


def test_the_time_left_counts_once_what_trials_share(store):
    progress = Progress(store.run("r"), quiet=True)
    heads = [work(name, 10.0, fit_steps=(("train", 6.0),), test_features="test") for name in ("a", "b", "c", "d")]
    progress.begin(plan("a", "b", "c", "d"), heads)
    progress.trial_ended(TrialRow(trial_id="a", status=Status.NAN))
    assert progress._share() == pytest.approx((10 + 0.1) / (10 + 4 * 0.1))


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt, "stopped"), (OSError, "failed")])
def test_an_end_before_the_end_is_told(store, error, state):
    with pytest.raises(error), Progress(store.run("r"), quiet=True):
        raise error
    assert store.run("r").read_json("progress.json")["state"] == state


def test_status_tells_a_silent_driver_from_a_running_one(store, capsys):
    progress = Progress(store.run("r"), quiet=True)
    progress.begin(plan("a"), [work("a")])
    state = progress.as_dict()
    store.run("now").write_json("progress.json", state)
    store.run("gone").write_json("progress.json", state | {"updated_at": state["updated_at"] - 100})
    print_status(store.files.url, Console(width=200))
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "running" in lines["now"]
    assert "silent for 100 s; run the job again to go on" in lines["gone"]


def test_a_store_that_refuses_progress_ends_no_run_and_is_said_once(store, capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise StoreError("store x: is full")

    with Progress(store.run("r")) as progress:
        progress.begin(plan("a"), [work("a")])
        monkeypatch.setattr(type(store.files), "write", refuse)
        for _ in range(3):
            progress.tick([])
            progress._writing.result()
    assert capsys.readouterr().err.count("`raybench status` will not show this run: store x: is full") == 1


def said(progress, work, step=None):
    progress.tick([AtWork(0, work, step)])
    (line,) = progress.as_dict()["doing"]
    return line


def test_what_an_actor_is_at_is_told_by_name(store):
    progress = Progress(store.run("r"), quiet=True)
    progress.begin(plan("a", "b", "c"), [work("a"), work("b"), work("c")])
    assert said(progress, Fit(trial_ids=("a",))) == "a on rows, seed 0: a fit begins"
    line = said(progress, Fit(trial_ids=("a", "b", "c")), TrainingStep(1, 2, 12, 26))
    assert line == "a on rows, seed 0 and 2 more: epoch 1 of 2, step 12 of 26"
    progress.batches_planned("d", 4)
    progress.shard_scored(commit("b", 0, 2))
    assert said(progress, Shard(trial_id="b", start=2, stop=3)) == "b on rows, seed 0: 2 of 4 batches scored"
    assert said(progress, Prepare(data_key="d")) == "rows are prepared"


def test_status_shows_what_the_actors_of_a_running_run_are_at(store, capsys):
    progress = Progress(store.run("r"), quiet=True)
    progress.begin(plan("a"), [work("a")])
    progress.tick([AtWork(0, Fit(trial_ids=("a",)), TrainingStep(3, 9, 1, 2))])
    store.run("r").write_json("progress.json", progress.as_dict())
    print_status(store.files.url, Console(width=200))
    assert "r: a on rows, seed 0: epoch 3 of 9, step 1 of 2" in capsys.readouterr().out
