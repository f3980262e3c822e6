"""Trials on datasets that are like another: what is fitted for one is fitted for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from raybench.core import Status
from raybench.core.errors import DataError
from raybench.job import parse_job
from raybench.job.overrides import only
from raybench.planning.plan import Plan, make_plan
from raybench.planning.resume import look_up
from raybench.results.ledger import blank_row
from raybench.store import Store
from raybench.store.checkpoints import write_checkpoint

JOB = """
name: siblings
candidates:
  - {{baseline: tfidf-logistic}}
  - {{model: {model}, name: bert, method: full, grid: {{epochs: [1, 2]}}}}
datasets:
  - {{name: d, source: csv, data_files: {{train: train.csv, test: test.csv}}, task: text-classification{more}}}
  - {{name: typos, like: d, perturb: {{typos: 0.9}}}}
  - {{name: far, like: d, source: csv, data_files: far.csv}}
  - {{name: far-case, like: far, perturb: {{case: 1}}}}
"""


@pytest.fixture
def plan(tmp_path: Path, tiny_bert: Path) -> Callable[..., Plan]:
    for name, count in (("train", 30), ("test", 10), ("far", 7)):
        lines = [f"{name} word{row} letters,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))

    def plan(more: str = "", names: tuple[str, ...] = ()) -> Plan:
        job = parse_job(JOB.format(model=tiny_bert, more=more), str(tmp_path / "job.yaml"))
        return make_plan(only(job, names))

    return plan


def test_each_is_scored_on_its_own_and_draws_as_the_one_that_is_fitted(plan: Callable[..., Plan]) -> None:
    made = plan()
    trained = {one.trial.dataset.training for one in made.trials}
    assert trained == {made.datasets["d"].loaded.fingerprint}
    assert len({one.trial.trial_id for one in made.trials}) == 4 * 3
    originals = {one.trial.dataset.name: one.trial.dataset.original for one in made.trials}
    assert originals == {"d": "", "typos": "d", "far": "", "far-case": "far"}


def test_a_sibling_alone_is_the_same_trial(plan: Callable[..., Plan]) -> None:
    whole, alone = plan(), plan(names=("far-case",))
    assert {one.trial.dataset.name for one in alone.trials} == {"far-case"}
    assert {one.trial.trial_id for one in alone.trials} < {one.trial.trial_id for one in whole.trials}


def test_configurations_are_tried_once_on_the_validation_rows_of_what_is_fitted(plan: Callable[..., Plan]) -> None:
    made = plan(", splits: {train: train, test: test, validation: cut}")
    tried = [one for one in made.trials if one.trial.dataset.scored == "validation"]
    assert [one.trial.dataset.name for one in tried] == ["d (validation)"] * 2
    assert {one.trial.dataset.name for one in made.offered} == {"d", "typos", "far", "far-case"}
    assert sum("are tried on the validation rows" in note for note in made.notes) == 1


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[str], Store]:
    """A store that holds a whole checkpoint of one fit."""

    def kept(checkpoint: str) -> Store:
        store = Store.open(str(tmp_path / "store"))
        data = safetensors.numpy.save({"w": np.zeros(3, np.float32)}, {"digest": "d"})
        write_checkpoint(store.files, checkpoint, data)
        return store

    return kept


def test_a_fit_that_is_in_the_store_serves_all_who_are_scored_by_it(
    plan: Callable[..., Plan], kept: Callable[[str], Store]
) -> None:
    made = plan()
    fit = next(one for one in made.trials if one.trial.dataset.name == "d" and one.trial.candidate == "bert")
    found = look_up(made, kept(fit.trial.trial_id), pytest.fail)
    scored = {work.trial_id for work in found.todo(made) if not work.needs_fit}
    readers = {one.trial.trial_id for one in made.trials if one.work.checkpoint == fit.trial.trial_id}
    assert (len(readers), scored) == (4, readers)
    assert len(found.todo(made)) == len(made.trials)


@pytest.mark.parametrize("ended", [3, 4])
def test_a_checkpoint_is_left_over_when_its_last_reader_has_ended(
    plan: Callable[..., Plan], kept: Callable[[str], Store], ended: int
) -> None:
    made = plan()
    fit = made.trials[0].work.checkpoint
    readers = [one for one in made.trials if one.work.checkpoint == fit]
    store = kept(fit)
    for one in readers[:ended]:
        store.trials.append(replace(blank_row(one.trial), status=Status.NAN))
    store.write(store.take())
    found = look_up(made, store, pytest.fail)
    assert set(found.leftovers.values()) == ({fit} if ended == len(readers) else set())
    assert set(found.fitted) == (set() if ended == len(readers) else {fit})


def test_a_checkpoint_that_waits_for_the_choice_is_no_leftover(
    plan: Callable[..., Plan], kept: Callable[[str], Store]
) -> None:
    made = plan(", splits: {train: train, test: test, validation: cut}")
    tried = [one for one in made.trials if one.trial.dataset.scored == "validation"]
    assert {one.work.checkpoint for one in tried} == {one.work.checkpoint for one in made.offered}
    store = kept(tried[0].work.checkpoint)
    store.trials.append(replace(blank_row(tried[0].trial), status=Status.NAN))
    store.write(store.take())
    assert look_up(made, store, pytest.fail).leftovers == {}


def test_labels_that_are_not_fitted_are_one_line_with_its_place(plan: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "far.csv").write_text("text,label\nx y,a\nz,c\n")
    with pytest.raises(DataError, match=r"job.yaml:9: datasets\[2\].columns: dataset far: 1 of 2 labels are none of "):
        plan()
