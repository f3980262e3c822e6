"""The simulator: no trial is lost, nothing ends below the lower bound, equal seeds give equal runs."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Status
from raybench.schedule.pace import Pace, lower_bound, work_seconds
from raybench.schedule.simulate import simulate
from raybench.schedule.work import TrialWork


def sweep(num_trials, *, seed=0, bundle=1, features=False, spread=0.8, num_batches=12):
    """Trials of drawn lengths, `bundle` of them with a first step in common; predictions are off by a fifth or so."""
    rng = random.Random(seed)
    works, steps, score, seconds_a_batch = [], {}, {}, {}
    for number in range(num_trials):
        name, own = f"b{number // bundle}", rng.lognormvariate(4, spread)
        path = ((f"{name} begins", 10.0), (f"t{number}", own)) if bundle > 1 else ((f"t{number}", own),)
        net = name if features else None
        works.append(
            TrialWork(
                trial_id=f"t{number}",
                data_key=f"d{number // bundle % 3}",
                needs_fit=number % 7 > 0,
                bundle=name,
                fit_steps=path,
                train_features=net and f"{net}:train",
                test_features=net and f"{net}:test",
            )
        )
        steps |= {key: cost * rng.lognormvariate(0, 0.2) for key, cost in path if key not in steps}
        score[f"t{number}"] = own / 100
        seconds_a_batch |= {f"{net}:train": 0.2, f"{net}:test": 0.2} if net else {}
    data = dict.fromkeys({work.data_key for work in works}, (num_batches, 5))
    pace = Pace(
        start=10.0,
        answer=0.0005,
        batches=data,
        prepare=dict.fromkeys(data, 3.0),
        features=seconds_a_batch,
        steps=steps,
        open=dict.fromkeys(score, 0.3),
        score=score,
    )
    return works, pace


sweeps = st.builds(
    sweep,
    st.integers(1, 30),
    seed=st.integers(0, 10**6),
    bundle=st.sampled_from([1, 4, 30]),
    features=st.booleans(),
    num_batches=st.integers(0, 9),
)


@settings(max_examples=60)
@given(made=sweeps, num_actors=st.integers(1, 9), per_hour=st.sampled_from([0.0, 2.0]), seed=st.integers(0, 10**6))
def test_every_trial_ends_once_and_none_before_it_can(made, num_actors, per_hour, seed):
    works, pace = made
    run = simulate(works, pace, num_actors=num_actors, shard_batches=4, preempted_per_hour=per_hour, seed=seed)
    assert run.ended == {work.trial_id: Status.OK for work in works}
    assert run.makespan >= lower_bound(works, pace, num_actors=num_actors, shard_batches=4) - 1e-6
    assert run.busy_seconds >= work_seconds(works, pace) - 1e-6
    assert 0 < run.utilisation <= 1


@settings(max_examples=20)
@given(made=sweeps, seed=st.integers(0, 10**6))
def test_equal_seeds_give_equal_runs(made, seed):
    works, pace = made
    runs = [
        simulate(works, pace, num_actors=3, shard_batches=2, preempted_per_hour=5.0, seed=seed, again_seconds=20)
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_one_actor_takes_the_sum_of_all_work():
    works, pace = sweep(10)
    run = simulate(works, pace, num_actors=1, shard_batches=4)
    assert run.makespan == pytest.approx(pace.start + work_seconds(works, pace), rel=0.01)


@pytest.mark.parametrize(("bundle", "features"), [(1, False), (20, False), (1, True), (20, True)])
def test_a_thousand_trials_on_a_hundred_actors_take_little_longer_than_the_bound(bundle, features):
    works, pace = sweep(1000, bundle=bundle, features=features)
    run = simulate(works, pace, num_actors=100, shard_batches=4)
    assert run.makespan <= 1.06 * lower_bound(works, pace, num_actors=100, shard_batches=4)


def test_a_bundle_is_parted_where_actors_would_wait():
    works, pace = sweep(30, bundle=30)
    run = simulate(works, pace, num_actors=10, shard_batches=4)
    assert run.makespan < 0.3 * work_seconds(works, pace)


def test_nodes_that_are_taken_away_cost_time_and_are_counted():
    works, pace = sweep(60)
    calm = simulate(works, pace, num_actors=5, shard_batches=4)
    spot = simulate(works, pace, num_actors=5, shard_batches=4, preempted_per_hour=10.0, again_seconds=60)
    assert calm.num_preempted == calm.lost_seconds == 0
    assert spot.num_preempted > 0
    assert spot.lost_seconds > 0
    assert spot.makespan > calm.makespan


def test_what_of_a_fit_was_written_is_not_done_again():
    epochs = tuple((f"epoch{number}", 100.0) for number in range(20))
    works = [TrialWork(trial_id="t", data_key="d", needs_fit=True, bundle="t", fit_steps=epochs)]
    pace = Pace(batches={"d": (1, 1)}, steps=dict(epochs))
    whole = Pace(batches={"d": (1, 1)}, steps={"all": 2000.0})
    one = [TrialWork(trial_id="t", data_key="d", needs_fit=True, bundle="t", fit_steps=(("all", 2000.0),))]
    lost = [
        simulate(fits, speeds, num_actors=1, shard_batches=1, preempted_per_hour=3.0, seed=1).lost_seconds
        for fits, speeds in ((works, pace), (one, whole))
    ]
    assert 0 < lost[0] < 100.0 * 5
    assert lost[0] < lost[1]


def test_one_fit_for_several_datasets_is_foretold_once():
    first = TrialWork(trial_id="a", data_key="d0", needs_fit=True, bundle="b", fit_steps=(("s", 1.0),))
    other = replace(first, trial_id="b", data_key="d1", fit_id="a", fit_data_key="d0")
    alone = replace(other, trial_id="c", fit_id="e")  # whose own fit is of a trial that is not to be done
    pace = Pace(batches={"d0": (1, 1), "d1": (1, 0)}, steps={"s": 4.0}, fit={"a": 2.0, "e": 2.0})
    assert work_seconds([first, other], pace) == 6.0
    run = simulate([first, other, alone], pace, num_actors=1, shard_batches=4)
    assert run.busy_seconds == work_seconds([first, other, alone], pace) == 8.0
