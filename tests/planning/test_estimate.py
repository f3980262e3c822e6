"""What a plan will cost, told from rates, rows and what the store has seen; remembered rates."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from raybench.core import Status
from raybench.job import Resources, parse_job
from raybench.models.forward_cost import ForwardCost, Rate
from raybench.planning.estimate import Known, Rows, foretell
from raybench.planning.plan import make_plan
from raybench.planning.rates import Rates, keep_rates, recall_rates
from raybench.planning.trial_memory import memory_bytes
from raybench.planning.trial_seconds import (
    TrialShape,
    charged_seconds,
    feature_seconds,
    forward_seconds,
    step_seconds,
    trial_shape,
)
from raybench.schedule.simulate import simulate
from raybench.store.trials import TrialRow

RATES = Rates(
    measured=(Rate(8, 1e6, 1e6), Rate(512, 1e6, 1e6)), start_seconds=5.0, memory_bytes=10**6, device_bytes=10**12,
    device_name="processor",
)  # fmt: skip
JOB = """
name: costs
candidates:
  - {{baseline: majority}}
  - {{name: frozen, model: {model}, method: frozen, grid: {{weight_decay: [0.01, 0.1]}}}}
  - {{name: full, model: {model}, method: {{name: full, epochs: {epochs}}}}}
datasets:
  - {{name: a, source: csv, data_files: {{train: train.csv, test: test.csv}}, task: text-classification}}
"""


@pytest.fixture
def plan(tmp_path, tiny_bert):
    for name, count in (("train", 80), ("test", 40)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    return lambda epochs=1: make_plan(parse_job(JOB.format(model=tiny_bert, epochs=epochs), str(tmp_path / "job.yaml")))


def told(made, past=(), is_measured=True, works=None, device="cpu", rates=RATES):
    rows = {key: Rows(num_batches=4, tokens=12.0, model_rows=1.0) for key in made.data}
    known = Known(rows=rows, rates=rates, is_measured=is_measured, past=past, threads=1, device=device)
    return foretell(made, [one.work for one in made.trials] if works is None else works, known)


def seconds_of(estimate, made, candidate):
    return max(estimate.trials[one.trial.trial_id] for one in made.trials if one.trial.candidate == candidate)


def row(one, fit, score):
    return TrialRow(
        trial_id=one.trial.trial_id, status=Status.OK, num_examples=40, provenance={"threads": [1]},
        cost={"fit_seconds": fit, "score_seconds": score},
    )  # fmt: skip


def test_a_longer_fit_costs_in_proportion_to_its_steps(plan):
    one, four = plan(1), plan(4)
    first, second = (seconds_of(told(made), made, "full") for made in (one, four))
    assert 2 < second / first < 4  # scoring is the same
    assert told(four).work_seconds > told(one).work_seconds


def test_features_that_are_shared_are_paid_for_once(plan):
    made = plan()
    estimate = told(made)
    assert estimate.work_seconds < sum(estimate.trials.values())
    assert seconds_of(estimate, made, "majority") < seconds_of(estimate, made, "frozen")


def test_features_that_are_not_computed_ahead_are_reckoned_with_scoring(plan):
    made = plan()
    head = next(one.work for one in made.trials if one.trial.candidate == "frozen")
    found = []
    for work in (head, replace(head, features_ahead=False)):
        estimate = told(made, works=[work])
        run = simulate([work], estimate.pace, num_actors=1, shard_batches=4)
        found += [estimate.work_seconds, run.busy_seconds]
    assert found == pytest.approx([found[0]] * 4)


def test_the_queue_ends_its_work_within_what_is_foretold(plan):
    made = plan()
    estimate = told(made)
    run = simulate([one.work for one in made.trials], estimate.pace, num_actors=1, shard_batches=4)
    assert run.makespan == pytest.approx(estimate.pace.start + estimate.work_seconds, rel=0.02)


def test_what_the_store_has_seen_corrects_it(plan):
    made = plan()
    before = told(made)
    full = [one for one in made.trials if one.trial.candidate == "full"]
    slow = told(made, past=[row(one, fit=1000.0, score=100.0) for one in full])
    assert seconds_of(slow, made, "full") > 3 * seconds_of(before, made, "full")
    assert seconds_of(slow, made, "frozen") == seconds_of(before, made, "frozen")
    assert slow.num_seen == 1
    assert slow.error < before.error


def test_rates_that_were_not_measured_make_it_less_sure(plan):
    made = plan()
    assert told(made, is_measured=False).error > 1.5 * told(made).error


def test_fine_tuning_needs_more_memory_than_a_head(plan):
    made = plan()
    memory = {one.trial.candidate: told(made).memory[one.trial.trial_id] for one in made.trials}
    assert RATES.memory_bytes <= memory["majority"] < memory["frozen"] < memory["full"]


@pytest.mark.parametrize(
    ("network", "tokens", "method", "measured"),
    [
        ((6, 384, 1536, 30_522, 12), 64, "frozen", 0.870e9),
        ((6, 384, 1536, 30_522, 12), 256, "frozen", 0.908e9),
        ((6, 384, 1536, 30_522, 12), 64, "lora", 1.259e9),
        ((6, 384, 1536, 30_522, 12), 256, "lora", 2.430e9),
        ((6, 384, 1536, 30_522, 12), 64, "full", 1.555e9),
        ((6, 384, 1536, 30_522, 12), 256, "full", 2.454e9),
        ((6, 768, 3072, 30_522, 12), 64, "full", 2.855e9),
    ],
)
def test_memory_is_told_within_a_fifth_of_what_actors_took_and_never_less(network, tokens, method, measured):
    shape = TrialShape(
        kind=method, model="m", is_baseline=False, on_features=method == "frozen", starts_from_features=True,
        trains_all=method == "full", size=ForwardCost(*network), tokens=tokens, model_rows=1.0, num_train=64,
        num_test=64, passes=3.0, scores_in_bfloat16=False, trains_in_bfloat16=False,
    )  # fmt: skip
    held = replace(RATES, memory_bytes=404_000_000)  # by an actor of baselines alone
    assert measured <= memory_bytes(shape, held, "cpu", batch_tokens=4096) <= 1.2 * measured


def seen(one, device, taken):
    trial = one.trial
    identity = {
        "model": trial.model.reference, "method": trial.method, "dataset": trial.dataset.name,
        "max_length": trial.dataset.max_length,
    }  # fmt: skip
    return TrialRow(
        trial_id=f"of another seed {taken}", status=Status.OK, num_examples=40, identity=identity,
        cost={"peak_memory_bytes": taken}, provenance={"device": [device]},
    )  # fmt: skip


def test_what_a_gpu_was_seen_to_hold_for_such_a_trial_is_told_in_place_of_what_is_reckoned(plan):
    made = plan()
    full = next(one for one in made.trials if one.trial.candidate == "full")
    past = [seen(full, "cuda", taken) for taken in (3e9, 5e9, 4e9)]
    before, after = told(made, device="cuda").memory, told(made, device="cuda", past=past).memory
    assert after == {**before, full.trial.trial_id: 5e9}


@pytest.mark.parametrize(("seen_on", "planned_for"), [("cpu", "cuda"), ("cuda", "cpu"), ("cpu", "cpu")])
def test_a_process_that_did_others_too_says_nothing_of_a_trials_memory(plan, seen_on, planned_for):
    made = plan()
    past = [seen(made.trials[-1], seen_on, 5e9)]
    assert told(made, device=planned_for, past=past).memory == told(made, device=planned_for).memory


def test_fewer_tokens_at_once_take_less_memory_where_a_job_says_so(plan):
    whole = plan()
    less = replace(whole, job=whole.job.model_copy(update={"resources": Resources(batch_tokens=256)}))
    heads = [one.trial.trial_id for one in whole.trials if one.trial.candidate == "frozen"]
    assert heads
    assert all(told(less).memory[one] < told(whole).memory[one] for one in heads)


def test_operations_are_those_of_the_products():
    bert_base = ForwardCost(12, 768, 3072, 30_522)
    assert bert_base.a_token == 12 * 12 * 768**2
    assert 1.0e8 < bert_base.parameters < 1.2e8
    assert bert_base.flops(128) == pytest.approx(2.2e10, rel=0.05)


def test_rates_are_remembered_for_the_same_threads_and_device(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path))
    assert recall_rates(threads=1, device="cpu") is None
    rates = replace(RATES, in_bfloat16=(Rate(8, 3e6, 2e6),))
    assert keep_rates(rates, threads=1, device="cpu")
    assert recall_rates(threads=1, device="cpu") == rates
    assert rates.bfloat16_gain() == pytest.approx((3.0, 2.0))
    assert recall_rates(threads=2, device="cpu") is None
    (path,) = tmp_path.glob("remembered/rates/*")
    path.write_text(json.dumps({"measured": [[1, 2]]}))
    assert recall_rates(threads=1, device="cpu") is None  # torn
    monkeypatch.setenv("RAYBENCH_CACHE", "")
    assert not keep_rates(RATES, threads=1, device="cpu")


QUICKER = replace(RATES, in_bfloat16=(Rate(64, 3e6, 2e6),))  # forward three times, steps twice as fast


@pytest.fixture
def plan_one(tmp_path, tiny_bert, plan):
    """A plan of one candidate on the rows of the others."""

    def make(settings):
        head, rest = JOB.format(model=tiny_bert, epochs=1).split("candidates:")
        candidate = f"candidates:\n  - {{name: one, model: {tiny_bert}, {settings}}}\ndatasets:"
        return make_plan(parse_job(head + candidate + rest.split("datasets:")[1], str(tmp_path / "job.yaml")))

    plan()
    return make


@pytest.mark.parametrize(
    ("settings", "score", "features", "steps"),
    [
        ("dtype: bfloat16, method: full", 3, 1, 1),
        ("dtype: bfloat16, method: frozen", 3, 3, None),
        ("method: {name: full, precision: bfloat16}", 3, 1, 2),
        ("method: full", 1, 1, 1),
    ],
)
def test_what_a_job_asks_for_in_bfloat16_is_told_by_the_gain_that_was_measured(
    plan_one, settings, score, features, steps
):
    made = plan_one(settings)
    shape = trial_shape(made.trials[0], made.datasets["a"], tokens=12.0, model_rows=1.0)
    for seconds, gain in ((forward_seconds, score), (feature_seconds, features), (step_seconds, steps)):
        if gain is not None:
            assert seconds(shape, RATES) / seconds(shape, QUICKER) == pytest.approx(gain)


def test_a_trial_alike_that_was_scored_in_float32_is_compared_with_what_was_foretold_in_float32(plan_one):
    made = plan_one("dtype: bfloat16, method: full")
    (one,) = made.trials
    shape = trial_shape(one, made.datasets["a"], tokens=12.0, model_rows=1.0)
    as_foretold = charged_seconds(shape._replace(scores_in_bfloat16=False), QUICKER).score
    other = seen(one, "cpu", 0)
    past = replace(other, cost={"score_seconds": as_foretold}, provenance={"threads": [1], "dtype": ["float32"]})
    before, after = told(made, rates=QUICKER), told(made, rates=QUICKER, past=[past])
    assert after.num_seen == 1
    assert after.trials == pytest.approx(before.trials)


def test_a_width_between_two_has_a_rate_between_theirs():
    rates = Rates(
        measured=(Rate(100, 1e9, 1e9), Rate(400, 4e9, 4e9)), start_seconds=0, memory_bytes=0, device_bytes=0,
        device_name="",
    )  # fmt: skip
    assert rates.forward_flops(200) == pytest.approx(2e9)
    assert (rates.forward_flops(10), rates.forward_flops(1000)) == (1e9, 4e9)
