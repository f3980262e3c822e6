"""A gate file: what it says, and what is wrong in it with its line."""

from __future__ import annotations

import pytest

from raybench.core.errors import JobError
from raybench.results.gate import load_gate, make_gate


def gate(tmp_path, text):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    return str(path)


def test_one_amount_is_that_of_every_metric(tmp_path):
    found = load_gate(gate(tmp_path, "min_difference: 0.01\nalpha: 0.1\n"))
    assert (found.matters("accuracy"), found.alpha) == (0.01, 0.1)


def test_an_amount_of_each_metric(tmp_path):
    found = load_gate(gate(tmp_path, "min_difference: {accuracy: 0.01, log_loss: 2}\n"))
    assert (found.matters("log_loss"), found.matters("macro_f1")) == (2.0, 0.0)


def test_patterns_name_candidates(tmp_path):
    found = load_gate(gate(tmp_path, "candidates: ['minilm-*']\ndatasets: [bbc]\n"))
    assert [found.wants(*pair) for pair in (("minilm-a", "bbc"), ("tfidf", "bbc"), ("minilm-a", "sst"))] == [
        True,
        False,
        False,
    ]


def test_flags_come_before_the_file(tmp_path):
    path = gate(tmp_path, "min_difference: 0.01\nmetrics: [accuracy]\n")
    found = make_gate(path, min_difference=0.02, alpha=None, metrics=())
    assert (found.matters("accuracy"), found.metrics) == (0.02, ("accuracy",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("alpha: 0.05\nmin_diference: 0.1\n", "gate.yaml:2: min_diference: unknown key; did you mean min_difference?"),
        ("alpha: 2\n", "gate.yaml:1: alpha: want a number below 1"),
        ("min_difference: -1\n", "gate.yaml:1: min_difference: want a number of at least 0"),
        ("min_difference: often\n", "gate.yaml:1: min_difference: want a number from 0, or {metric: number}"),
        ("metrics:\n  - acuracy\n", "gate.yaml:2: metrics[0]: unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ("metrics: [accuracy]\nmin_difference: {macro_f1: 0.1}\n", "not among the gate's metrics"),
        ("- accuracy\n", "gate.yaml:1: want a mapping"),
        ("alpha: [\n", "gate.yaml:2: not YAML"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, text, line):
    with pytest.raises(JobError) as told:
        load_gate(gate(tmp_path, text))
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(JobError, match="no such gate file"):
        load_gate(str(tmp_path / "gate.yaml"))
