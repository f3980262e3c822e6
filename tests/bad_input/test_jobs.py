"""What is wrong in a job file, or in code that it names, is one line with its place and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., None]
Refused = Callable[..., str]


@pytest.mark.parametrize("name", ["bleu", "wer", "coco_ap", "mae", "pearson", "perplexity", "ndcg", "hamming_loss"])
@pytest.mark.parametrize(("key", "place"), [("metrics: [{}]", "metrics[0]"), ("rank_by: {}", "rank_by")])
def test_a_metric_of_another_task_is_refused_by_check_with_those_that_fit(
    job: Write, refused: Refused, name: str, key: str, place: str
) -> None:
    job(more=key.format(name))
    line = refused("check", "job.yaml")
    assert line.startswith(f"job.yaml:7: {place}: {name} ")
    assert "metrics that fit text-classification: accuracy, " in line


@pytest.mark.parametrize("key", ["metrics: [f1]", "rank_by: f1"])
def test_a_metric_of_two_classes_is_refused_as_soon_as_there_are_three(job: Write, refused: Refused, key: str) -> None:
    job(more=key)
    line = refused("plan", "job.yaml")
    assert line.startswith(f"job.yaml:7: {key.split(':')[0]}")
    assert "dataset rows: f1: 'positive' is None; expected one of a, b, c; metrics that fit" in line


def test_a_metric_of_two_classes_serves_where_one_is_named_positive(
    job: Write, command: Callable[..., tuple[int, str, str]]
) -> None:
    named = "{name: rows, source: csv, data_files: {train: train.csv, test: test.csv}, task: text-classification, "
    job(dataset=named + "task_config: {positive: b}}", more="metrics: [f1]")
    assert command("plan", "job.yaml")[0] == 0


def test_a_metric_of_the_users_own_is_held_to_the_same(folder: Path, job: Write, refused: Refused) -> None:
    (folder / "own_metric.py").write_text("from raybench.metrics.overlap import BLEU\n")
    job(more='metrics: ["own_metric:BLEU"]')
    assert "own_metric:BLEU needs the record column 'hypothesis'" in refused("check", "job.yaml")


def test_scores_of_more_classes_than_records_keep_are_missed_by_the_plan(
    folder: Path, job: Write, refused: Refused
) -> None:
    for name in ("train", "test"):
        rows = "".join(f"{name} {i},c{i % 70}\n" for i in range(140))
        (folder / f"{name}.csv").write_text("text,label\n" + rows)
    job(more="metrics: [roc_auc]")
    assert "roc_auc needs the record column 'scores'" in refused("plan", "job.yaml")


def test_a_grid_without_an_end_is_counted_and_not_expanded(job: Write, refused: Refused) -> None:
    values = ", ".join(str(value) for value in range(1, 101))
    names = ("learning_rate", "weight_decay", "batch_size", "epochs", "clip")
    grid = ", ".join(f"{name}: [{values}]" for name in names)
    job(f"  - {{model: 'arch:bert', name: m, method: full, grid: {{{grid}}}}}")
    line = refused("check", "job.yaml")
    assert line.startswith("job.yaml:4: candidates[0].grid: 10,000,000,000 trials")
    assert "at most 100,000 would do" in line


@pytest.mark.parametrize("text", ["name: " + "[" * 20_000, "\n".join(" " * depth + "a:" for depth in range(3_000))])
def test_a_job_nested_without_an_end_is_refused(job: Write, refused: Refused, text: str) -> None:
    job(text=text)
    assert "nested too deep" in refused("check", "job.yaml")


MAJORITY = "  - baseline: majority"
NAMING = {
    "metric": (MAJORITY, None, "metrics: ['{}:X']"),
    "task": (MAJORITY, "{{name: rows, source: csv, data_files: {{train: train.csv}}, task: '{}:X'}}", ""),
    "method": ("  - {{model: 'arch:bert', name: m, method: '{}:X'}}", None, ""),
    "baseline": ("  - {{baseline: '{}:X', name: m}}", None, ""),
}
MODULES = {
    "syntax": ("def load(:\n", "invalid syntax"),
    "raises": ("raise RuntimeError('boom\\nand more')\n", "RuntimeError: boom and more"),
    "exits": ("import sys; sys.exit(3)\n", "SystemExit: 3"),
    "lacks": ("Y = 1\n", "has no attribute 'X'"),
    "number": ("X = 3\n", "is a int"),
    "bare": ("class X: pass\n", ""),
}


@pytest.mark.parametrize("kind", NAMING)
@pytest.mark.parametrize("module", MODULES)
def test_code_named_in_a_job_that_cannot_be_used_is_one_line(
    folder: Path, job: Write, refused: Refused, kind: str, module: str
) -> None:
    name = f"own_{module}_{kind}"
    text, words = MODULES[module]
    (folder / f"{name}.py").write_text(text)
    candidates, dataset, more = NAMING[kind]
    arguments = {"candidates": candidates.format(name), "more": more.format(name)}
    job(**arguments if dataset is None else {**arguments, "dataset": dataset.format(name)})
    line = refused("check", "job.yaml")
    assert line.startswith("job.yaml:")
    assert f"{kind} '{name}:X'" in line
    assert words in line


@pytest.mark.parametrize("name", [":x", "json:", ".a:b", "a b:c"])
def test_a_place_that_is_no_module_and_attribute_is_said(job: Write, refused: Refused, name: str) -> None:
    job(f"  - {{model: 'arch:bert', name: m, method: '{name}'}}")
    assert "want module:attribute" in refused("check", "job.yaml")


@pytest.mark.parametrize(("split", "words"), [("trian", "did you mean train?"), ("dev", "splits: {test: dev}")])
def test_a_split_that_nothing_reads_is_refused(job: Write, refused: Refused, split: str, words: str) -> None:
    files = f"{{test: test.csv, {split}: train.csv}}"
    job(dataset=f"{{name: rows, source: csv, data_files: {files}, task: text-classification}}")
    line = refused("check", "job.yaml")
    assert line.startswith(f"job.yaml:6: datasets[0]: data_files.{split}: no such split is read")
    assert words in line


def test_int8_with_a_method_that_fits_is_said_by_check_and_plan(
    job: Write, command: Callable[..., tuple[int, str, str]]
) -> None:
    job("  - {model: 'arch:bert', name: m, dtype: int8, method: full}")
    for name in ("check", "plan"):
        _, out, _ = command(name, "job.yaml")
        assert "note: m: dtype int8 is for scoring alone" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("resources: {gpus_per_actor: .inf}", "want auto or a number from 0 to 1"),
        ("resources: {gpus_per_actor: 4}", "a worker computes on one GPU, more are for more workers"),
        ("resources: {hang_seconds: .inf}", "want a finite number"),
        ("resources: {trial_timeout_minutes: .inf}", "want a finite number"),
        ("seeds: [1, 2, 1]", "seeds[2]: 1 stands here twice"),
        ('store2: "x"', "unknown key"),
    ],
)
def test_numbers_without_an_end_and_repeats_are_refused(job: Write, refused: Refused, more: str, words: str) -> None:
    job(more=more)
    assert words in refused("check", "job.yaml")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{positiv: b}", "positiv: neither text-classification nor a metric reads this option; did you mean positive?"),
        ("{labels: [a, b]}", "task_config.labels: neither text-classification nor a metric reads this option"),
        ("{group: nowhere}", "needs the record column 'nowhere'"),
        ("{threshold: 2}", "datasets[0].task_config.threshold: 2: "),
    ],
)
def test_options_that_nothing_reads_are_refused(job: Write, refused: Refused, config: str, words: str) -> None:
    files = "{train: train.csv, test: test.csv}"
    job(dataset=f"{{name: rows, source: csv, data_files: {files}, task: text-classification, task_config: {config}}}")
    line = refused("plan", "job.yaml")
    assert line.startswith("job.yaml:6: datasets[0].task_config")
    assert words in line
