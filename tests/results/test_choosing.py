"""Which of a candidate's configurations is scored on the test rows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raybench.core import DatasetKey, ModelSpec, Score, Status, Trial
from raybench.metrics.thresholds import Picked
from raybench.planning.plan import Plan, PlannedTrial, Problem
from raybench.results.choosing import choose
from raybench.results.measure import Measured
from raybench.schedule.work import TrialWork
from raybench.store.trials import TrialRow


def planned(rate, seed, scored, problem=None):
    name = "d" if scored == "test" else "d (validation)"
    trial = Trial(
        trial_id=f"{scored}-{rate}-{seed}",
        candidate="c",
        model=ModelSpec(reference="m"),
        dataset=DatasetKey(name=name, task="t", labels=("a", "b"), fingerprint=scored, max_length=8, scored=scored),
        method="frozen",
        hyperparameters={"learning_rate": rate, "epochs": 1},
        seed=seed,
        weights_fingerprint="w",
    )
    work = TrialWork(trial_id=trial.trial_id, data_key="k", needs_fit=True, bundle="b", cost=1.0)
    return PlannedTrial(trial=trial, work=work, problem=problem)


def plan(rates, metric="accuracy", seeds=(0, 1), problem=None):
    dataset = SimpleNamespace(rank_by=metric, metric_config={"labels": ["a", "b"]}, chosen_on="d")
    tried, offered = (
        tuple(planned(rate, seed, scored, problem) for rate in rates for seed in seeds)
        for scored in ("validation", "test")
    )
    return Plan(run_id="r", job=SimpleNamespace(race=None), trials=tried, offered=offered, datasets={"d": dataset})


def ends(scores, metric="accuracy"):
    """Rows and measured scores of {(rate, seed): a score, or how it ended}."""
    rows, measured = {}, {}
    for (rate, seed), score in scores.items():
        trial_id = f"validation-{rate}-{seed}"
        status = Status.OK if isinstance(score, float) else score
        rows[trial_id] = TrialRow(trial_id=trial_id, status=status, reason=None if status is Status.OK else "it burned")
        if status is Status.OK:
            measured[trial_id] = Measured({metric: Score(value=score, n=9)}, {}, {})
    return rows, measured


def chosen(given, rows, measured):
    after, lines = choose(given, rows, measured)
    assert after.offered == ()
    assert after.trials[: len(given.trials)] == given.trials
    return after.trials[len(given.trials) :], lines


@pytest.mark.parametrize(("metric", "best"), [("accuracy", 0.2), ("log_loss", 0.1)])
def test_the_best_mean_over_seeds_is_scored_on_test_rows_with_every_seed(metric, best):
    scores = {(0.1, 0): 0.9, (0.1, 1): 0.1, (0.2, 0): 0.6, (0.2, 1): 0.6}
    trials, lines = chosen(plan((0.1, 0.2), metric), *ends(scores, metric))
    assert [one.trial.trial_id for one in trials] == [f"test-{best}-0", f"test-{best}-1"]
    assert [line.partition(" (")[0] for line in lines] == [
        f"c on d: learning_rate={best} is the best of 2 configurations on the validation rows"
    ]


def test_of_equal_configurations_the_first_is_chosen():
    scores = {(rate, seed): 0.5 for rate in (0.3, 0.1, 0.2) for seed in (0, 1)}
    trials, _ = chosen(plan((0.3, 0.1, 0.2)), *ends(scores))
    assert trials[0].trial.hyperparameters["learning_rate"] == 0.3


def test_a_configuration_of_which_a_seed_failed_is_not_chosen():
    scores = {(0.1, 0): 0.9, (0.1, 1): Status.NAN, (0.2, 0): 0.2, (0.2, 1): 0.2}
    trials, _ = chosen(plan((0.1, 0.2)), *ends(scores))
    assert [one.trial.hyperparameters["learning_rate"] for one in trials] == [0.2, 0.2]


@pytest.mark.parametrize("end", [None, Status.STOPPED, Status.PREEMPTED])
def test_nothing_is_chosen_before_all_have_ended(end):
    rows, measured = ends({(0.1, 0): 0.9, (0.1, 1): 0.9, (0.2, 0): 0.2} | ({(0.2, 1): end} if end else {}))
    (left,), lines = chosen(plan((0.1, 0.2)), rows, measured)
    assert left.problem.status is Status.STOPPED
    assert "not all tried" in left.problem.reason
    assert lines == []


def test_where_no_configuration_ended_well_the_first_reason_stands_for_the_candidate():
    (left,), _ = chosen(plan((0.1, 0.2)), *ends({(rate, seed): Status.NAN for rate in (0.1, 0.2) for seed in (0, 1)}))
    assert left.problem.status is Status.NAN
    assert "it burned" in left.problem.reason


def test_what_cannot_start_says_so_once():
    problem = Problem(status=Status.INCOMPATIBLE, reason="no")
    (left,), _ = chosen(plan((0.1, 0.2), problem=problem), {}, {})
    assert left.problem == problem


def test_what_is_not_offered_stays_as_it_is():
    given = Plan(run_id="r", job=SimpleNamespace(race=None), trials=(planned(0.1, 0, "test"),), datasets={})
    assert choose(given, {}, {}) == (given, [])


def test_configurations_are_judged_by_their_picked_thresholds_and_predicted_with_them():
    rows, measured = ends({(0.1, 0): 0.8, (0.2, 0): 0.7})
    for rate, cut, value in ((0.1, 0.4, 0.82), (0.2, 0.3, 0.9)):
        before = measured[f"validation-{rate}-0"]
        measured[f"validation-{rate}-0"] = before._replace(picked=Picked(cut, "accuracy", value, 0.7))
    (best,), (line,) = chosen(plan((0.1, 0.2), seeds=(0,)), rows, measured)
    assert (best.trial.trial_id, best.trial.dataset.task_config) == ("test-0.2-0", {"threshold": 0.3})
    assert "(accuracy 0.900)" in line
    assert "with threshold 0.3, picked on the validation rows by accuracy (0.900; 0.700 at 0.5)" in line


def test_each_seed_has_its_own_threshold():
    rows, measured = ends({(0.1, 0): 0.8, (0.1, 1): 0.7})
    for seed, cut in ((0, 0.4), (1, 0.2)):
        name = f"validation-0.1-{seed}"
        measured[name] = measured[name]._replace(picked=Picked(cut, "accuracy", 0.9, 0.8))
    trials, (line,) = chosen(plan((0.1,)), rows, measured)
    assert [one.trial.dataset.task_config["threshold"] for one in trials] == [0.4, 0.2]
    assert line.startswith("c on d: thresholds (one a seed) 0.4, 0.2, picked on the validation rows by accuracy")


def test_several_metrics_choose_by_the_weighted_mean_of_ranks():
    values = {0.1: (0.9, 0.9), 0.2: (0.8, 0.1), 0.3: (0.7, 0.5)}  # accuracy, of which more is better, and ece
    rows, measured = ends({(rate, 0): value for rate, (value, _) in values.items()})
    for rate, (accuracy, ece) in values.items():
        scores = {"accuracy": Score(value=accuracy, n=9), "ece": Score(value=ece, n=9)}
        measured[f"validation-{rate}-0"] = Measured(scores, {}, {})
    for rank_by, best in (("3 accuracy + 1 ece", 0.1), ("1 accuracy + 1 ece", 0.2)):
        trials, (line,) = chosen(plan(values, rank_by, seeds=(0,)), rows, measured)
        assert [one.trial.trial_id for one in trials] == [f"test-{best}-0"]
        assert f"(accuracy {values[best][0]:.3f}, ece {values[best][1]:.3f})" in line
