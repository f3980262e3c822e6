"""Two stored runs: what is matched, what changed and why, which examples flipped, and what is said in the end."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from raybench.cli import app
from raybench.core import Status
from raybench.core.errors import MetricError, StoreError
from raybench.results.compare_runs import compare_runs
from raybench.results.gate import Gate
from raybench.results.references import open_run
from raybench.results.regression import Verdict
from tests.results.nights import Scored, publish_run

N = 1000
TORCH = {"versions": {"torch": ["2.13.0"]}, "device": ["cpu"]}


@pytest.fixture
def right():
    return np.random.default_rng(0).random(N) < 0.9


def without(right, lost, gained=0):
    """The same but for some examples more and less."""
    changed = right.copy()
    changed[np.flatnonzero(right)[:lost]] = False
    changed[np.flatnonzero(~right)[:gained]] = True
    return changed


def compared(tmp_path, before, after, gate=None, urls=("store", "store")):
    urls = [str(tmp_path / url) for url in urls]
    publish_run(urls[0], "nightly-1", before, "2026-11-24T03:00:00Z")
    publish_run(urls[1], "nightly-2", after, "2026-11-25T03:00:00Z")
    runs = [open_run(name, url, fail) for name, url in zip(("nightly-1", "nightly-2"), urls, strict=True)]
    return compare_runs(*runs, gate or Gate(), fail)


def fail(path, reason):
    raise AssertionError(f"{path}: {reason}")


def test_a_drop_is_a_regression_with_its_why_and_the_examples_lost(tmp_path, right):
    worse = without(right, 30, 5)
    old = Scored(candidate="x", right=right, provenance=TORCH)
    new = Scored(candidate="x", right=worse, weights="w1", provenance=TORCH | {"versions": {"torch": ["2.14.0"]}})
    comparison = compared(tmp_path, [old], [new])
    (change,) = comparison.changes
    assert (change.decision.verdict, comparison.exit_code) == (Verdict.REGRESSION, 1)
    assert change.step.drop == pytest.approx(0.025)
    assert change.causes == ["weights w0 → w1", "torch 2.13.0 → 2.14.0 (score)"]
    assert change.flips.lost == tuple(f"e{number:06d}" for number in np.flatnonzero(right & ~worse))
    assert len(change.flips.gained) == 5


def test_the_same_trials_of_one_store_are_unchanged_and_no_test(tmp_path, right):
    same = Scored(candidate="x", right=right)
    comparison = compared(tmp_path, [same], [same, Scored(candidate="new", right=right, weights="w1")])
    assert (comparison.changes, len(comparison.unchanged), comparison.exit_code) == ((), 1, 0)
    assert [cell.candidate for cell in comparison.only_after] == ["new"]


def test_equal_records_of_two_stores_are_unchanged_whatever_made_them(tmp_path, right):
    old, new = Scored(candidate="x", right=right), Scored(candidate="x", right=right, weights="w1")
    comparison = compared(tmp_path, [old], [new], urls=("a", "b"))
    assert (len(comparison.unchanged), comparison.exit_code) == (1, 0)


def test_one_trial_that_came_out_otherwise_in_another_store_says_so(tmp_path, right):
    old, new = (Scored(candidate="x", right=one) for one in (right, without(right, 1)))
    (change,) = compared(tmp_path, [old], [new], urls=("a", "b")).changes
    assert change.causes == ["nothing that its rows tell: the same trial came out otherwise"]


def test_a_candidate_is_compared_though_another_configuration_of_it_was_chosen(tmp_path, right):
    old = Scored(candidate="x", right=right, hyperparameters={"lr": 0.1})
    new = Scored(candidate="x", right=without(right, 30), hyperparameters={"lr": 0.2})
    tried = Scored(
        candidate="x", right=right, hyperparameters={"lr": 0.1}, dataset="topics (validation)", scored="validation"
    )
    comparison = compared(tmp_path, [old], [new, tried])
    assert [change.causes for change in comparison.changes] == [["lr 0.1 → 0.2"]]
    assert (comparison.exit_code, comparison.only_after) == (1, ())
    failed = Scored(candidate="x", right=right, hyperparameters={"lr": 0.3}, status=Status.NAN)
    assert len(compared(tmp_path, [old], [failed], urls=("c", "d")).lost) == 1


def test_runs_without_a_candidate_in_common_could_not_be_told_apart(tmp_path, right):
    comparison = compared(tmp_path, [Scored(candidate="x", right=right)], [Scored(candidate="y", right=right)])
    assert comparison.exit_code == 2
    assert [cell.candidate for cell in comparison.only_before] == ["x"]


def test_a_candidate_that_fails_now_is_not_passed(tmp_path, right):
    same = Scored(candidate="good", right=right)
    failed = Scored(candidate="x", right=right, weights="w1", status=Status.OOM)
    comparison = compared(tmp_path, [same, Scored(candidate="x", right=right)], [same, failed])
    assert [(cell.candidate, end.status) for cell, end in comparison.lost] == [("x", "oom")]
    assert comparison.exit_code == 2


def test_other_labels_have_no_test(tmp_path, right):
    old = Scored(candidate="x", right=right)
    new = Scored(candidate="x", right=right, labels=("a", "b", "c", "d"))
    comparison = compared(tmp_path, [old], [new], urls=("a", "b"))
    # equal records, but the numbers of their classes name others
    assert comparison.exit_code == 2
    assert comparison.changes[0].reason == "the labels are others than before"


def test_only_examples_of_both_nights_count(tmp_path, right):
    old = Scored(candidate="x", right=right)
    new = Scored(candidate="x", right=np.roll(right, -100), weights="w1", first_id=100)
    (change,) = compared(tmp_path, [old], [new]).changes
    assert (change.n, change.num_left_out) == (N - 100, 200)
    assert change.step.drop == 0


def test_seeds_are_one_cell_and_their_spread_is_the_noise(tmp_path, right):
    rng = np.random.default_rng(1)
    nights = [
        [
            Scored(candidate="x", right=without(right, int(rng.integers(0, 25))), weights=weights, seed=seed)
            for seed in range(3)
        ]
        for weights in ("w0", "w1")
    ]
    (change,) = compared(tmp_path, *nights).changes
    assert (change.num_seeds, change.noise.degrees) == (3, 4)
    assert change.decision.verdict is Verdict.NONE


def test_a_gate_says_what_is_judged_and_what_matters(tmp_path, right):
    worse = without(right, 20, 5)  # 1.5 points, significant
    old = [Scored(candidate=name, right=right, weights=name) for name in ("x", "other")]
    new = [Scored(candidate=name, right=worse, weights=name + "1") for name in ("x", "other")]
    gate = Gate.model_validate({"min_difference": 0.02, "candidates": ["x*"]})
    comparison = compared(tmp_path, old, new, gate)
    assert [change.cell.candidate for change in comparison.changes] == ["x"]
    assert comparison.exit_code == 2  # at least 2 points are neither found nor excluded
    matters = Gate.model_validate({"min_difference": {"accuracy": 0.01}, "metrics": ["accuracy", "macro_f1"]})
    both = compared(tmp_path, old, new, matters)
    assert {change.metric for change in both.changes} == {"accuracy", "macro_f1"}
    assert both.exit_code == 1


def test_a_metric_that_no_record_has_is_told(tmp_path, right):
    old, new = Scored(candidate="x", right=right), Scored(candidate="x", right=~right, weights="w1")
    with pytest.raises(MetricError, match="bleu"):
        compared(tmp_path, [old], [new], Gate(metrics=("bleu",)))


@pytest.fixture
def store(tmp_path, right):
    for number, day in enumerate((23, 24, 25)):
        scored = Scored(candidate="x", right=without(right, 20 * number), weights=f"w{number}")
        publish_run(str(tmp_path / "store"), f"nightly-{number}", [scored], f"2026-11-{day}T03:00:00Z")
    publish_run(str(tmp_path / "store"), "other-0", [Scored(candidate="y", right=right)], "2026-11-24T09:00:00Z")
    return str(tmp_path / "store")


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("{store}", "nightly-2"),
        ("{store}/runs/nightly-1", "nightly-1"),
        ("nightly-0", "nightly-0"),
        ("latest", "nightly-2"),
        ("previous", "nightly-1"),
        ("2026-11-23", "nightly-0"),
        ("2026-11-24", "other-0"),
    ],
)
def test_a_run_is_named_by_store_id_word_or_date(store, name, run_id):
    assert open_run(name.format(store=store), store, fail).run_id == run_id


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nightly-9", "'nightly-9' is no store, no date and no run of store"),
        ("2026-11-20", "no run of 2026-11-20"),
        ("2026-13-01", "is no date"),
        ("./nowhere", "store ./nowhere: holds no runs"),
    ],
)
def test_what_names_no_run_is_one_line(store, name, line):
    with pytest.raises(StoreError, match=line.replace(".", r"\.")) as told:
        open_run(name, store, fail)
    assert "\n" not in str(told.value)


def test_the_command_shows_what_changed_and_ends_with_the_gates_code(store):
    done = CliRunner().invoke(app, ["compare", "previous", "latest", "--store", store])
    assert done.exit_code == 1
    assert "why: weights w1 → w2" in done.stdout
    assert "of 1,000 lost 20 (" in done.stdout
    back = CliRunner().invoke(app, ["compare", "latest", "previous", "--store", store])
    assert back.exit_code == 0
    assert "improved" in back.stdout
