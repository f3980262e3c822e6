"""Who goes on at a rung: the best by validation rows, the same whatever ended first and wherever a run was cut off."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import DatasetKey, ModelSpec, Score, Status, Trial
from raybench.job.resources import HalvingSpec
from raybench.planning.halvings import halving_notes, with_halvings
from raybench.planning.plan import Plan, PlannedTrial
from raybench.results.choosing import choose
from raybench.results.halving import keep_stopped, unfold
from raybench.results.measure import Measured
from raybench.results.settled import is_settled
from raybench.schedule.work import TrialWork
from raybench.store import Store
from raybench.store.trials import TrialRow

EPOCHS = 9


def planned(rate, seed, scored):
    name = "d" if scored == "test" else "d (validation)"
    trial_id = f"{scored}-{rate}-{seed}"
    trial = Trial(
        trial_id=trial_id,
        candidate="c",
        model=ModelSpec(reference="m"),
        dataset=DatasetKey(name=name, task="t", labels=("a", "b"), fingerprint=scored, max_length=8, scored=scored),
        method="full",
        hyperparameters={"learning_rate": rate, "epochs": EPOCHS},
        seed=seed,
        weights_fingerprint="w",
    )
    steps = tuple((f"{rate}-{seed}-{epoch}", 2.0) for epoch in range(EPOCHS))
    work = TrialWork(
        trial_id=trial_id, data_key=scored, needs_fit=True, bundle="b", fit_id=f"test-{rate}-{seed}", fit_steps=steps,
        cost=2.0 * EPOCHS + 1.0,
    )  # fmt: skip
    return PlannedTrial(trial=trial, work=work)


def plan(num, seeds=(0,), rank_by="accuracy", **spec):
    rates = [place / 100 for place in range(num)]
    tried, offered = (
        tuple(planned(rate, seed, scored) for rate in rates for seed in seeds) for scored in ("validation", "test")
    )
    dataset = SimpleNamespace(
        rank_by=rank_by, metric_config={"labels": ["a", "b"]}, chosen_on="d", measures="m", notes=(),
        loaded=SimpleNamespace(splits={"validation": None}),
    )  # fmt: skip
    return with_halvings(
        Plan(
            run_id="r",
            job=SimpleNamespace(race=None, halving=HalvingSpec(**spec)),
            trials=tried,
            offered=offered,
            datasets={"d": dataset, "d (validation)": dataset},
            fits={one.trial.trial_id: one for one in offered},
        )
    )


def place_of(trial):
    return round(trial.hyperparameters["learning_rate"] * 100)


def end(one, worth, metric="accuracy"):
    """How a trial ends that is worth so much, or ends otherwise."""
    status = worth if isinstance(worth, Status) else Status.OK
    row = TrialRow(trial_id=one.trial.trial_id, status=status, reason=None if status is Status.OK else "it burned")
    return row, Measured({metric: Score(value=worth, n=9)}, {}, {}) if status is Status.OK else None


def played(given_plan, worth, pick=lambda left: 0, most=10_000):
    """Trials done one after the other, always one that may be, until none is left or `most` are done."""
    rows, measured, done = {}, {}, []
    while True:
        unfolded = unfold(given_plan, rows, measured)
        left = [one for one in unfolded.todo.trials if one.trial.trial_id not in rows]
        if not left or len(done) == most:
            return unfolded, rows, measured, done
        one = left[pick(left)]
        rows[one.trial.trial_id], found = end(one, worth(one.trial))
        measured |= {one.trial.trial_id: found} if found else {}
        done.append(one)


def decided(unfolded):
    return [
        (one.trial.trial_id, one.problem and (one.problem.status, one.problem.reason)) for one in unfolded.table.trials
    ]


ENDS = st.one_of(st.integers(0, 5).map(lambda value: value / 5), st.sampled_from([Status.NAN, Status.FAILED]))
GRIDS = st.tuples(st.integers(2, 12), st.integers(1, 2), st.integers(2, 4), st.data())


@given(GRIDS)
@settings(max_examples=40, deadline=None)
def test_neither_the_order_of_ends_nor_a_run_cut_off_changes_who_goes_on(grid):
    num, num_seeds, eta, data = grid
    given_plan = plan(num, tuple(range(num_seeds)), eta=eta)
    worths = {}

    def worth(trial):
        key = (trial.hyperparameters["learning_rate"], trial.seed, trial.until)
        if key not in worths:
            worths[key] = data.draw(ENDS)
        return worths[key]

    first, rows, measured, _ = played(given_plan, worth)
    at_random = played(given_plan, worth, lambda left: data.draw(st.integers(0, len(left) - 1)))
    assert decided(at_random[0]) == decided(first)
    assert at_random[1].keys() == rows.keys()
    *_, done = played(given_plan, worth, most=data.draw(st.integers(0, len(rows))))  # then it is cut off
    kept = {one.trial.trial_id for one in done}
    again = unfold(
        given_plan, {name: rows[name] for name in kept}, {name: measured[name] for name in kept if name in measured}
    )
    assert (
        kept <= {one.trial.trial_id for one in again.todo.trials} <= {one.trial.trial_id for one in first.todo.trials}
    )


@given(GRIDS)
@settings(max_examples=40, deadline=None)
def test_as_many_go_on_as_are_planned_and_they_are_the_best(grid):
    num, num_seeds, eta, data = grid
    given_plan = plan(num, tuple(range(num_seeds)), eta=eta)
    (halving,) = given_plan.halvings
    worths = {}

    def worth(trial):
        key = (place_of(trial), trial.seed, trial.until)
        if key not in worths:
            worths[key] = data.draw(st.integers(0, 5)) / 5
        return worths[key]

    _, _, _, done = played(given_plan, worth)
    going = set(range(num))
    for stage, size in zip(halving.stages, halving.sizes, strict=True):
        until = stage.epochs if stage.keep else 0
        assert {place_of(one.trial) for one in done if one.trial.until == until} == going
        assert len(going) == size
        if stage.keep:
            means = {place: sum(worths[place, seed, until] for seed in range(num_seeds)) for place in going}
            going = set(sorted(going, key=lambda place: (-means[place], place))[: stage.keep])
    epochs = sum(cost for one in done for _, cost in one.work.fit_steps) / 2.0
    assert epochs == halving.num_epochs * num_seeds
    assert len({key for one in done for key, _ in one.work.fit_steps}) == epochs  # none is done twice


def test_a_stopped_one_says_where_it_stood_and_is_ranked_below_without_a_value():
    unfolded, rows, measured, done = played(plan(9), lambda trial: place_of(trial) / 10 + trial.until / 1000)
    assert [one.trial.until for one in done] == [1] * 9 + [3] * 3 + [0]
    reasons = {place_of(one.trial): one.problem.reason for one in unfolded.table.trials if one.problem is not None}
    assert reasons[0] == (
        "halving: after 1 of 9 epochs place 9 of 9 on the validation rows, accuracy 0.001; the last to go on had 0.601"
    )
    assert reasons[7].startswith("halving: after 3 of 9 epochs place 2 of 3 on the validation rows, accuracy 0.703; ")
    assert all(is_settled("stopped", reason) for reason in reasons.values())
    chosen, (line,) = choose(unfolded.table, rows, measured)
    assert [one.trial.trial_id for one in chosen.trials[9:]] == ["test-0.08-0"]
    assert "learning_rate=0.08 is the best of 9 configurations" in line


def test_less_of_what_is_lost_is_better():
    given_plan = plan(4, rank_by="log_loss", eta=2)
    rows = {}
    measured = {}
    for one in given_plan.trials:
        rows[one.trial.trial_id], measured[one.trial.trial_id] = end(one, place_of(one.trial) / 10, "log_loss")
    unfolded = unfold(given_plan, rows, measured)
    assert {place_of(one.trial) for one in unfolded.todo.trials if one.trial.until != 2} == {0, 1}


@pytest.mark.parametrize("cut_off", [Status.PREEMPTED, Status.STOPPED])
def test_a_rung_waits_for_all_its_trials(cut_off):
    unfolded, rows, _, done = played(plan(3), lambda trial: cut_off if place_of(trial) == 1 else 0.5)
    assert len(done) == 3
    assert not any(one.problem for one in unfolded.table.trials)
    assert unfolded.undecided == {f"validation-{place / 100}-0" for place in range(3)}
    chosen, lines = choose(unfolded.table, rows, {})
    assert "not all tried" in chosen.trials[-1].problem.reason
    assert lines == []


def test_what_ended_badly_at_a_rung_goes_on_nowhere_and_says_why():
    def worth(trial):
        return Status.NAN if place_of(trial) == 0 else place_of(trial) / 10

    unfolded, *_ = played(plan(3), worth)
    problems = {place_of(one.trial): one.problem for one in unfolded.table.trials if one.problem is not None}
    assert problems[0].status is Status.NAN
    assert problems[0].reason == "after 3 of 9 epochs: it burned"
    assert problems[1].reason.startswith("halving: after 3 of 9 epochs place 2 of 2 on the validation rows")
    assert 2 not in problems


def test_the_store_keeps_who_was_stopped_and_nothing_over_a_whole_fit(tmp_path):
    store = Store.open(str(tmp_path))
    known = TrialRow(trial_id="validation-0.0-0", status=Status.OK, num_examples=9)
    store.trials.write([known])
    given_plan = plan(3)
    unfolded, *_ = played(given_plan, lambda trial: place_of(trial) / 10)
    for _ in range(2):
        keep_stopped(unfolded, store, pytest.fail)
    assert len(store.trials.files()) == 2  # of the second time there was nothing to add
    rows = store.trials.read(pytest.fail)
    assert rows["validation-0.0-0"].status is Status.OK
    stopped = rows["validation-0.01-0"]
    assert (stopped.status, stopped.provenance) == (Status.STOPPED, {"halving": given_plan.halvings[0].key})
    assert stopped.reason.startswith("halving: after 3 of 9 epochs place 2 of 3")
    assert "validation-0.02-0" not in rows


def test_notes_say_what_is_saved():
    (line,) = halving_notes(plan(9))
    assert line == (
        "c on d (validation): halving by accuracy: 9 configurations for 1 epoch, the best 3 for 3, the best for 9; "
        "21 epochs of 81"
    )
