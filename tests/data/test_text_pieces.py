"""CSV and lines of JSON read in pieces of any size: the cells that were written, and the types of the whole."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.core.errors import DataError
from raybench.data import csv_rows, json_rows
from raybench.data.files import read_files
from raybench.data.raw_split import rows_split
from raybench.data.text_files import CsvFiles, JsonFiles

TEXTS = st.sampled_from(
    ["", "a", "é\u2028", "two\nlines", "\r\n", "\r", "\n", '"', ",", "007", "null", "\u0085", "😀" * 9]
)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.sampled_from([0.5, 1.0, 1e300]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
USUAL = st.fixed_dictionaries({"text": TEXTS, "n": st.integers(-9, 9)}, optional={"tags": st.lists(TEXTS, max_size=2)})
SIZES = st.integers(40, 400)


def written(content: bytes, name: str, folder: str) -> str:
    path = Path(folder, name)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def told(read: Any) -> Any:
    """What reading gives, or that it is refused."""
    try:
        table, names = read()
    except DataError:
        return "refused"
    table.validate(full=True)
    return table.schema, table.to_pylist(), names


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=30),
    SIZES,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from(["rows.csv", "rows.csv.gz", "rows.tsv"]),
)
def test_cells_of_a_csv_are_those_written(
    rows: list[tuple[str, ...]], size: int, end: str, mark: str, name: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t" if "tsv" in name else ",", lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["text", "not, wanted", "label"], *rows])
    wanted = {"text", "label", "other"}
    expected = [{"text": first, "label": last} for first, _, last in rows]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = written((mark + text.getvalue()).encode(), name, folder)
        patch.setattr(csv_rows, "_BLOCK_BYTES", size)
        table, names = read_files("csv", [file, file], wanted)
        assert names == ("text", "not, wanted", "label")
        assert table.to_pylist() == expected * 2
        patch.setattr(csv_rows, "_BLOCK_BYTES", size + 400)  # in which every row lies
        pieces = list(CsvFiles([file, file]).pieces(wanted))
    assert pa.concat_tables([piece for _, piece in pieces]).to_pylist() == expected * 2
    assert [start for start, _ in pieces] == [sum(one.num_rows for _, one in pieces[:i]) for i in range(len(pieces))]


def test_no_line_end_in_a_cell_is_torn_by_a_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(b"text\r\n" + b'"a\r\nb"\r\n' * 40, "rows.csv", str(tmp_path))
    for size in range(20, 40):
        monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", size)
        for table in (csv_rows.csv_rows(file, {"text"}).table, pa.concat_tables(csv_rows.csv_pieces(file, ["text"]))):
            assert table.column("text").to_pylist() == ["a\r\nb"] * 40, size


@given(
    st.lists(USUAL, min_size=2, max_size=25),
    st.lists(st.tuples(st.integers(0, 25), st.dictionaries(st.sampled_from(["text", "n", "tags", "new"]), VALUES))),
    SIZES,
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
)
def test_lines_of_json_are_what_the_json_module_says_of_the_whole(
    rows: list[dict[str, Any]], odd: list[tuple[int, dict[str, Any]]], size: int, end: str, ascii: bool
) -> None:
    for place, row in odd[:3]:
        rows.insert(place, row)
    wanted = {"text", "n", "tags", "new"}
    whole = told(lambda: rows_split(rows, wanted))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        text = end.join(json.dumps(row, ensure_ascii=ascii) for row in rows)
        file = written(text.encode(), "rows.jsonl", folder)
        patch.setattr(json_rows, "_PIECE_BYTES", size)
        assert told(lambda: read_files("json", [file], wanted)) == whole
        try:
            files = JsonFiles([file])
            pieces = [piece for _, piece in files.pieces(wanted)] if files.alike else []
        except Exception:  # whoever asks for pieces reads the whole then
            return
    assert told(lambda: (pa.concat_tables(pieces), files.schema.names)) == (whole[0], whole[1], list(whole[2]))


@pytest.mark.parametrize("format", ["csv", "json"])
def test_rows_of_a_file_without_a_wanted_column_are_empty_and_not_left_out(format: str, tmp_path: Path) -> None:
    content = {"csv": ["text\na\nb\n", "other\nc\nd\n"], "json": ['{"text": "a"}\n{"text": "b"}', '{"x": 1}\n{"x": 2}']}
    files = [written(one.encode(), f"{n}.{format}", str(tmp_path)) for n, one in enumerate(content[format])]
    assert read_files(format, files, {"text"}).table.column("text").to_pylist() == ["a", "b", None, None]
