"""Rows, ids, order, limits, cuts and fingerprints depend on content alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from raybench.core.errors import DataError
from raybench.data import LoadedDataset

Load = Callable[..., LoadedDataset]


def rows(count: int, start: int = 0, labels: int = 2) -> list[dict[str, Any]]:
    return [{"text": f"text {number}", "label": f"l{number % labels}"} for number in range(start, start + count)]


SPLITS = {"train": rows(60), "test": rows(40, start=60)}


def ids(dataset: LoadedDataset, split: str) -> list[str]:
    found: list[str] = dataset.splits[split]["id"].to_pylist()
    return found


def test_tables_are_canonical(load: Load) -> None:
    table = load(SPLITS).splits["test"]
    assert table.schema == pa.schema({"id": pa.string(), "text": pa.string(), "label": pa.int32()})
    assert len(set(table["id"].to_pylist())) == 40


def test_the_order_of_the_source_does_not_matter(load: Load) -> None:
    shuffled = {name: random.Random(1).sample(part, len(part)) for name, part in SPLITS.items()}
    first, second = load(SPLITS, limit={"train": 20}), load(shuffled, limit={"train": 20})
    assert first.splits == second.splits
    assert first.fingerprint == second.fingerprint


def test_a_smaller_limit_lies_within_a_larger(load: Load) -> None:
    limits = [ids(load(SPLITS, limit={"train": limit}), "train") for limit in (5, 20, 50)]
    assert limits[0] == limits[1][:5] == limits[2][:5]
    assert limits[1] == limits[2][:20]


def test_a_limit_does_not_follow_the_source(load: Load) -> None:
    kept = load(SPLITS, limit={"train": 20}).splits["train"]["text"].to_pylist()
    assert {f"text {n}" for n in range(20)} != set(kept)


def test_labels_of_rows_beyond_the_limit_still_count(load: Load) -> None:
    assert len(load({"train": rows(60, labels=30), "test": rows(30, labels=30)}, limit={"train": 3}).labels) == 30


@pytest.mark.parametrize(
    "changed",
    [
        {"train": [*SPLITS["train"][:-1], {"text": "other", "label": "l1"}]},
        {"train": [*SPLITS["train"][:-1], SPLITS["train"][-1] | {"label": "l0"}]},
        {"train": SPLITS["train"][:-1]},
        {"test": [*SPLITS["test"], {"text": "more", "label": "l0"}]},
        {"train": [row | {"label": row["label"].replace("l1", "l2")} for row in SPLITS["train"]]}
        | {"test": [row | {"label": row["label"].replace("l1", "l2")} for row in SPLITS["test"]]},
        {"train": [row | {"text_pair": ""} for row in SPLITS["train"]]}
        | {"test": [row | {"text_pair": ""} for row in SPLITS["test"]]},
        {"train": SPLITS["test"], "test": SPLITS["train"]},
    ],
    ids=["text", "label", "row less", "row more", "name of a label", "pairs", "splits swapped"],
)
def test_any_change_of_content_changes_the_fingerprint(load: Load, changed: dict[str, Any]) -> None:
    assert load(SPLITS).fingerprint != load(SPLITS | changed).fingerprint


def test_a_limit_changes_the_fingerprint_only_where_it_leaves_rows_out(load: Load) -> None:
    whole = load(SPLITS).fingerprint
    assert load(SPLITS, limit={"train": 59}).fingerprint != whole
    assert load(SPLITS, limit={"test": 39}).fingerprint != whole
    assert load(SPLITS, limit={"train": 60, "test": 9999}).fingerprint == whole


def test_names_do_not_change_the_fingerprint(load: Load) -> None:
    renamed = {name: [{"t": row["text"], "y": row["label"]} for row in part] for name, part in SPLITS.items()}
    given = load({"a": renamed["train"], "b": renamed["test"]}, name="other", splits={"train": "a", "test": "b"},
                 columns_given={"text": "t", "label": "y"})  # fmt: skip
    assert given.fingerprint == load(SPLITS).fingerprint


def test_the_fingerprint_does_not_change_over_the_years(load: Load) -> None:
    assert load(SPLITS).fingerprint == "242fbc79f1d814b59aa405acc55ea552"


def test_equal_contents_get_numbered_ids(load: Load) -> None:
    twice = [{"text": "same", "label": label} for label in ("x", "y", "x")]
    table = load({"train": twice, "test": twice}).splits["test"]
    first = table["id"][0].as_py()
    assert table["id"].to_pylist() == [first, f"{first}-2", f"{first}-3"]
    assert table["label"].to_pylist() == [0, 0, 1]


def test_texts_that_run_together_stay_apart(load: Load) -> None:
    pairs = [{"text": a, "text_pair": b, "label": "x"} for a, b in (("ab", "c"), ("a", "bc"), ("abc", ""))]
    assert len({one.partition("-")[0] for one in ids(load({"train": pairs, "test": pairs}), "test")}) == 3


def test_given_ids_are_kept_and_do_not_hide_content(load: Load) -> None:
    def with_ids(texts: str) -> dict[str, Any]:
        part = [{"text": text, "label": "x", "n": n} for n, text in enumerate(texts)]
        return {"train": part, "test": part}

    first = load(with_ids("abc"), columns_given={"id": "n"})
    assert sorted(ids(first, "test")) == ["0", "1", "2"]
    assert first.fingerprint != load(with_ids("abd"), columns_given={"id": "n"}).fingerprint
    assert first.fingerprint != load(with_ids("abc")).fingerprint


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ([10, 9, 2], ("2", "9", "10")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["b", "a", "B"], ("B", "a", "b")),
        ([True, False, True], ("false", "true")),
        ([1.0, 3.0, 2.0], ("1", "2", "3")),
        (["1", "a", "-2"], ("-2", "1", "a")),
    ],
)
def test_labels_of_any_type_are_one_sorted_dictionary(load: Load, given: list[Any], labels: tuple[str, ...]) -> None:
    part = [{"text": f"t{n}", "label": label} for n, label in enumerate(given)]
    found = load({"train": part, "test": part})
    assert found.labels == labels
    test = found.splits["test"]
    by_text = dict(zip(test["text"].to_pylist(), test["label"].to_pylist(), strict=True))
    assert [found.labels[by_text[f"t{n}"]].lower() for n in range(3)] == [
        str(int(value) if isinstance(value, float) else value).lower() for value in given
    ]


def test_a_missing_test_split_is_cut_and_said(load: Load) -> None:
    found = load({"train": rows(500)})
    train, test = (set(found.splits[name]["text"].to_pylist()) for name in ("train", "test"))
    assert not train & test
    assert len(train) + len(test) == 500
    assert 70 <= len(test) <= 130
    assert len(found.notes) == 1
    assert f"{len(test)} of 500 rows (20%) of 'train' were cut off for testing" in found.notes[0]


def test_a_cut_does_not_move_rows_when_others_come(load: Load) -> None:
    before, after = (set(load({"train": rows(count)}).splits["test"]["text"].to_pylist()) for count in (300, 500))
    assert before == {text for text in after if int(text.split()[1]) < 300}


def test_equal_contents_fall_on_one_side_of_a_cut(load: Load) -> None:
    found = load({"train": [*rows(200), *rows(200)]})
    train, test = (set(found.splits[name]["text"].to_pylist()) for name in ("train", "test"))
    assert not train & test


def test_a_cut_leaves_every_label_in_train(load: Load) -> None:
    found = load({"train": rows(200, labels=150)})
    assert len(set(found.splits["train"]["label"].to_pylist())) == len(found.labels) == 150


def test_a_validation_split_that_is_cut_moves_no_test_row(load: Load) -> None:
    plain, cut = load({"train": rows(500)}), load({"train": rows(500)}, splits={"validation": "cut"})
    assert cut.splits["test"].equals(plain.splits["test"])
    train, validation = (set(cut.splits[name]["text"].to_pylist()) for name in ("train", "validation"))
    assert train | validation == set(plain.splits["train"]["text"].to_pylist())
    assert not train & validation
    assert 70 <= len(validation) <= 130
    assert f"{len(validation)} of 500 rows of 'train' were cut off for validation" in cut.notes[1]


def test_without_train_no_validation_split_can_be_cut(load: Load) -> None:
    with pytest.raises(DataError, match="no train split to cut a validation split from"):
        load({"test": rows(10)}, splits={"validation": "cut"})


def test_test_rows_that_train_holds_too_are_said(load: Load) -> None:
    found = load({"train": rows(20), "test": rows(10, start=15)})
    assert found.notes == ("d: 5 of 10 test rows have the content of a train row",)


def test_scoring_alone_needs_no_train_split(load: Load) -> None:
    found = load({"test": rows(10)})
    assert set(found.splits) == {"test"}
    assert found.labels == ("l0", "l1")


def test_a_validation_split_is_used_when_named(load: Load) -> None:
    parts = SPLITS | {"validation": rows(10, start=200)}
    assert set(load(parts).splits) == {"train", "test"}
    named = {"train": "train", "test": "test", "validation": "validation"}
    assert load(parts, splits=named, limit={"validation": 4}).splits["validation"].num_rows == 4


def test_optional_columns_come_when_they_are_there(load: Load) -> None:
    pairs = {name: [row | {"text_pair": "p"} for row in part] for name, part in SPLITS.items()}
    assert "text_pair" in load(pairs).splits["test"].column_names
