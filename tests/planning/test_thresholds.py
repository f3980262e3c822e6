"""What a plan makes of a threshold that is to be picked on validation rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raybench.core.errors import DataError, JobError
from raybench.job import parse_job
from raybench.planning.plan import Plan, make_plan

JOB = """
name: thresholds
candidates: [{candidates}]
datasets:
  - name: a
    source: csv
    data_files: {{train: train.csv, test: test.csv}}
    task: text-classification
    {validation}
    task_config: {{threshold: {threshold}}}
rank_by: {rank_by}
{more}
"""
CUT = "splits: {train: train, test: test, validation: cut}"
Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    def planned(
        threshold: str = "validation",
        validation: str = CUT,
        rank_by: str = "accuracy",
        more: str = "",
        labels: str = "ab",
        candidates: str = "{baseline: tfidf-logistic}, {baseline: majority}",
    ) -> Plan:
        for name, count in (("train", 80), ("test", 10)):
            lines = [f"{name} word{row} text,{labels[row % len(labels)]}" for row in range(count)]
            (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
        keys = {"threshold": threshold, "validation": validation, "rank_by": rank_by, "more": more}
        text = JOB.format(**keys, candidates=candidates)
        return make_plan(parse_job(text, str(tmp_path / "job.yaml")))

    return planned


def test_a_candidate_without_a_grid_is_tried_on_validation_rows_by_the_fit_of_its_test_trial(planned: Planned) -> None:
    plan = planned()
    assert {one.trial.dataset.name for one in plan.trials} == {"a (validation)"}
    assert {one.trial.dataset.name for one in plan.offered} == {"a"}
    fits = {one.trial.candidate: one.work.checkpoint for one in plan.trials}
    assert fits == {one.trial.candidate: one.work.checkpoint for one in plan.offered}
    assert sum("its threshold is picked on the validation rows" in note for note in plan.notes) == 2


def test_a_number_asks_for_no_validation_rows(planned: Planned) -> None:
    plan = planned(threshold="0.3", validation="")
    assert (len(plan.trials), plan.offered) == (2, ())


def test_the_metric_that_picks_is_part_of_what_is_scored_on_test_rows_and_of_nothing_else(planned: Planned) -> None:
    by_accuracy, by_f1 = (planned(rank_by=metric) for metric in ("accuracy", "macro_f1"))
    assert {one.trial.trial_id for one in by_accuracy.trials} == {one.trial.trial_id for one in by_f1.trials}
    assert not {one.trial.trial_id for one in by_accuracy.offered} & {one.trial.trial_id for one in by_f1.offered}
    several = planned(rank_by="{accuracy: 1, macro_f1: 2}")
    assert {one.trial.trial_id for one in several.offered} == {one.trial.trial_id for one in by_f1.offered}


def test_configurations_judged_by_their_thresholds_do_not_race(planned: Planned, tiny_bert: Path) -> None:
    grid = f"{{model: {tiny_bert}, name: m, method: frozen, grid: {{weight_decay: [0.1, 1]}}}}"
    assert planned(threshold="0.3", more="race: {}", candidates=grid).races
    assert not planned(more="race: {}", candidates=grid).races


def test_without_validation_rows_that_is_one_line_with_its_place(planned: Planned) -> None:
    with pytest.raises(JobError, match=r"job.yaml:\d+: .*threshold: dataset a has no validation rows to pick"):
        planned(validation="")


def test_more_labels_than_two_have_no_threshold(planned: Planned) -> None:
    with pytest.raises(DataError, match="it tells two labels apart, and there are 3"):
        planned(labels="abc")


@pytest.mark.parametrize("threshold", ["0", "1", "-1", "true", "best", "[0.3]"])
def test_what_is_no_threshold_is_one_line(planned: Planned, threshold: str) -> None:
    with pytest.raises(JobError, match="want a probability above 0 and below 1, or validation"):
        planned(threshold=threshold)
