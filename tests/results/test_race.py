"""A race keeps the best, stops what is worse whoever comes first, and can be gone on with."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.metrics import MetricSet
from raybench.metrics.catalog import METRICS, find
from raybench.metrics.draw_order import draw_keys, looks
from raybench.metrics.worth import has_influence, worth_of
from raybench.planning.races import Contestant, PlannedRace
from raybench.results.measure import Drawn
from raybench.results.race import Open, Race, Stop, judge_of
from raybench.results.race_by_influence import judge_worths, level_of
from raybench.results.race_by_mean import ByMean, judge, least_evidence, least_margin
from raybench.results.settled import is_settled

N = 600


def correlated(rng, accuracies, num_examples=N, shared=0.6):
    """Right or wrong, [K, N]: examples are hard for all alike, as far as `shared` says."""
    from scipy.special import ndtri

    hard_N = rng.normal(size=num_examples)
    own_KN = rng.normal(size=(len(accuracies), num_examples))
    return (shared**0.5 * hard_N + (1 - shared) ** 0.5 * own_KN < ndtri(accuracies)[:, None]).astype(float)


def rules(num_contestants, *, seeds=1, keep=1, **changes):
    names = [f"c{place}" for place in range(num_contestants)]
    given = {
        "key": "k", "dataset": "words", "metric": "accuracy", "is_mean": True,
        "higher_is_better": True, "range": (0.0, 1.0), "unit": "fraction", "alpha": 0.05, "keep": keep, "seed": 0,
        "contestants": tuple(Contestant(name, tuple(f"{name}-{s}" for s in range(seeds))) for name in names),
    }  # fmt: skip
    return PlannedRace(**given | changes)


def stopped_at(values_KN, population, num_contestants, keep=1, alpha=0.05):
    least = least_evidence(num_contestants=num_contestants, keep=keep, alpha=alpha)
    return judge(values_KN, population=population, keep=keep, least=least)


def ids_of(race):
    return [trial_id for one in race.contestants for trial_id in one.trial_ids]


def answers(ids, right_N):
    """Records of two classes, a third of the one by the id, of which these are right."""
    target_N = np.array([int(one[1:]) % 3 == 0 for one in ids], dtype=np.int64)
    prediction_N = np.where(right_N == 1, target_N, 1 - target_N)
    return pa.table({"id": pa.array(list(ids), pa.string()), "target": target_N, "prediction": prediction_N})


class Scoring:
    """Scores in memory what a race opens, trial by trial in any order; `known` is what earlier runs have left."""

    def __init__(self, race_rules, values, rng, *, known=None, fails=()):
        ids = [f"e{number}" for number in range(values.shape[1])]
        keys = draw_keys(ids, seed=race_rules.seed)
        self.order = np.argsort(keys)
        self.keys, self.values = keys[self.order], values[:, self.order]
        self.rules, self.rng, self.fails = race_rules, rng, dict(fails)
        self.rows = {trial_id: row for row, trial_id in enumerate(ids_of(race_rules))}
        metrics = MetricSet(("log_loss", "macro_f1"), {"labels": ["no", "yes"]})
        self.race = Race(race_rules, keys, set(self.rows), judge_of(race_rules, len(keys), metrics))
        self.ids = np.array(ids)[self.order]
        self.open = dict.fromkeys(self.rows, 0)
        self.done = dict.fromkeys(self.rows, 0)  # examples
        self.stopped, self.failed = {}, set()
        for trial_id, count in (known or {}).items():
            self.learn(trial_id, count)

    def learn(self, trial_id, upto):
        """A shard, with an overlap: what comes twice is known already."""
        start = max(0, self.done[trial_id] - 3)
        self.done[trial_id] = max(upto, self.done[trial_id])
        shuffled = np.array(self.rng.sample(range(start, upto), upto - start), dtype=int)
        values = self.values[self.rows[trial_id]][shuffled]
        if not self.rules.is_mean:
            values = answers(self.ids[shuffled], values)
        self.obey(self.race.learn(trial_id, self.keys[shuffled], values))

    def obey(self, verdicts):
        for verdict in verdicts:
            if isinstance(verdict, Stop):
                assert not self.stopped.keys() & set(verdict.trial_ids)
                self.stopped |= dict.fromkeys(verdict.trial_ids, (verdict.num_examples, verdict.reason))
            else:
                assert isinstance(verdict, Open)
                for trial_id in verdict.trial_ids:
                    self.open[trial_id] = max(self.open[trial_id], verdict.round)

    def run(self, at_most=10**9):
        self.obey(self.race.begin())
        ends = looks(len(self.keys))
        for _ in range(at_most):
            going = [one for one in self.rows if one not in self.stopped and one not in self.failed]
            going = [one for one in going if self.done[one] < ends[self.open[one]]]
            if not going:
                break
            trial_id = self.rng.choice(going)
            if self.fails.get(trial_id) == self.done[trial_id]:
                self.failed.add(trial_id)
                self.obey(self.race.ended(trial_id))
                continue
            self.learn(trial_id, min(self.done[trial_id] + self.rng.choice([50, 64, 200]), ends[self.open[trial_id]]))
            if self.done[trial_id] == len(self.keys):
                self.obey(self.race.ended(trial_id))
        return self

    @property
    def finished(self):
        return {one for one in self.rows if self.done[one] == len(self.keys)}


BY_F1 = {"metric": "macro_f1", "is_mean": False}
ACCURACIES = np.array([0.9, 0.88, 0.8, 0.6, 0.5])


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), keep=st.integers(1, 3), seeds=st.integers(1, 2), interrupted=st.integers(0, 40))
def test_who_comes_first_and_where_a_run_was_cut_off_changes_no_decision(seed, keep, seeds, interrupted):
    values = correlated(np.random.default_rng(seed), np.repeat(ACCURACIES, seeds))
    race_rules = rules(len(ACCURACIES), seeds=seeds, keep=keep)
    expected = Scoring(race_rules, values, random.Random(0)).run()
    assert expected.finished | expected.stopped.keys() == set(expected.rows)
    assert len(expected.finished) >= keep * seeds
    cut = Scoring(race_rules, values, random.Random(seed)).run(at_most=interrupted)
    again = Scoring(race_rules, values, random.Random(seed + 1), known=cut.done).run()
    assert again.stopped == expected.stopped
    assert {one: again.done[one] for one in again.stopped} == {one: end for one, (end, _) in again.stopped.items()}


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), seeds=st.integers(1, 2), interrupted=st.integers(0, 40))
def test_nor_does_it_where_a_metric_of_all_records_ranks(seed, seeds, interrupted):
    values = correlated(np.random.default_rng(seed), np.repeat(ACCURACIES, seeds))
    race_rules = rules(len(ACCURACIES), seeds=seeds, **BY_F1)
    expected = Scoring(race_rules, values, random.Random(0)).run()
    assert expected.stopped
    assert expected.finished | expected.stopped.keys() == set(expected.rows)
    cut = Scoring(race_rules, values, random.Random(seed)).run(at_most=interrupted)
    again = Scoring(race_rules, values, random.Random(seed + 1), known=cut.done).run()
    assert again.stopped == expected.stopped


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), fails=st.dictionaries(st.sampled_from("01234"), st.sampled_from([0, 128, 192])))
def test_who_fails_keeps_nobody_waiting(seed, fails):
    values = correlated(np.random.default_rng(seed), ACCURACIES)
    fails = {f"c{place}-0": after for place, after in fails.items()}
    one = Scoring(rules(5), values, random.Random(seed), fails=fails).run()
    assert one.finished | one.stopped.keys() | one.failed == set(one.rows)


def test_the_best_is_kept_as_often_as_promised_also_among_equals():
    """Half of the rivals are as good as the best, the case in which it is lost most easily."""
    rng = np.random.default_rng(0)
    lost = 0
    for _ in range(300):
        values = correlated(rng, np.array([0.8, *[0.79] * 4, *[0.5] * 3]), num_examples=400)
        best = values.mean(axis=1).argmax()
        alive = np.arange(len(values))
        for upto in looks(400)[:-1]:
            told = stopped_at(values[alive, :upto], 400, 8, alpha=0.2)
            alive = np.delete(alive, [one.place for one in told])
        lost += best not in alive
    assert lost <= 0.2 * 300


def test_by_f1_the_best_is_kept_as_often_too_and_the_bounds_are():
    """The same equals, judged from influences of 400 records at most."""
    rng, metrics, num_examples = np.random.default_rng(0), MetricSet(("macro_f1",), {"labels": ["no", "yes"]}), 400
    ids = [f"e{number}" for number in range(num_examples)]
    level = level_of(num_contestants=8, keep=1, alpha=0.2, num_looks=len(looks(num_examples)))
    lost = wrong = told = 0
    for _ in range(25):
        tables = [answers(ids, one) for one in correlated(rng, np.array([0.8, *[0.79] * 4, *[0.5] * 3]), num_examples)]
        finals = [worth_of(metrics, "macro_f1", table).value for table in tables]
        alive = list(range(8))
        for upto in looks(num_examples)[:-1]:
            worths = [worth_of(metrics, "macro_f1", tables[place].slice(0, upto)) for place in alive]
            found = judge_worths(worths, keep=1, level=level, share=upto / num_examples, higher_is_better=True)
            gaps = [finals[alive[one.leader]] - finals[alive[one.place]] - one.margin for one in found]
            told, wrong = told + len(gaps), wrong + sum(gap < 0 for gap in gaps)
            alive = [one for place, one in enumerate(alive) if place not in {verdict.place for verdict in found}]
        lost += int(np.argmax(finals)) not in alive
    assert told > 60
    assert wrong <= 0.05 * told
    assert lost <= 0.2 * 25


def test_no_race_is_by_what_few_examples_make_too_large_or_chance_is_most_of():
    may = {name for name in METRICS if has_influence(find(name)[0])}
    assert may >= {"accuracy", "macro_f1", "f1", "mcc", "roc_auc", "log_loss", "bleu", "wer", "r2", "mean_iou"}
    assert not may & {"ece", "mce", "average_precision", "multilabel_average_precision", "fid"}


def test_of_what_has_no_value_yet_nothing_is_said():
    """No positive among the first: an AUC is not known, and nobody is judged by it."""
    known = worth_of(MetricSet(("macro_f1",), {"labels": ["no", "yes"]}), "macro_f1", answers(["e0", "e1"], np.ones(2)))
    judged = judge_worths([known, None, None], keep=2, level=0.05, share=0.1, higher_is_better=True)
    one_class = pa.table({"id": ["e1"], "target": [0], "score": [0.5]})
    assert worth_of(MetricSet(("roc_auc",), {"labels": ["no", "yes"]}), "roc_auc", one_class) is None
    assert judged == []


@given(st.integers(0, 5))
def test_what_a_shard_is_worth_travels_as_it_is(count):
    keys = np.arange(count, dtype=np.uint64) + 2**63
    for values in (np.linspace(0, 1, count), answers([f"e{number}" for number in range(count)], np.ones(count))):
        back = Drawn.from_bytes(Drawn(keys, values).to_bytes())
        assert np.array_equal(back.keys, keys)
        same = back.values.equals(values) if isinstance(values, pa.Table) else np.array_equal(back.values, values)
        assert same


def test_forty_candidates_cost_a_quarter_of_their_examples():
    rng, num_examples = np.random.default_rng(0), 10_000
    accuracies = np.linspace(0.6, 0.9, 40)
    for _ in range(3):
        values = correlated(rng, accuracies, num_examples)
        alive, scored = np.arange(40), 0
        for start, upto in pairwise((0, *looks(num_examples))):
            scored += len(alive) * (upto - start)
            if upto < num_examples:
                told = stopped_at(values[alive, :upto], num_examples, 40)
                alive = np.delete(alive, [one.place for one in told])
        assert values.mean(axis=1).argmax() in alive
        assert scored < values.size / 4


def test_the_bound_is_one():
    rng = np.random.default_rng(0)
    wrong = told = 0
    least = least_evidence(num_contestants=3, keep=1, alpha=0.05)
    for _ in range(100):
        values = correlated(rng, np.array([0.8, 0.7, 0.5]), num_examples=500)
        for one in judge(values[:, :216], population=500, keep=1, least=least):
            told += 1
            differences = values[one.leader] - values[one.place]
            margin = least_margin(differences[:216], population=500, least=least)
            wrong += differences.mean() < margin
            assert 0 <= margin < 0.5
    assert told > 80
    assert wrong <= 0.05 * told


def test_at_least_as_many_as_asked_are_kept_and_each_is_beaten_by_as_many():
    values = correlated(np.random.default_rng(0), np.array([0.95, 0.9, 0.5, 0.3]))
    told = {keep: {one.place for one in stopped_at(values, 2 * N, 4, keep)} for keep in (1, 2, 3, 4)}
    assert told == {1: {1, 2, 3}, 2: {2, 3}, 3: {3}, 4: set()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (BY_F1, "worse than c0 by at least 63.5 points of macro_f1 (95 %, asymptotic), after 128 of 600"),
        ({}, "worse than c0 by at least 61.2 points of accuracy (95 %, anytime), after 128 of 600"),
        ({"unit": "squared probability", "range": (-1.0, 1.0), "metric": "score", "alpha": 0.1},
         "worse than c0 by at least 0.608 in score (90 %, anytime), after 128 of 600"),
    ],
)  # fmt: skip
def test_a_stopped_one_is_told_by_whom_by_how_much_and_when(changes, words):
    values = correlated(np.random.default_rng(0), np.array([0.95, 0.3]))
    one = Scoring(rules(2, **changes), values, random.Random(0)).run()
    ((trial_id, (_, reason)),) = one.stopped.items()
    assert trial_id == "c1-0"
    assert reason == words
    assert is_settled("stopped", reason)
    assert not is_settled("stopped", "not finished; run the same command to go on")
    assert not is_settled("failed", reason)


def test_less_may_be_better():
    values = 1 - correlated(np.random.default_rng(0), np.array([0.95, 0.3]))
    one = Scoring(rules(2, higher_is_better=False, metric="brier"), values, random.Random(0)).run()
    assert one.stopped.keys() == {"c1-0"}


def test_what_another_run_scores_is_not_waited_for():
    values = correlated(np.random.default_rng(0), ACCURACIES)
    ids = [f"e{number}" for number in range(N)]
    race = Race(rules(5), draw_keys(ids, seed=0), {"c0-0", "c4-0"}, ByMean(rules(5), len(ids)))
    keys = draw_keys(ids, seed=0)
    race.begin()
    assert race.learn("c0-0", keys, values[0]) == []
    verdicts = race.learn("c4-0", keys, values[4])
    assert [one.trial_ids for one in verdicts if isinstance(one, Stop)] == [("c4-0",)]


def test_an_undefined_value_neither_leads_nor_is_stopped():
    values = correlated(np.random.default_rng(0), np.array([0.95, 0.3, 0.9]))
    values[2] = np.nan
    one = Scoring(rules(3), values, random.Random(0)).run()
    assert one.stopped.keys() == {"c1-0"}
    assert one.finished == {"c0-0", "c2-0"}
