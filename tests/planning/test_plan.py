"""Which trials a plan puts into one bundle, and which features they share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raybench.core import ModelSpec, Trial
from raybench.core.errors import JobError
from raybench.job import load_job, parse_job
from raybench.planning.plan import make_plan
from raybench.planning.races import race_notes
from raybench.planning.shared_work import feature_groups
from raybench.recipes.recipe import recipe_of
from raybench.tasks.catalog import task_of

JOB = """
name: bundles
candidates:
  - name: one
    model: {model}
    method: {method}
    grid: {grid}
  {more}
seeds: [0, 1]
datasets:
  - {{name: a, source: csv, data_files: {{train: train.csv, test: test.csv}}, task: text-classification}}
"""
MORE = "- {{model: {model}, name: alone, num_layers: 1, method: frozen, seeds: [0]}}"
AT_ONE_RATE = "warmup: 0.0, decay: constant"


@pytest.fixture
def bundles(tmp_path: Path, tiny_bert: Path) -> Callable[..., list[int]]:
    """The sizes of a plan's bundles, of trials whose grid and method are these."""
    for name, count in (("train", 80), ("test", 10)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))

    def plan(method: str, grid: str, more: str = "") -> list[int]:
        text = JOB.format(model=tiny_bert, method=method, grid=grid, more=more.format(model=tiny_bert))
        made = make_plan(parse_job(text, str(tmp_path / "job.yaml")))
        assert not [trial.problem for trial in made.trials if trial.problem]
        names = [planned.work.bundle for planned in made.trials]
        return sorted(names.count(name) for name in set(names))

    return plan


def test_in_a_race_what_alone_reads_features_of_test_rows_waits_for_none(tmp_path: Path, tiny_bert: Path) -> None:
    more = MORE.format(model=tiny_bert)
    text = JOB.format(model=tiny_bert, method="frozen", grid="{weight_decay: [0.1, 0.2]}", more=more)
    for name, count in (("train", 8), ("test", 10)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    for race, alone in (("", True), ("race: {keep: 1}\nrank_by: accuracy", False)):
        made = make_plan(parse_job(f"{text}{race}", str(tmp_path / "job.yaml")))
        works = [(one.trial.candidate, one.work) for one in made.trials]
        assert {name: work.features_ahead for name, work in works} == {"one": True, "alone": alone}
        assert all(work.test_features for _, work in works)


@pytest.mark.parametrize(
    ("rank_by", "is_mean", "word"),
    [("accuracy", True, "0.95 the best"), ("macro_f1", False, "asymptotic"), ("roc_auc", False, "asymptotic")],
)
def test_what_ranks_says_how_a_race_is_judged_and_the_notes_tell(
    rank_by: str, is_mean: bool, word: str, tmp_path: Path, tiny_bert: Path
) -> None:
    text = JOB.format(model=tiny_bert, method="frozen", grid="{weight_decay: [0.1, 0.2]}", more="")
    for name, count in (("train", 8), ("test", 10)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    made = make_plan(parse_job(f"{text}race: {{keep: 1}}\nrank_by: {rank_by}", str(tmp_path / "job.yaml")))
    (race,) = made.races.values()
    assert race.is_mean is is_mean
    assert any(word in note for note in race_notes(made.races))
    several = text + "race: {}\nrank_by: {macro_f1: 1, brier: 1}"
    with pytest.raises(JobError, match="is several metrics"):
        make_plan(parse_job(several, str(tmp_path / "job.yaml")))


@pytest.mark.parametrize(
    ("method", "grid", "sizes"),
    [
        (f"{{name: full, {AT_ONE_RATE}}}", "{epochs: [1, 2, 3]}", [3, 3]),
        (f"{{name: lora, {AT_ONE_RATE}}}", "{epochs: [1, 2], rank: [2, 4]}", [2, 2, 2, 2]),
        ("{name: gradual_unfreeze, epochs: 4}", "{head_epochs: [1, 2, 3], blocks: [1, 2]}", [6, 6]),
        ("{name: gradual_unfreeze, epochs: 4}", "{head_epochs: [0, 1, 2]}", [1, 1, 2, 2]),
        ("{name: full, decay: cosine}", "{warmup: [0.0, 0.5]}", [1, 1, 1, 1]),
        ("full", "{epochs: [1, 2, 3]}", [1] * 6),
        ("full", "{learning_rate: [0.1, 0.01], batch_size: [8, 16]}", [1] * 8),
        ("{name: frozen, epochs: 2}", "{learning_rate: [0.1, 0.01]}", [4]),
    ],
)
def test_trials_whose_first_epoch_is_the_same_share_a_bundle_and_no_others(
    method: str, grid: str, sizes: list[int], bundles: Callable[..., list[int]]
) -> None:
    assert bundles(method, grid) == sizes


def test_candidates_of_other_names_share_a_bundle_and_of_other_weights_do_not(
    bundles: Callable[..., list[int]],
) -> None:
    method = f"{{name: full, {AT_ONE_RATE}, epochs: 2}}"
    grid = "{weight_decay: [0.0]}"
    same = f"- {{{{name: two, model: {{model}}, method: {{{{name: full, {AT_ONE_RATE}, weight_decay: 0}}}}}}}}"
    assert bundles(method, grid, same) == [2, 2]
    fewer_layers = same.replace("name: two", "name: two, num_layers: 2")
    assert bundles(method, grid, fewer_layers) == [1] * 4


def groups_of(trial: Trial, data_key: str) -> dict[str, str]:
    recipe = recipe_of(trial.model, trial.method)
    own_head = recipe.has_own_head(task_of(trial.dataset), trial.model, trial.dataset.labels)
    return feature_groups(trial, data_key, own_head=own_head)


def test_trials_of_one_network_and_data_read_the_same_features(
    tiny_bert: Path, make_trial: Callable[..., Trial]
) -> None:
    frozen = groups_of(make_trial(tiny_bert, "frozen", weight_decay=0.1), "rows")
    assert set(frozen) == {"train", "test"}
    assert groups_of(make_trial(tiny_bert, "nearest_neighbors"), "rows") == frozen
    assert groups_of(make_trial(tiny_bert, "frozen", seed=1, learning_rate=0.1), "rows") == frozen
    assert groups_of(make_trial(tiny_bert, "full"), "rows") == {"train": frozen["train"]}  # its head starts there
    assert groups_of(make_trial(tiny_bert, "frozen"), "other rows").keys() == frozen.keys()
    assert groups_of(make_trial(tiny_bert, "frozen"), "other rows") != frozen
    assert groups_of(make_trial(ModelSpec(reference=str(tiny_bert), dtype="int8")), "rows") != frozen


def test_who_has_no_head_to_start_reads_no_features(
    tiny_bert: Path, tiny_classifier: Path, make_trial: Callable[..., Trial]
) -> None:
    scratch = ModelSpec(reference=str(tiny_bert), init="scratch")
    for trial in (
        make_trial(tiny_bert, "full", head="random"),
        make_trial(scratch, "full"),
        make_trial(tiny_classifier, "full"),  # starts from its own head
        make_trial(tiny_classifier, "none"),
        make_trial("baseline:majority"),
    ):
        assert groups_of(trial, "rows") == {}
    seeds = [groups_of(make_trial(scratch, "frozen", seed=seed), "rows") for seed in (0, 1)]
    assert seeds[0] != seeds[1]


ALL_BASELINES = """
name: all
candidates: [{baseline: all}]
datasets:
  - {name: a, source: csv, data_files: {train: train.csv, test: test.csv}, task: text-classification}
  - name: b
    source: csv
    data_files: {train: train.csv, test: test.csv}
    task: text-regression
    columns: {value: size}
"""


def test_all_baselines_are_those_that_do_a_datasets_task(tmp_path: Path) -> None:
    for name in ("train", "test"):
        lines = [f"{name} word{row} text,{'ab'[row % 2]},{row}" for row in range(9)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label,size", *lines]))
    plan = make_plan(parse_job(ALL_BASELINES, str(tmp_path / "job.yaml")))
    assert {(one.trial.candidate, one.trial.dataset.name) for one in plan.trials} == {
        ("majority", "a"), ("tfidf-logistic", "a"), ("mean", "b"), ("tfidf-ridge", "b"),
    }  # fmt: skip
    assert plan.rank_by == {"a": "macro_f1", "b": "spearman"}


def test_all_baselines_tell_what_a_dataset_lacks_for_them(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,label\nrain,a\nwind,b\n")
    job = """
name: all
candidates: [{baseline: all}]
datasets: [{name: a, source: csv, data_files: {test: test.csv}, task: text-classification}]
"""
    plan = make_plan(parse_job(job, str(tmp_path / "job.yaml")))
    assert {one.trial.candidate for one in plan.trials} == {"majority", "tfidf-logistic"}
    assert all(one.problem is not None and "has no train split" in one.problem.reason for one in plan.trials)


def test_a_job_in_which_nothing_does_a_task_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from raybench.tasks.text_classification import TextClassification\n"
        "class Own(TextClassification):\n    name = 'own:Own'\n"
    )
    (tmp_path / "rows.csv").write_text("text,label\nrain,a\nwind,b\n")
    job = """
name: none
candidates: [{baseline: all}]
datasets: [{name: a, source: csv, data_files: {train: rows.csv, test: rows.csv}, task: "own:Own"}]
"""
    path = tmp_path / "job.yaml"
    path.write_text(job)
    with pytest.raises(JobError, match=r"job\.yaml:3: candidates: no baseline does own:Own; name a model"):
        make_plan(load_job(path))


@pytest.mark.parametrize("validation", ["", "splits: {train: train, test: test, validation: cut}, "])
def test_a_grid_is_tried_on_validation_rows_where_there_are_some(
    tmp_path: Path, tiny_bert: Path, validation: str
) -> None:
    for name, count in (("train", 80), ("test", 10)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    more = "- {baseline: majority}"
    text = JOB.format(model=tiny_bert, method="frozen", grid="{weight_decay: [0.1, 0.01]}", more=more)
    made = make_plan(parse_job(text.replace("{name: a, ", "{name: a, " + validation), str(tmp_path / "job.yaml")))
    names = sorted((one.trial.candidate, one.trial.dataset.name) for one in made.trials)
    if validation:
        assert names == [("majority", "a"), *[("one", "a (validation)")] * 4]
        assert [one.trial.dataset.name for one in made.offered] == ["a"] * 4
        on_validation = made.datasets["a (validation)"].loaded.splits
        assert on_validation["test"].equals(made.datasets["a"].loaded.splits["validation"])
        assert on_validation["train"].equals(made.datasets["a"].loaded.splits["train"])
    else:
        assert names == [("majority", "a"), *[("one", "a")] * 4]
        assert made.offered == ()
