"""Columns of several chunks, as those of more than 2 GiB must be: the same cells as of one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raybench.core import large_columns
from raybench.core.large_columns import bytes_column, gather, gather_table

CELLS = {
    "texts": pa.array([f"text {n}" for n in range(97)]),
    "lists": pa.array([[n, n + 1] for n in range(97)]),
    "files": pa.array([{"path": None if n % 3 else str(n), "bytes": b"x" * n} for n in range(97)]),
    "numbers": pa.array([None if n % 5 else n for n in range(97)]),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds more than 200 bytes is large."""
    monkeypatch.setattr(large_columns, "_MOST_BYTES", 200)
    monkeypatch.setattr(large_columns, "_PART_BYTES", 100)


@pytest.mark.parametrize("chunks", [[97], [0, 30, 1, 66], [50, 47]])
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.usefixtures("small")
def test_rows_of_a_large_column_are_those_of_a_small_one(name: str, chunks: list[int]) -> None:
    cells, starts = CELLS[name], np.cumsum([0, *chunks])
    column = pa.chunked_array([cells.slice(a, b) for a, b in zip(starts, chunks, strict=False)], cells.type)
    for rows in (np.random.default_rng(0).permutation(97), np.array([3, 3, 96, 0]), np.array([], np.int64)):
        taken = gather(column, rows)
        assert taken.to_pylist() == [cells[int(row)].as_py() for row in rows]
        assert taken.type == cells.type
    assert gather(column, np.arange(97)).num_chunks > 1


@pytest.mark.usefixtures("small")
def test_a_table_keeps_its_columns_and_what_stands_in_its_schema() -> None:
    table = pa.table(CELLS).replace_schema_metadata({b"of": b"a source"})
    rows = np.arange(96, -1, -1)
    assert gather_table(table, rows).to_pylist() == table.to_pylist()[::-1]
    assert gather_table(table, rows).schema.equals(table.schema, check_metadata=True)


@pytest.mark.usefixtures("small")
def test_bytes_go_into_chunks_as_they_come() -> None:
    cells = [None if n == 7 else b"y" * n for n in range(40)]
    column = bytes_column(iter(cells))
    assert column.to_pylist() == cells
    assert column.num_chunks > 1
    assert bytes_column([]).type == pa.binary()


def test_what_is_small_is_one_chunk() -> None:
    column = pa.chunked_array([["a"], ["b", "c"]])
    assert gather(column, np.array([2, 0])).chunks == [pa.array(["c", "a"])]
