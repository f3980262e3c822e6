"""What a report says is what the run's tables and records say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.compute as pc
import pytest

from raybench.job import load_job
from raybench.metrics.permutation import holm
from raybench.report.page.make import make_report
from raybench.results.references import open_run
from raybench.results.rescore import rescore
from raybench.results.stored import read_whole_records
from raybench.store.records import list_records
from tests.report.made_run import make_rows, make_run
from tests.report.page.conftest import fail, made


def test_the_ranking_is_that_of_the_table(plain):
    (part,) = plain.report.datasets
    rows = [row for row in plain.run.directory.read_table("ranking").to_pylist() if row["dataset"] == "topics"]
    assert [row.rank for row in part.ranking.rows] == [row["rank"] for row in rows]
    assert (
        [row.name for row in part.ranking.rows]
        == [row["candidate"] for row in rows]
        == ["good", "fair", "poor", "broken"]
    )
    for shown, row in zip(part.ranking.rows, rows, strict=True):
        assert shown.scores["accuracy"].value == row["accuracy"]
        assert shown.scores["ece"].high == row["ece_high"]
    assert plain.report.overall is None  # of one dataset there is nothing to take together


def test_the_answer_names_the_best_and_whom_it_cannot_be_told_apart_from(plain):
    (answer,) = plain.report.answers
    assert (answer.dataset, answer.best) == ("topics", "good")
    (part,) = plain.report.datasets
    rivals = [part.pairs.names[test.second] for test in part.pairs.tests if test.first == 0 and test.adjusted > 0.05]
    assert all(name in answer.sentence for name in rivals)
    assert "poor" not in answer.sentence


def test_p_values_are_adjusted_over_all_pairs_tested(plain):
    (part,) = plain.report.datasets
    tests = part.pairs.tests
    assert {(test.first, test.second) for test in tests} == {(0, 1), (0, 2), (1, 2)}
    assert [test.adjusted for test in tests] == holm([test.p_value for test in tests])
    accuracy = [row.scores["accuracy"].value for row in part.ranking.rows]
    for test in tests:  # of two seeds the pooled difference is the difference of the means
        assert test.difference == pytest.approx(accuracy[test.first] - accuracy[test.second])


def test_confusions_count_every_record_of_all_seeds(plain):
    (part,) = plain.report.datasets
    for place, matrix in enumerate(part.by_class.confusions):
        assert sum(map(sum, matrix.cells)) == 2 * part.num_examples
        right = sum(matrix.cells[label][label] for label in range(len(matrix.labels)))
        assert right / (2 * part.num_examples) == pytest.approx(part.ranking.rows[place].scores["accuracy"].value)


def test_examples_are_those_that_records_say_with_the_texts_of_the_source(plain):
    (part,) = plain.report.datasets
    examples = part.examples
    assert examples.names == ("good", "fair")
    assert examples.reason is None
    texts = {text: label for text, label, _ in make_rows(150)}
    wrong = np.zeros(part.num_examples, dtype=int)
    for name in examples.names:
        one = next(t for t in plain.run.trials if (t.trial.candidate, t.trial.seed) == (name, 0))
        records = read_whole_records(plain.run.store, one.row, fail)
        wrong += pc.not_equal(records["target"], records["prediction"]).to_numpy(zero_copy_only=False)
    for example in (*examples.hardest, *examples.disputed):
        ((column, text),) = example.cells
        assert (column, texts[text]) == ("text", example.truth)
        marks = [loss >= examples.right_below for loss in example.losses]
        assert marks == [answer != example.truth for answer in example.answers]
    num_wrong = [sum(loss >= 0.5 for loss in example.losses) for example in examples.hardest]
    assert num_wrong == sorted(num_wrong, reverse=True)
    assert num_wrong.count(2) == min(len(num_wrong), int((wrong == 2).sum()))
    divided = [sum(loss >= 0.5 for loss in example.losses) == 1 for example in examples.disputed]
    assert sum(divided) == min(len(divided), int((wrong == 1).sum()))


def test_failures_are_grouped_by_cause(plain, hostile):
    (failure,) = plain.report.failures
    assert (failure.status, failure.reason, failure.where) == (
        "failed",
        "ModelError: no weights",
        ("broken on topics",),
    )
    (failure,) = hostile.report.failures
    assert len(failure.where) == 2


def test_slices_are_the_scores_of_the_table(plain):
    (part,) = plain.report.datasets
    found = {row.value: row for row in part.slices.rows}
    assert found.keys() == {"web", "print"}
    assert sum(row.n for row in found.values()) == part.num_examples
    scores = plain.run.directory.read_table("scores").to_pylist()
    of_good = [
        row["value"] for row in scores
        if (row["slice"], row["candidate"], row["metric"], row["class"]) == ("source=web", "good", "accuracy", None)
    ]  # fmt: skip
    assert found["web"].scores[0].value == pytest.approx(np.mean(of_good))


def test_checkpoints_make_a_curve(hostile):
    lines = {line.title: line for line in hostile.report.lines}
    line = lines["checkpoint on two labels"]
    assert line.places == tuple(float(step) for step in range(2, 27))
    assert all(value.value is not None for value in line.values["checkpoint"])


@pytest.fixture
def small(tmp_path):
    def make(**more):
        return make_run(tmp_path, datasets={"topics": make_rows(40)}, candidates={"a": 2.0, "b": 1.0}, **more)

    return make


def test_without_examples_no_text_is_read(small, tmp_path):
    small()
    without = made(tmp_path, examples=False)
    assert not [example.cells for example in without.report.datasets[0].examples.hardest if example.cells]
    assert make_rows(40)[0][0] not in without.page


def test_a_source_that_has_changed_leaves_ids_and_says_so(small, tmp_path):
    small()
    (tmp_path / "test0.csv").write_text("text,label,source\nother,money,web\nmore,sport,web\n")
    remade = made(tmp_path)
    found = remade.report.datasets[0].examples
    assert "holds other rows now" in found.reason
    assert found.reason.split(";")[0] in remade.page
    assert found.hardest
    assert all(not example.cells for example in found.hardest)


def test_records_that_are_gone_cost_the_details_alone(small, tmp_path):
    run = small()
    for paths in list_records(run.files).values():
        for path in paths:
            run.files.remove(path)
    found = made(tmp_path)
    (part,) = found.report.datasets
    assert [row.rank for row in part.ranking.rows] == [1, 2]
    assert part.pairs is None
    assert all("is not compared in detail" in remark for remark in part.remarks)
    assert len(part.remarks) == 2
    assert "is not compared in detail" in found.page


def test_the_job_file_itself_gives_the_same_report(plain):
    job = load_job(plain.folder / "job.yaml")
    assert make_report(plain.run, fail, job=job) == plain.report


def test_a_rescored_run_has_a_report_with_texts(small, tmp_path):
    small()
    rescored = rescore(str(tmp_path / "store"), ["mcc"], skipped=fail)
    report = make_report(open_run(f"{tmp_path}/store/runs/{rescored.run_id}", "", fail), fail)
    assert report.datasets[0].ranking.metric == "mcc"
    assert report.datasets[0].examples.reason is None


def test_notes_of_the_run_are_told(small, tmp_path):
    small(notes=("mind this",))
    assert "mind this" in made(tmp_path).report.notes


def test_a_report_is_made_of_values_alone(plain):
    dataclasses.replace(plain.report, title="other")
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain.report.title = "other"
