"""Rows of numbers and categories, of whatever a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybench.core.errors import DataError
from raybench.data.load import load_dataset
from raybench.job.spec import DatasetSpec
from raybench.tasks.catalog import get_task
from raybench.tasks.tabular import written

TABLE = pa.table(
    {
        "size": [1, None, 3],
        "share": [0.5, float("nan"), 2.0],
        "tall": [True, False, None],
        "kind": pa.array(["a", None, "b"]).dictionary_encode(),
        "when": pa.array([0, 1, None], pa.date32()),
        "label": ["x", "y", "x"],
    }
)


def features(tmp_path: Path, table: pa.Table = TABLE, **columns: str) -> list[dict[str, Any]]:
    pq.write_table(table.append_column("n", pa.array(range(len(table)))), tmp_path / "rows.parquet")
    files = {split: (str(tmp_path / "rows.parquet"),) for split in ("train", "test")}
    spec = DatasetSpec(
        name="d", source="parquet", data_files=files, task="tabular-classification", columns=columns | {"id": "n"}
    )
    loaded = load_dataset(spec, get_task("tabular-classification").columns, str(tmp_path))
    rows: list[dict[str, Any]] = loaded.splits["test"].sort_by("id").column("features").to_pylist()
    return rows


def test_all_columns_that_nothing_else_reads_are_the_features(tmp_path: Path) -> None:
    assert features(tmp_path) == [
        {"size": 1.0, "share": 0.5, "tall": 1.0, "kind": "a", "when": "1970-01-01"},
        {"size": None, "share": None, "tall": 0.0, "kind": None, "when": "1970-01-02"},
        {"size": 3.0, "share": 2.0, "tall": None, "kind": "b", "when": None},
    ]


def test_columns_listed_are_the_features(tmp_path: Path) -> None:
    assert features(tmp_path, features="kind, size")[0] == {"kind": "a", "size": 1.0}


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("kind, siz", "split 'train' has no column 'siz'; did you mean size?"),
        ("kind, label", "column 'label' cannot be both in features and what is asked for"),
    ],
)
def test_a_list_that_does_not_fit_is_told_with_its_place(tmp_path: Path, listed: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        features(tmp_path, features=listed)
    assert words in str(caught.value)
    assert caught.value.key == ("columns", "features")


def test_a_column_of_lists_is_no_feature(tmp_path: Path) -> None:
    table = TABLE.append_column("all", pa.array([[1], [2], []]))
    with pytest.raises(DataError, match="column 'all' holds list"):
        features(tmp_path, table)


def test_numbers_of_a_csv_file_are_numbers(tmp_path: Path) -> None:
    task = get_task("tabular-regression")
    for split, odd in (("train", "3"), ("test", "3"), ("odd", "three")):
        (tmp_path / f"{split}.csv").write_text(f"id,size,kind,value\n0,1.5,7a,2\n1, ,,3e2\n2,{odd},8b,4\n")

    def load(test: str) -> Any:
        files = {"train": (str(tmp_path / "train.csv"),), "test": (str(tmp_path / f"{test}.csv"),)}
        spec = DatasetSpec(name="d", source="csv", data_files=files, task="tabular-regression", columns={"id": "id"})
        return load_dataset(spec, task.columns, str(tmp_path)).splits

    rows = load("test")["test"].sort_by("id")
    assert rows.column("value").to_pylist() == [2.0, 300.0, 4.0]
    assert [tuple(row.values()) for row in rows.column("features").to_pylist()] == [
        (1.5, "7a"), (None, None), (3.0, "8b"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="column 'size' holds numbers in split 'train' and names in 'test'"):
        task.review(load("odd"), ())


@pytest.mark.parametrize(
    ("cell", "words"),
    [("many", "column 'value' holds 'many', which is no number, in row 1"), ("", "is empty in row 1")],
)
def test_a_cell_that_is_no_number_is_told_by_its_row(tmp_path: Path, cell: str, words: str) -> None:
    (tmp_path / "rows.csv").write_text(f"text,value\na,2\nb,{cell}\n")
    files = {"train": (str(tmp_path / "rows.csv"),)}
    spec = DatasetSpec(name="d", source="csv", data_files=files, task="text-regression")
    with pytest.raises(DataError, match=words):
        load_dataset(spec, get_task("text-regression").columns, str(tmp_path))


def test_a_label_alone_is_nothing_to_tell_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column beside those of the task"):
        features(tmp_path, TABLE.select(["label"]))


def test_a_row_is_written_for_a_text_model_without_its_empty_cells() -> None:
    row = {"distance": 229.0, "share": 0.1, "large": 1234567.0, "carrier": "EV", "gate": None}
    assert written(row) == "distance: 229, share: 0.1, large: 1234567, carrier: EV"
