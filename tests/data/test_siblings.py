"""Datasets like another: its training rows and labels, its test rows perturbed or those of another source."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.data import LoadedDataset, load_dataset
from raybench.job.likeness import with_originals
from raybench.job.perturbations import PERTURBATIONS
from raybench.job.spec import DatasetSpec
from tests.data.conftest import TEXT

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "while",
    "seven",
    "wizards",
    "brew",
    "potions",
]
TAGS = (Column("tokens", "texts"), Column("tags", "tags", role="target"))


def row(number: int, label: str | None = None) -> dict[str, Any]:
    text = " ".join(random.Random(number).choices(WORDS, k=12)) + "."
    return {"text": text, "label": label or f"l{number % 3}"}


SPLITS = {"train": [row(n) for n in range(40)], "test": [row(n) for n in range(100, 130)]}
Loaded = Callable[..., list[LoadedDataset]]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    def loaded(given: Any, *siblings: dict[str, Any], columns: tuple[Column, ...] = TEXT) -> list[LoadedDataset]:
        """The dataset `d` of these rows, and those that are like it."""
        (tmp_path / "rows.py").write_text(f"def load():\n    return {given!r}\n")
        entries: list[dict[str, Any]] = [{"name": "d", "source": "rows.py:load", "task": "t"}]
        for number, entry in enumerate(siblings):
            if "rows" in entry:
                (tmp_path / f"rows{number}.py").write_text(f"def load():\n    return {entry['rows']!r}\n")
            own = {"source": f"rows{number}.py:load"} if "rows" in entry else {}
            kept = {key: value for key, value in entry.items() if key != "rows"}
            entries.append({"name": f"s{number}", "like": "d", **own, **kept})
        specs = with_originals([DatasetSpec.model_validate(entry) for entry in entries])
        return [load_dataset(spec, columns, tmp_path) for spec in specs]

    return loaded


def texts(dataset: LoadedDataset) -> dict[str, str]:
    table = dataset.splits["test"]
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


def test_test_rows_alone_are_perturbed_and_keep_ids_and_targets(loaded: Loaded) -> None:
    original, sibling = loaded(SPLITS, {"perturb": ["typos"]})
    assert sibling.splits["train"].equals(original.splits["train"])
    assert sibling.splits["test"].drop_columns(["text"]).equals(original.splits["test"].drop_columns(["text"]))
    assert sum(a != b for a, b in zip(texts(original).values(), texts(sibling).values(), strict=True)) > 10
    assert sibling.fingerprint != original.fingerprint
    assert sibling.labels == original.labels


@pytest.mark.parametrize("name", [name for name, one in PERTURBATIONS.items() if "text" in one.kinds])
def test_a_row_is_perturbed_alike_whatever_stands_beside_it(loaded: Loaded, name: str) -> None:
    mixed = {**SPLITS, "test": random.Random(0).sample(SPLITS["test"], 11)}
    whole, part = (texts(loaded(given, {"perturb": {name: 0.5}})[1]) for given in (SPLITS, mixed))
    assert {one: whole[one] for one in part} == part


def test_another_strength_or_another_perturbation_draws_anew(loaded: Loaded) -> None:
    _, *siblings = loaded(SPLITS, {"perturb": {"typos": 0.5}}, {"perturb": {"typos": 0.51}}, {"perturb": ["case"]})
    assert len({one.fingerprint for one in siblings}) == 3
    assert len({tuple(texts(one).values()) for one in siblings}) == 3


def test_perturbations_are_done_one_after_the_other(loaded: Loaded) -> None:
    _, dropped, both = loaded(SPLITS, {"perturb": {"drop_words": 0.5}}, {"perturb": {"drop_words": 0.5, "case": 1}})
    assert {one: text.upper() for one, text in texts(dropped).items()} == texts(both)


def test_lists_of_words_are_perturbed_word_by_word(loaded: Loaded) -> None:
    tagged = [{"tokens": one["text"].split(), "tags": ["O"] * 12} for one in SPLITS["test"]]
    original, sibling = loaded({"train": tagged, "test": tagged}, {"perturb": {"typos": 0.5}}, columns=TAGS)
    lengths = [[len(tokens) for tokens in one.splits["test"]["tokens"].to_pylist()] for one in (original, sibling)]
    assert lengths[0] == lengths[1]
    assert original.splits["test"]["tokens"].to_pylist() != sibling.splits["test"]["tokens"].to_pylist()


def test_rows_that_nothing_changes_are_one_line(loaded: Loaded) -> None:
    given = {name: [one | {"text": one["text"].rstrip(".")} for one in rows] for name, rows in SPLITS.items()}
    with pytest.raises(DataError, match=r"^dataset s0: none of the 30 test rows is another after punctuation 1$"):
        loaded(given, {"perturb": ["punctuation"]})


def test_slices_of_perturbed_rows_are_those_of_the_original(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(f"def load():\n    return {SPLITS!r}\n")
    entries = [
        {"name": "d", "source": "rows.py:load", "task": "t", "slices": ["length"]},
        {"name": "s", "like": "d", "perturb": {"drop_words": 0.9}},
    ]
    specs = with_originals([DatasetSpec.model_validate(entry) for entry in entries])
    lengths = [load_dataset(spec, TEXT, tmp_path).splits["test"]["slice_length"] for spec in specs]
    assert lengths[0].equals(lengths[1])


def test_another_source_is_tested_on_with_the_labels_that_are_fitted(loaded: Loaded) -> None:
    rows = [row(n, label="l2") for n in range(200, 210)]
    original, sibling = loaded(SPLITS, {"rows": {"train": [row(1)], "test": rows}})
    assert sibling.splits["train"].equals(original.splits["train"])
    assert (sibling.labels, sibling.splits["test"]["label"].to_pylist()) == (("l0", "l1", "l2"), [2] * 10)
    assert len({original.fingerprint, sibling.fingerprint}) == 2


def test_a_source_without_a_test_split_is_scored_whole(loaded: Loaded) -> None:
    _, sibling = loaded(SPLITS, {"rows": {"train": [row(n) for n in range(200, 217)]}})
    assert sibling.splits["test"].num_rows == 17


def test_test_rows_that_were_trained_on_are_told(loaded: Loaded) -> None:
    _, sibling = loaded(SPLITS, {"rows": {"test": [*SPLITS["train"][:4], row(300)]}})
    assert "s0: 4 of 5 test rows have the content of a train row" in sibling.notes


def test_labels_that_are_not_fitted_are_one_line(loaded: Loaded) -> None:
    with pytest.raises(DataError) as caught:
        loaded(SPLITS, {"rows": {"test": [row(n, label="other") for n in range(200, 205)]}})
    assert str(caught.value) == (
        "dataset s0: 1 of 1 labels are none of those of 'd', which is fitted: 'other'; want 'l0', 'l1', 'l2'"
    )


def test_other_inputs_are_one_line(loaded: Loaded) -> None:
    with pytest.raises(DataError, match=r"^dataset s0: its rows have label, text, text_pair, and those of 'd', "):
        loaded(SPLITS, {"rows": {"test": [row(n) | {"text_pair": "x"} for n in range(200, 205)]}})
