"""A revision of the hub is resolved once, by whoever plans: what is pushed meanwhile is not opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from raybench.core import ModelSpec
from raybench.job import parse_job
from raybench.models.files import model_directory, pinned, tokenizer_directory
from raybench.planning.plan import make_plan

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def push(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a commit the head of own/tiny in the hub's cache, which is all there is of the hub."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def push(commit: str) -> None:
        repository = cache / "models--own--tiny"
        shutil.copytree(tiny_bert, repository / "snapshots" / commit)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs/main").write_text(commit)

    return push


@pytest.mark.parametrize("revision", [None, "main", OLD])
def test_the_commit_that_was_planned_is_opened_whatever_is_pushed(
    push: Callable[[str], None], revision: str | None
) -> None:
    push(OLD)
    pins: dict[tuple[str, str | None], str | None] = {}
    model = pinned(ModelSpec(reference="own/tiny", revision=revision, tokenizer="own/tiny"), pins)
    assert (model.revision, model.tokenizer_revision) == (OLD, OLD)
    push(NEW)
    assert pinned(ModelSpec(reference="own/tiny", revision=revision), pins) == ModelSpec(
        reference="own/tiny", revision=OLD
    )
    for directory in (model_directory(model), tokenizer_directory(model)):
        assert directory is not None
        assert directory.name == OLD
    assert pinned(ModelSpec(reference="own/tiny", revision=revision), {}).revision == (OLD if revision == OLD else NEW)


def test_what_is_not_of_the_hub_or_not_there_stays_as_it_is(push: Callable[[str], None], tiny_bert: Path) -> None:
    for model in (
        ModelSpec(reference=str(tiny_bert)),
        ModelSpec(reference="arch:bert", tokenizer=str(tiny_bert)),
        ModelSpec(reference="baseline:majority"),
        ModelSpec(reference="own/none", revision="v1"),
    ):
        assert pinned(model, {}) == model


def test_workers_are_given_the_commit(push: Callable[[str], None], tmp_path: Path) -> None:
    push(OLD)
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"w{row},{'ab'[row % 2]}\n" for row in range(10)))
    job = parse_job(
        "name: hub\ncandidates:\n  - {model: own/tiny, method: frozen, tokenizer: own/tiny}\ndatasets:\n"
        "  - {name: rows, source: csv, data_files: {train: rows.csv, test: rows.csv}, task: text-classification}\n",
        str(tmp_path / "job.yaml"),
    )
    plan = make_plan(job)
    given = [one.trial.model for one in plan.trials] + [needs.model for needs in plan.data.values()]
    assert [one.problem for one in plan.trials] == [None]
    assert {(model.revision, model.tokenizer_revision) for model in given} == {(OLD, OLD)}
