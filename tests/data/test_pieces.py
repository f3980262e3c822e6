"""Large files of which a job wants a part: the same rows as of the whole, and what is wrong is told as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.data import LoadedDataset, csv_rows, files_in_pieces, json_rows, load_dataset, parquet_files, pieces
from raybench.job.spec import DatasetSpec

TEXT = (Column("text", "text"), Column("text_pair", "text", False), Column("label", "label"))
PICTURE = (Column("image", "image"), Column("label", "label"))
Load = Callable[..., LoadedDataset]


def table(count: int, **others: Any) -> pa.Table:
    draw = np.random.default_rng(count)
    texts = [f"row {n} of ünicode" for n in draw.integers(count, size=count)]  # some are equal
    names = {"text": texts, "label": draw.choice(["x", "y"], size=count), "n": np.arange(count)}
    return pa.table({**names, **others})


def pictures(count: int) -> pa.Table:
    cells = [
        {"bytes": b"P6 2 3 255\n" + bytes((n, 2 * n, 3 * n)) * 6, "path": f"{n}.ppm" if n % 2 else None}
        for n in range(count)
    ]
    return pa.table({"image": cells, "label": np.arange(count) % 2})


def write(path: Path, table: pa.Table) -> None:
    """As what the name ends in: Parquet of row groups of ten rows, CSV, or lines of JSON."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=10)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in table.to_pylist()))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(
        tables: dict[str, list[pa.Table]], kinds: tuple[Column, ...] = TEXT, source: str = "parquet", **entry: Any
    ) -> LoadedDataset:
        """Each table is a file of its split."""
        files: dict[str, list[str]] = {}
        for split, own in tables.items():
            files[split] = [str(tmp_path / f"{split}-{number}.{source}") for number in range(len(own))]
            for name, one in zip(files[split], own, strict=True):
                write(Path(name), one)
        asked = {"name": "d", "source": source, "task": "t", "data_files": files, **entry}
        return load_dataset(DatasetSpec.model_validate(asked), kinds, tmp_path)

    return load


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From here on every file is a large one, of pieces of some rows, and none may be read whole."""

    def begin() -> None:
        monkeypatch.setattr(pieces, "_WHOLE_BYTES", 0)
        monkeypatch.setattr(parquet_files, "_MOST_ROWS", 3)
        monkeypatch.setattr(json_rows, "_PIECE_BYTES", 100)
        monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", 200)
        read_files = files_in_pieces.read_files
        monkeypatch.setattr(
            files_in_pieces,
            "read_files",
            lambda format, files, wanted: pytest.fail("read whole") if wanted else read_files(format, files, wanted),
        )

    return begin


SOURCES: dict[str, tuple[dict[str, list[pa.Table]], tuple[Column, ...], dict[str, Any]]] = {
    "texts": ({"train": [table(50), table(31)], "test": [table(25)]}, TEXT, {}),
    "with ids, pairs and slices": (
        {"train": [table(50, pair=["p"] * 50)], "test": [table(25, pair=["p"] * 25)]},
        TEXT,
        {"columns": {"id": "n", "text_pair": "pair"}, "slices": ["label", "length"]},
    ),
    "cut": ({"train": [table(90)]}, TEXT, {"splits": {"train": "train", "validation": "cut"}}),
    "pictures": ({"train": [pictures(40)], "test": [pictures(30)]}, PICTURE, {"limit": {"train": 9, "test": 30}}),
}


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, "parquet") for name in SOURCES]
    + [(name, source) for name in SOURCES if name != "pictures" for source in ("csv", "json")],
)
def test_a_part_has_the_rows_that_it_has_of_the_whole(
    name: str, source: str, load: Load, large: Callable[[], None]
) -> None:
    tables, columns, entry = SOURCES[name]
    asked = {"limit": {"train": 12, "test": 5, "validation": 4}, "source": source, **entry}
    whole = load(tables, columns, **asked)
    large()
    part = load(tables, columns, **asked)
    assert (part.fingerprint, part.labels, part.notes) == (whole.fingerprint, whole.labels, whole.notes)
    for split, rows in whole.splits.items():
        assert part.splits[split].equals(rows)


def test_what_is_wanted_whole_is_read_once(load: Load, large: Callable[[], None]) -> None:
    large()
    with pytest.raises(pytest.fail.Exception, match="read whole"):
        load(SOURCES["texts"][0], limit={"train": 12})


@pytest.mark.parametrize("source", ["parquet", "csv", "json"])
def test_rows_are_those_of_any_format(source: str, load: Load, large: Callable[[], None]) -> None:
    tables, columns, _ = SOURCES["texts"]
    whole = load(tables, columns, limit={"train": 12, "test": 5})
    large()
    assert load(tables, columns, source=source, limit={"train": 12, "test": 5}).fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    "late",
    [
        {"text": "a", "label": 1},  # a label of another type than in the pieces before
        {"text": "a", "label": "x", "text_pair": "b"},  # a column that the first piece does not have
        {"text": "a", "label": None},
    ],
)
def test_lines_that_are_unlike_those_before_are_read_with_them(
    late: dict[str, Any], load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def told() -> str:
        try:
            found = load({}, data_files={"train": file, "test": file}, source="json", limit={"train": 5, "test": 5})
        except DataError as error:
            return str(error)
        return found.fingerprint

    file = str(tmp_path / "rows.json")
    Path(file).write_text("\n".join(map(json.dumps, [*table(40).to_pylist(), late])))
    whole = told()
    monkeypatch.setattr(pieces, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(json_rows, "_PIECE_BYTES", 100)
    assert told() == whole


@pytest.mark.parametrize(
    ("source", "changed", "told"),
    [
        ("parquet", {"text": ["a"] * 24 + [None]}, "is empty (null) in 1 of 25 rows, first in row 24"),
        ("json", {"text": ["a"] * 24 + [None]}, "is empty (null) in 1 of 25 rows, first in row 24"),
        ("csv", {"label": ["x"] * 24 + [None]}, "is empty (null) in 1 of 25 rows, first in row 24"),
        ("parquet", {"n": [*range(24), 3]}, "holds '3' more than once"),
        ("csv", {"n": [*range(24), 3]}, "holds '3' more than once"),
        ("json", {"n": [*range(24), 3]}, "holds '3' more than once"),
    ],
)
def test_what_is_wrong_is_told_of_the_whole(
    source: str, changed: dict[str, Any], told: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_WHOLE_BYTES", 0)
    wrong = pa.table(table(25).to_pydict() | changed)
    limit = {"train": 5, "test": 5}
    with pytest.raises(DataError) as caught:
        load({"train": [table(25)], "test": [wrong]}, columns={"id": "n"}, limit=limit, source=source)
    assert told in str(caught.value)
