"""What comes first where time may run out."""

from __future__ import annotations

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.planning.budget import by_value
from raybench.planning.plan import PlannedTrial
from raybench.schedule.work import TrialWork


def planned(candidate, seed, cost, dataset="d"):
    name = f"{candidate}{seed}"
    key = DatasetKey(name=dataset, task="text-classification", labels=(), fingerprint="", max_length=1)
    trial = Trial(
        trial_id=name, candidate=candidate, model=ModelSpec(reference="m"), dataset=key, method="none",
        hyperparameters={}, seed=seed, weights_fingerprint="",
    )  # fmt: skip
    return PlannedTrial(
        trial=trial, work=TrialWork(trial_id=name, data_key="d", needs_fit=True, bundle=name, cost=cost)
    )


TRIALS = [planned("large", 0, 9.0), planned("large", 1, 9.0), planned("small", 0, 1.0), planned("small", 1, 1.0)]


def order(done=()):
    todo = [one.work for one in TRIALS if one.trial.trial_id not in done]
    works = by_value(TRIALS, todo, done)
    assert [work.rank for work in works] == list(range(len(works)))
    return [work.trial_id for work in works]


def test_each_candidate_has_a_score_before_any_has_two_the_cheapest_first():
    assert order() == ["small0", "large0", "small1", "large1"]


def test_what_is_done_counts():
    assert order(done=["small0"]) == ["large0", "small1", "large1"]
