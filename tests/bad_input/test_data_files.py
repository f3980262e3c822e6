"""What is wrong in data files is one line with the place in the job, the file and what would do."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

Write = Callable[..., None]
Refused = Callable[..., str]

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"
GOOD = "text,label\nfirst wörds,a\nsecond,b\nthird,c\n"
ROWS = 20
TEXTS = pa.array([f"w{i}" for i in range(ROWS)])
LABELS = pa.array(["ab"[i % 2] for i in range(ROWS)])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "text,label,text\na,b,c\n", "two columns are named 'text'; rename one of them"),
        ("t.csv", GOOD.encode("utf-16"), "it is text in UTF-16; save it as UTF-8"),
        ("t.csv", GOOD.encode("utf-16-le"), "text in UTF-16 or no text at all; save it as UTF-8"),
        ("t.csv", GOOD.encode("utf-32"), "it is text in UTF-32"),
        ("t.csv", GOOD.encode("latin-1"), "line 2 is not UTF-8 (byte 0xf6); save it as UTF-8"),
        ("t.csv", "", "it is empty"),
        ("t.csv", "text,label\n", "split 'train' is empty"),
        ("t.csv", "text,label\n ,a\n,b\n,c\n", "text column 'text' is empty in all 3 rows"),
        ("t.csv", "text,label\nx,a\ny,\n", "column 'label' is empty (null) in 1 of 2 rows, first in row 1"),
        ("t.csv", GOOD.replace(",", ";"), "want columns parted by commas (or .tsv and tabs), got ';'"),
        ("t.csv", GOOD + "a,b,c,d\n", "Expected 2 columns, got 4"),
        ("t.csv", gzip.compress(GOOD.encode(), mtime=0), "it is compressed with gzip; end its name with .gz"),
        ("t.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:20], "Compressed file ended"),
        ("t.csv.gz", GOOD, "Not a gzipped file"),
        ("t.csv.xz", GOOD, "not supported by decoder"),
        ("t.csv", "<!DOCTYPE html><html>404</html>", "it is an HTML page; download the file itself"),
        ("t.csv", b"PK\x03\x04 sheet", "it is a zip archive or a spreadsheet"),
        ("t.csv", b"PAR1", "it is Parquet; say source: parquet"),
        ("t.csv", POINTER, "git lfs pull"),
        ("t.json", POINTER, "git lfs pull"),
        ("t.parquet", POINTER, "git lfs pull"),
        ("t.json", "[" * 100_000, "RecursionError"),
        ("t.json", '{"text": "a", "label": 1}\n{"text": "a", "la', "line 2 is no JSON object"),
        ("t.json", '{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n', "column 'label' holds values that no"),
        ("t.json", '{"text": "a", "label": ' + "9" * 30 + "}\n", "column 'label' holds values that no column can"),
        ("t.json", '{"text": "\\ud800", "label": 1}\n', "column 'text' holds values that no column can"),
        ("t.json", '{"text": "a", "label": Infinity}\n', "label column 'label' holds NaN or infinity"),
        ("t.json", '{"text": "a", "label": 1e30}\n', "holds numbers too large to be whole"),
        ("t.json", '{"text": null, "label": 1}\n' * 3, "column 'text' is empty (null) in 3 of 3 rows"),
        ("t.json", '{"text": "a", "label": 1}\n' * 9, "every row has the label '1'"),
        ("t.json", GOOD.encode("utf-16"), "it is text in UTF-16"),
    ],
)
def test_a_file_that_holds_something_else_says_what(
    folder: Path, job: Write, refused: Refused, name: str, content: str | bytes, words: str
) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    source = name.split(".")[1]
    files = f"{{train: {name}, test: {name}}}"
    job(dataset=f"{{name: rows, source: {source}, data_files: {files}, task: text-classification}}")
    line = refused("plan", "job.yaml")
    assert line.startswith("job.yaml:6: datasets[0]")
    assert words in line


@pytest.mark.parametrize(
    ("columns", "more", "words"),
    [
        ({"text": TEXTS, "label": pa.array([np.inf] * ROWS)}, "", "holds NaN or infinity"),
        ({"text": pa.array([b"\xff"] * ROWS).view(pa.string()), "label": LABELS}, "", "holds string that is no text"),
        ({"text": TEXTS, "label": LABELS, "s": pa.array([{"a": 1}] * ROWS)}, ", slices: [s]", "slice column 's' holds"),
        ({"text": TEXTS, "label": LABELS, "s": pa.array([b"\xff"] * ROWS)}, ", slices: [s]", "slice column 's' holds"),
        ({"text": TEXTS, "label": LABELS, "s": pa.array([[1]] * ROWS)}, ", columns: {id: s}", "id column 's' holds"),
    ],
)
def test_a_column_of_a_type_that_does_not_serve_is_named(
    folder: Path, job: Write, refused: Refused, columns: dict[str, pa.Array], more: str, words: str
) -> None:
    pq.write_table(pa.table(columns), folder / "t.parquet")
    files = "{train: t.parquet, test: t.parquet}"
    job(dataset=f"{{name: rows, source: parquet, data_files: {files}, task: text-classification{more}}}")
    assert words in refused("plan", "job.yaml")


@pytest.mark.parametrize("metadata", ["{torn", "[1]", '{"info": {"features": {"label": {"names": 3}}}}'])
def test_what_another_tool_left_in_a_files_metadata_is_passed_over(
    folder: Path, job: Write, command: Callable[..., tuple[int, str, str]], metadata: str
) -> None:
    table = pa.table({"text": TEXTS, "label": pa.array([i % 2 for i in range(ROWS)])})
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), folder / "t.parquet")
    files = "{train: t.parquet, test: t.parquet}"
    job(dataset=f"{{name: rows, source: parquet, data_files: {files}, task: text-classification}}")
    assert command("plan", "job.yaml")[0] == 0


@pytest.mark.parametrize("url", ["foo://x/a.csv", "pipe.csv", "job.yaml/a.csv"])
def test_a_place_that_holds_no_file_is_named_and_not_waited_for(
    folder: Path, job: Write, refused: Refused, url: str
) -> None:
    os.mkfifo(folder / "pipe.csv")
    job(dataset=f"{{name: rows, source: csv, data_files: {{train: '{url}'}}, task: text-classification}}")
    assert url.removeprefix("job.yaml/") in refused("plan", "job.yaml")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def load(:\n", "invalid syntax ("),
        ("raise RuntimeError('boom')\n", "its module raised RuntimeError: boom"),
        ("def load(): raise ValueError('a\\nb')\n", "failed: ValueError: a b"),
        ("import sys\ndef load(): sys.exit(4)\n", "failed: SystemExit: 4"),
        ("def load(): return [{'text': 'a', 'label': 1}, {'text': 3, 'label': 1}]\n", "column 'text' holds values"),
        ("def load(): return [{1: 'a'}]\n", "want text as the keys of a row"),
        (
            "import pandas\ndef load(): return pandas.DataFrame([list('abc')], columns=['text', 'text', 'label'])\n",
            "two columns are named 'text'",
        ),
        (
            "import pandas\ndef load(): return pandas.DataFrame({'text': [object()], 'label': [1]})\n",
            "dataset rows: ArrowInvalid: ",
        ),
    ],
)
def test_a_function_that_gives_no_rows_says_why(
    folder: Path, job: Write, refused: Refused, body: str, words: str
) -> None:
    (folder / "rows.py").write_text(body)
    job(dataset='{name: rows, source: "rows.py:load", task: text-classification}')
    line = refused("plan", "job.yaml")
    assert line.startswith("job.yaml:6: datasets[0]")
    assert words in line


PICTURES = "{name: pics, source: imagefolder, data_files: {train: train, test: test}, task: image-classification}"
PIXELS = "  - baseline: pixels-logistic"


@pytest.fixture
def pictures(folder: Path) -> Path:
    """Twelve pictures of two classes for training, as many for testing; gives the first's path."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(12):
            inside = folder / split / "ab"[number % 2]
            inside.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(inside / f"{number}.png")
    return folder / "train/a/0.png"


def bomb() -> bytes:
    """A PNG that says it has 3.6 billion pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda path: b"nothing", "it begins with b'nothing'"),
        (lambda path: b"", "it is empty"),
        (lambda path: path.read_bytes()[:60], "image file is truncated"),
        (lambda path: POINTER.encode(), "it begins with b'version http'"),
        (lambda path: bomb(), "DecompressionBombError"),
    ],
)
def test_a_broken_picture_is_named_by_its_path(
    pictures: Path, job: Write, refused: Refused, content: Callable[[Path], bytes], words: str
) -> None:
    pictures.write_bytes(content(pictures))
    job(PIXELS, PICTURES)
    line = refused("plan", "job.yaml")
    assert f"dataset pics: {pictures}: not a picture that can be decoded: " in line
    assert words in line


def test_a_picture_of_sixteen_bits_is_refused_and_not_cut_off(pictures: Path, job: Write, refused: Refused) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(pictures)
    job(PIXELS, PICTURES)
    assert f"{pictures}: more than 8 bits a channel (I;16); save it with 8" in refused("plan", "job.yaml")


def test_a_column_that_is_both_text_and_label_is_refused(job: Write, refused: Refused) -> None:
    files = "{train: train.csv, test: test.csv}"
    columns = "columns: {text: label}"
    job(dataset=f"{{name: rows, source: csv, data_files: {files}, task: text-classification, {columns}}}")
    line = refused("plan", "job.yaml")
    assert line.startswith("job.yaml:6: datasets[0].columns.")
    assert "text and label are both read from column 'label'; each needs its own" in line


def test_what_only_looks_like_a_picture_in_a_folder_is_passed_over(
    pictures: Path, job: Write, command: Callable[..., tuple[int, str, str]]
) -> None:
    pictures.with_name("._0.png").write_bytes(b"\0\5\26\7")  # what macOS leaves beside files
    pictures.with_name("folder.png").mkdir()
    job(PIXELS, PICTURES)
    assert command("plan", "job.yaml")[0] == 0


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        ([[1, 2], [3]], "row 0: its lines are not equally long"),
        ([[]], "want whole numbers 0–255"),
        ([1, 2], "want whole numbers 0–255"),
        ([[[1, 2, 3, 4, 5]]], "and 1, 3 or 4 channels"),
        ([[0.5]], "want whole numbers 0–255"),
    ],
)
def test_pixels_that_are_no_picture_are_named_by_their_row(
    folder: Path, job: Write, refused: Refused, pixels: Any, words: str
) -> None:
    (folder / "p.json").write_text(json.dumps([{"image": pixels, "label": label} for label in "ab"]))
    files = "{train: p.json, test: p.json}"
    job(PIXELS, f"{{name: pics, source: json, data_files: {files}, task: image-classification}}")
    assert words in refused("plan", "job.yaml")


@pytest.mark.parametrize(
    "value", [{"bytes": None, "path": None}, {"height": 3, "width": 3, "channels": 1, "data": b"x"}]
)
def test_pictures_without_their_pixels_are_refused(folder: Path, job: Write, refused: Refused, value: Any) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if "bytes" in value else None
    pq.write_table(pa.table({"image": pa.array([value] * ROWS, kind), "label": LABELS}), folder / "t.parquet")
    files = "{train: t.parquet, test: t.parquet}"
    job(PIXELS, f"{{name: pics, source: parquet, data_files: {files}, task: image-classification}}")
    assert "datasets[0].columns.image: " in refused("plan", "job.yaml")


def test_a_folder_without_pictures_is_an_empty_split(pictures: Path, job: Write, refused: Refused) -> None:
    shutil.rmtree(pictures.parents[1])
    pictures.parents[1].mkdir()
    job(PIXELS, PICTURES)
    assert "split 'train' is empty" in refused("plan", "job.yaml")
