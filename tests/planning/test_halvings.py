"""What a plan makes of halving: which rungs there are, trials with steps of their own, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.core.errors import JobError
from raybench.job import parse_job
from raybench.planning.halvings import expected, rungs_of
from raybench.planning.plan import Plan, make_plan

JOB = """
name: halved
candidates:
  - {{name: full, model: {model}, method: {{name: full{epochs}}}, grid: {{learning_rate: {grid}}}}}
  - {{name: head, model: {model}, method: frozen, grid: {{weight_decay: [0.01, 0.1]}}}}
  - {{baseline: majority}}
seeds: [0, 1]
datasets:
  - {{name: a, source: csv, data_files: {{train: train.csv, test: test.csv}}, task: text-classification,
     splits: {{train: train, test: test{validation}}}}}
{more}
"""
CUT = ", validation: cut"
RATES = [0.1, 0.2, 0.3, 0.4]


@pytest.fixture
def planned(tmp_path: Path, tiny_bert: Path) -> Any:
    for name, count in (("train", 80), ("test", 10)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))

    def plan(
        more: str = "halving: {eta: 2}",
        grid: Any = RATES,
        epochs: str = ", epochs: 4",
        validation: str = ", validation: cut",
    ) -> Plan:
        text = JOB.format(model=tiny_bert, grid=grid, epochs=epochs, more=more, validation=validation)
        return make_plan(parse_job(text, str(tmp_path / "job.yaml")))

    return plan


@given(st.integers(2, 200), st.integers(0, 100), st.integers(2, 5))
def test_rungs_rise_and_leave_fewer_until_one_is_left_or_the_fit_is_whole(num: int, epochs: int, eta: int) -> None:
    rungs = rungs_of(num, epochs, eta=eta, rungs="auto")
    assert bool(rungs) == (epochs > 1)
    at, keeps = [rung.epochs for rung in rungs], [num, *(rung.keep for rung in rungs)]
    assert at == sorted(set(at))
    assert all(1 <= one < epochs for one in at)
    assert all(after == max(1, before // eta) for before, after in itertools.pairwise(keeps))
    assert all(keep > 1 for keep in keeps[:-1])
    if rungs and epochs >= eta:
        assert at[-1] == epochs // eta


@pytest.mark.parametrize(
    ("num", "epochs", "rungs", "found"),
    [
        (9, 9, "auto", [(1, 3), (3, 1)]),
        (18, 9, "auto", [(1, 6), (3, 2)]),
        (9, 27, "auto", [(3, 3), (9, 1)]),
        (4, 9, "auto", [(3, 1)]),
        (9, 9, (2, 4, 6), [(2, 3), (4, 1)]),
        (9, 9, (2, 9, 12), [(2, 3)]),
        (9, 9, (9,), []),
        (1, 9, "auto", []),
    ],
)
def test_rungs_are_those_that_are_reached(num: int, epochs: int, rungs: Any, found: list[tuple[int, int]]) -> None:
    assert list(rungs_of(num, epochs, eta=3, rungs=rungs)) == found


def test_a_rung_is_the_whole_trial_after_some_epochs_and_shares_no_id(planned: Any) -> None:
    plain, halved = planned(""), planned()
    (halving,) = halved.halvings
    assert (halving.candidate, halving.sizes, halving.num_epochs) == ("full", (4, 2, 1), 4 + 2 + 2)
    assert [stage.epochs for stage in halving.stages] == [1, 2, 4]
    whole = {one.trial.trial_id: one for one in plain.trials if one.trial.candidate == "full"}
    assert {one.trial.trial_id for group in halving.stages[-1].trials for one in group} == whole.keys()
    ids = [one.trial.trial_id for stage in halving.stages for group in stage.trials for one in group]
    assert len(set(ids)) == len(ids) == 3 * 4 * 2
    for groups in zip(*(stage.trials for stage in halving.stages), strict=True):
        for first, second, last in zip(*groups, strict=True):
            assert (first.trial.until, second.trial.until, last.trial.until) == (1, 2, 0)
            for one in (first, second):  # the schedule is that of the whole fit
                assert one.trial.hyperparameters == last.trial.hyperparameters
                assert one.trial.seed == last.trial.seed
            steps = [key for one in (first, second, last) for key, _ in one.work.fit_steps]
            assert steps == [key for key, _ in whole[last.trial.trial_id].work.fit_steps]
            fits = [halved.fits[one.work.checkpoint] for one in (first, second, last)]
            assert [fit.trial.until for fit in fits] == [1, 2, 0]
            assert [fit.goes_on_as for fit in fits] == [fits[1].trial.trial_id, fits[2].trial.trial_id, ""]
    others = [[one for one in plan.trials if one.trial.candidate != "full"] for plan in (plain, halved)]
    assert others[0] == others[1]
    assert [one.trial.trial_id for one in halved.offered] == [one.trial.trial_id for one in plain.offered]
    assert any("head on a (validation): its fits reach no rung of halving" in note for note in halved.notes)


def test_the_plan_reckons_as_many_as_there_will_be(planned: Any) -> None:
    halved = planned()
    later = expected(halved)
    assert [one.trial.until for one in later] == [2, 2, 2, 2, 0, 0]
    steps = [step for one in (*halved.trials, *later) if one.trial.candidate == "full" for step in one.work.fit_steps]
    assert len(steps) == len(dict(steps)) == halved.halvings[0].num_epochs * 2


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"validation": ""}, "halving: dataset a has no validation rows to compare configurations on; splits: {valid"),
        ({"grid": [0.1]}, "halving: no candidate has several configurations whose fits reach a rung; give one a grid"),
        (
            {"epochs": ", epochs: 1"},
            "halving: no candidate has several configurations whose fits reach a rung; give one a grid",
        ),
        ({"more": "halving: {rungs: [4, 8]}"}, "halving: no candidate has several configurations whose fits reach"),
        ({"epochs": ", patience: 1"}, "candidates[0].method.patience: halving decides how many epochs"),
        (
            {"grid": "[0.1], epochs: [2, 3]", "epochs": ""},
            "candidates[0].grid.epochs: halving compares configurations after equally",
        ),
        ({"more": "halving: {}\nrace: {}\nrank_by: accuracy"}, "race: a race stops scoring and halving fitting"),
        ({"more": "halving: {eta: 1}"}, "halving.eta: want a number of at least 2, got 1"),
        ({"more": "halving: {rungs: [3, 1]}"}, "halving.rungs: want auto or the epochs after which fits are compared"),
        ({"more": "halving: {rungs: 3}"}, "halving.rungs: want auto or the epochs after which fits are compared"),
        ({"more": "halving: {rung: [1]}"}, "halving.rung: unknown key; did you mean rungs?"),
    ],
)
def test_what_cannot_be_halved_is_one_line(planned: Any, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(JobError) as error:
        planned(**changes)
    (told,) = str(error.value).splitlines()
    assert line in told
    assert "job.yaml:" in told
