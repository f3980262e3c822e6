"""Lines of JSON, some at a time: the rows, types and error lines that the json module and pyarrow give of the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raybench.core.errors import DataError
from raybench.data import json_rows
from raybench.data.files import read_files

USUAL = [{"text": f"é {n}", "n": n, "tags": ["a", "b"][: n % 3], "other": {"x": n}} for n in range(30)]
ODD: dict[str, str] = {
    "a date": '{"text": "2024-01-01", "n": 1, "tags": []}',
    "null": '{"text": null, "n": null, "tags": null}',
    "a name twice": '{"text": "a", "text": "b", "n": 1}',
    "a number as text": '{"text": 7, "n": 1}',
    "text as a number": '{"text": "a", "n": "7"}',
    "a fraction": '{"text": "a", "n": 0.5}',
    "a whole fraction": '{"text": "a", "n": 1.0}',
    "true": '{"text": "a", "n": true}',
    "a large number": '{"text": "a", "n": 9223372036854775808}',
    "a larger number": '{"text": "a", "n": 98765432109876543210}',
    "infinity": '{"text": "a", "n": Infinity}',
    "half a character": '{"text": "\\ud800"}',
    "a character in two": '{"text": "\\ud83d\\ude00"}',
    "another line's end": '{"text": "a\u2028b\u0085c"}',
    "lists of other things": '{"text": "a", "tags": [1]}',
    "a null in a list": '{"text": "a", "tags": [null]}',
    "a new name": '{"text": "a", "new": 3}',
    "nothing": "{}",
    "an empty line": "",
    "space": '  {"text": "a"}  \r',
    "two in a line": '{"text": "a"}{"text": "b"}',
    "two lines": '{"text":\n"a"}',
    "a list": "[1]",
    "a torn line": '{"text": "a"',
    "a comma": '{"text": "a"},',
    "a tab": '{"text": "a\tb"}',
    "single quotes": "{'text': 'a'}",
}


def read(path: Path, *wanted: str) -> Any:
    """What reading gives or says."""
    try:
        table, names = read_files("json", [str(path)], wanted or ("text", "n", "tags", "new"))
        table.validate(full=True)
        return table.schema, table.to_pylist(), names
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("place", [0, 1, 17, 30])
@pytest.mark.parametrize("name", ODD)
def test_pieces_give_what_the_whole_gives(
    name: str, place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in USUAL]
    path.write_text("\n".join([*lines[:place], ODD[name], *lines[place:]]) + "\n" * (place % 2), encoding="utf-8")
    whole = read(path)
    monkeypatch.setattr(json_rows, "_PIECE_BYTES", 150)  # two or three lines
    assert read(path) == whole
    monkeypatch.setattr(json_rows, "_at_once", lambda *_: None)
    assert read(path) == whole


def test_a_single_line_ends_where_a_file_of_lines_says(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(ODD["another line's end"] + "\r\n", encoding="utf-8")
    assert read(path, "text")[1] == [{"text": "a\u2028b\u0085c"}]


def test_what_is_no_text_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "_PIECE_BYTES", 50)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(b'{"text": "row %d"}\n' % n for n in range(20)) + b'{"text": "\xff"}\n')
    assert "line 21 is not UTF-8 (byte 0xff)" in read(path)


def test_usual_lines_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = json_rows._one_by_one
    asked = []
    monkeypatch.setattr(json_rows, "_PIECE_BYTES", 500)
    monkeypatch.setattr(json_rows, "_one_by_one", lambda *given: asked.append(given[3]) or one_by_one(*given))
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, USUAL)))
    schema, rows, names = read(path, "text", "n", "tags")
    assert asked == [0]
    assert [row["n"] for row in rows] == list(np.arange(30))
    assert schema.types == [pa.string(), pa.int64(), pa.list_(pa.string())]
    assert names == ("text", "n", "tags", "other")
