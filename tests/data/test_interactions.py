"""Rows of who took what become one example a user, by time and by names, whatever the order of the source."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raybench.data import LoadedDataset
from raybench.tasks.catalog import get_task

Load = Callable[..., LoadedDataset]


@pytest.fixture
def read(load: Load) -> Load:
    return functools.partial(load, columns=get_task("recommendation").columns)


@pytest.fixture
def refused(wrong: Callable[..., str]) -> Callable[..., str]:
    return functools.partial(wrong, columns=get_task("recommendation").columns)


def taken(rows: str) -> list[dict[str, Any]]:
    """`ann apple 3, ann pear 1` as rows of user, item and timestamp."""
    found = [row.split() for row in rows.split(", ")]
    return [dict(zip(("user", "item", "timestamp"), (*own[:2], *map(int, own[2:])), strict=False)) for own in found]


def told(dataset: LoadedDataset, split: str) -> dict[str, tuple[str, str]]:
    """By user its history and what was taken then, by name."""
    table = dataset.splits[split].combine_chunks()
    names = table["catalogue"].chunk(0).dictionary.to_pylist()
    rows = zip(*(table[name].to_pylist() for name in ("id", "history", "item")), strict=True)
    return {user: tuple(" ".join(names[place] for place in own) for own in lists) for user, *lists in rows}  # type: ignore[misc]


ROWS = taken("ann fig 4, ann kiwi 1, ann pear 3, ann lime 2, bob kiwi 9, bob fig 7, eve fig 1")


def test_the_last_by_time_is_left_out_and_train_learns_the_one_before(read: Load) -> None:
    dataset = read(ROWS)
    assert told(dataset, "test") == {"ann": ("kiwi lime pear", "fig"), "bob": ("fig", "kiwi")}
    assert told(dataset, "train") == {"ann": ("kiwi lime", "pear"), "bob": ("", "fig"), "eve": ("", "fig")}
    assert dataset.notes == (
        "d: the source has no test split: the last interaction of each of 2 users was left out for testing",
    )


def test_the_order_of_the_source_changes_nothing_not_even_among_equal_times(read: Load) -> None:
    rows = [{"user": f"u{n % 7}", "item": f"i{n % 11}", "timestamp": n % 3} for n in range(70)]
    first, second = read(rows), read(random.Random(1).sample(rows, len(rows)))
    assert first.splits == second.splits
    assert first.fingerprint == second.fingerprint


def test_without_times_the_one_left_out_is_drawn_by_names_and_that_is_said(read: Load) -> None:
    rows = [{"user": f"u{n % 9}", "item": f"i{n}"} for n in range(90)]
    first, second = read(rows), read(rows[::-1])
    assert first.splits == second.splits
    assert "drawn by their names (there is no timestamp), of each of 9 users" in first.notes[0]
    last = {user: max(row["item"] for row in rows if row["user"] == user) for user in told(first, "test")}
    assert any(item != last[user] for user, (_, item) in told(first, "test").items())


def test_a_fifth_of_the_users_can_be_cut_off_for_choosing_by(read: Load) -> None:
    rows = [{"user": f"u{n % 40}", "item": f"i{n % 90}", "timestamp": n} for n in range(200)]
    for split in ("train", "test"):
        dataset = read({split: rows}, splits={split: split, "validation": "cut"})
        assert len(told(dataset, "test")) == 40
        assert 0 < len(told(dataset, "validation")) == 40 - len(told(dataset, "train"))
        assert f"of 40 rows of {split!r} were cut off for validation" in dataset.notes[1]


def test_of_several_splits_a_history_is_what_those_before_say(read: Load) -> None:
    splits = {
        "train": taken("ann fig 9, ann kiwi 8, bob fig 1"),
        "validation": taken("ann lime 2"),
        "test": taken("ann pear 1, ann plum 0, bob fig 5, eve kiwi 1"),
    }
    roles = {name: name for name in splits}
    dataset = read(splits, splits=roles)
    assert told(dataset, "test") == {"ann": ("kiwi fig lime", "plum pear"), "bob": ("fig", ""), "eve": ("", "kiwi")}
    assert told(dataset, "validation") == {"ann": ("kiwi fig", "lime")}
    assert "1 of 8 rows name an item that their user has already" in dataset.notes[0]
    notes = " ".join(get_task("recommendation").review(dataset.splits, ()))
    for words in ("1 of 3 test users took nothing", "1 of 3 test users have no history", "2 of 3 items to be found"):
        assert words in notes


def test_low_ratings_are_as_if_they_were_not_there(read: Load, refused: Callable[..., str]) -> None:
    rated = [{**row, "rating": 5 - (row["item"] in ("fig", "lime")) * 3} for row in ROWS]
    dataset = read(rated, task_config={"min_rating": 4})
    assert told(dataset, "test") == {"ann": ("kiwi", "pear")}
    assert "4 of 7 rows have a rating below 4: left out" in dataset.notes[0]
    assert "min_rating wants a column of ratings" in refused(ROWS, task_config={"min_rating": 4})
    assert "no interaction is left" in refused(rated, task_config={"min_rating": 6})


def test_the_catalogue_and_its_texts_are_the_same_for_any_limit_and_part_of_what_data_are(read: Load) -> None:
    rows = [{"user": f"u{n % 9}", "item": f"i{n}", "text": f"about {n}"} for n in range(90)]
    few, all_of_them = read(rows, limit={"train": 2, "test": 3}), read(rows)
    for name, begin in (("catalogue", "i"), ("catalogue_text", "about ")):
        shown = [one.splits["test"][name].chunk(0).dictionary.to_pylist() for one in (few, all_of_them)]
        assert shown[0] == shown[1]
        assert sorted(shown[0]) == sorted(f"{begin}{n}" for n in range(90))
    assert few.splits["test"]["id"].to_pylist() == all_of_them.splits["test"]["id"].to_pylist()[:3]
    changed = [{**row, "text": row["text"] + "!" * (row["item"] == "i7")} for row in rows]
    assert read(changed).fingerprint != all_of_them.fingerprint


def test_a_csv_of_users_items_and_times_simply_works(read: Load, tmp_path: Path) -> None:
    lines = [f"{row['user']},{row['item']},2024-01-0{row['timestamp']} 10:00:00" for row in ROWS]
    (tmp_path / "taken.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    found = read("csv", data_files={"train": str(tmp_path / "taken.csv")})
    assert found.splits == read(ROWS).splits
    (tmp_path / "ids.csv").write_text("userId,movieId,timestamp\n1,10,100\n1,20,99\n2,10,5\n2,30,1e1\n")
    named = {"user": "userId", "item": "movieId"}
    numbers = read("csv", data_files={"train": str(tmp_path / "ids.csv")}, columns_given=named)
    assert told(numbers, "test") == {"1": ("20", "10"), "2": ("10", "30")}


@pytest.mark.parametrize("kind", [pa.timestamp("ms"), pa.date32(), pa.int32()])
def test_times_of_any_type_order_histories(kind: pa.DataType, tmp_path: Path, read: Load) -> None:
    import pyarrow.parquet as pq

    days = pa.array([3, 1, 2], pa.int32())
    times = days if kind == pa.int32() else days.cast(pa.date32()).cast(kind)
    pq.write_table(pa.table({"user": [1, 1, 1], "item": [7, 8, 9], "timestamp": times}), tmp_path / "rows.parquet")
    assert told(read(str(tmp_path / "rows.parquet")), "test") == {"1": ("8 9", "7")}


def test_a_slice_is_that_of_the_row_that_is_left_out(read: Load) -> None:
    rows = [{**row, "shop": f"shop of {row['item']}"} for row in ROWS]
    test = read(rows, slices=["shop"]).splits["test"]
    assert dict(zip(test["id"].to_pylist(), test["slice_shop"].to_pylist(), strict=True)) == {
        "ann": "shop of fig", "bob": "shop of kiwi",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (taken("ann fig 1, bob kiwi 2"), "no user has two interactions"),
        (
            [{"user": u, "item": i, "text": u} for u, i in ("ax", "bx", "by")],
            "item 'x' has more than one text, the second",
        ),
        ([{"user": "a", "item": ["x"]}], "column 'item' holds list<"),
        ([{"user": "a", "item": ""}], "column 'item' is empty in row 0"),
        ([{"user": 1.5, "item": "x"}], "column 'user' holds double; want names or whole numbers"),
        ([{"user": "a", "item": "x", "timestamp": "noon"}], "column 'timestamp' holds neither numbers nor times"),
        ([{"person": "a", "item": "x"}], "no column 'user'"),
    ],
)
def test_what_cannot_be_read_is_one_line(rows: list[dict[str, Any]], words: str, refused: Callable[..., str]) -> None:
    assert words in refused(rows)
