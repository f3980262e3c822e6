"""The same rows give the same dataset whatever they come from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.core.pictures import picture_arrays
from raybench.data import LoadedDataset, csv_rows

Load = Callable[..., LoadedDataset]

ROWS = [{"text": f"text {n}, “ü”\nsecond line", "label": n % 3} for n in range(12)]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    kind = path.suffixes[0]
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return str(path)
    text = io.StringIO()
    if kind == ".json":
        text.write(json.dumps(rows))
    elif kind == ".jsonl":
        text.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if kind == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.fixture
def expected(load: Load) -> LoadedDataset:
    return load({"train": ROWS[:8], "test": ROWS[8:]})


@pytest.mark.parametrize(
    ("format", "suffix"),
    [
        ("parquet", ".parquet"),
        ("csv", ".csv"),
        ("csv", ".tsv"),
        ("csv", ".csv.gz"),
        ("json", ".json"),
        ("json", ".jsonl"),
    ],
)
def test_files_of_every_format_hold_the_same_dataset(
    load: Load, expected: LoadedDataset, tmp_path: Path, format: str, suffix: str
) -> None:
    files = {"train": write(tmp_path / f"a{suffix}", ROWS[:8]), "test": write(tmp_path / f"b{suffix}", ROWS[8:])}
    found = load(format, data_files=files)
    assert found.fingerprint == expected.fingerprint
    assert found.splits == expected.splits
    assert found.labels == ("0", "1", "2")


def test_a_glob_of_files_is_one_split(load: Load, expected: LoadedDataset, tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"a-{number}.csv", ROWS[number * 2 : number * 2 + 2])
    files = {"train": str(tmp_path / "a-*.csv"), "test": [write(tmp_path / "b.csv", ROWS[8:])]}
    assert load("csv", data_files=files).fingerprint == expected.fingerprint


def test_a_file_alone_is_a_source(load: Load, tmp_path: Path) -> None:
    found = load(write(tmp_path / "all.jsonl", ROWS), splits={"test": "train"})
    assert found.splits["test"].num_rows == 12
    assert "train" not in found.splits


def test_tables_frames_and_datasets_hold_the_same_dataset(
    load: Load, expected: LoadedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.delitem(sys.modules, "made_elsewhere", raising=False)
    (tmp_path / "made_elsewhere.py").write_text(
        "def from_elsewhere():\n    from made_rows import tables\n    return tables()\n"
    )
    (tmp_path / "made_rows.py").write_text(MADE_ROWS.format(parts={"train": ROWS[:8], "test": ROWS[8:]}))
    monkeypatch.delitem(sys.modules, "made_rows", raising=False)
    monkeypatch.setattr(datasets, "is_progress_bar_enabled", lambda: False, raising=False)
    for function in ("tables", "frames", "sets", "shuffled", "later", "from_elsewhere"):
        assert load(f"made_rows:{function}").fingerprint == expected.fingerprint, function


MADE_ROWS = """
import functools, sys
import datasets, pandas, pyarrow
from made_elsewhere import from_elsewhere
PARTS = {parts}
tables = lambda: {{name: pyarrow.Table.from_pylist(rows) for name, rows in PARTS.items()}}
sets = lambda: datasets.DatasetDict({{name: datasets.Dataset.from_list(rows) for name, rows in PARTS.items()}})
def frames(columns=None):
    return {{name: pandas.DataFrame(rows) for name, rows in PARTS.items()}}
later = functools.partial(frames, None)
def shuffled():
    seen = set()
    first = lambda row: row["text"] not in seen and not seen.add(row["text"])
    made = {{name: datasets.Dataset.from_list(rows + rows).shuffle(seed=1) for name, rows in PARTS.items()}}
    return {{name: rows.filter(first) for name, rows in made.items()}}
"""


def test_a_saved_dataset_with_class_labels_is_read_by_their_names(load: Load, tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes", "dk"])}
    )
    rows = [{"text": f"t{n}", "label": n % 2} for n in range(8)]
    made = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"train": made, "test": made}).save_to_disk(str(tmp_path / "saved"))
    found = load(str(tmp_path / "saved"))
    assert found.labels == ("dk", "no", "yes")
    test = found.splits["test"]
    names = {
        text: found.labels[label]
        for text, label in zip(test["text"].to_pylist(), test["label"].to_pylist(), strict=True)
    }
    assert names == {row["text"]: ["no", "yes"][row["label"]] for row in rows}


def test_hidden_class_labels_are_refused(load: Load, tmp_path: Path) -> None:
    import datasets

    from raybench.core.errors import DataError

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    made = datasets.Dataset.from_list([{"text": "a", "label": 1}, {"text": "b", "label": -1}], features=features)
    made.save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match=r"1 labels in 'label' are outside the 2 .* first -1 in row 1; .* splits"):
        load(str(tmp_path / "saved"))


def test_a_config_is_given_to_the_function(load: Load, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def load(n):\n    return [{'text': f't{i}', 'label': 'x'} for i in range(int(n))]\n"
    )
    assert load("mine.py:load", config="7", splits={"test": "train"}).splits["test"].num_rows == 7


def test_csv_text_that_looks_like_something_else_stays_text(load: Load, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\n007,NA\n2024-01-01,true\nnull,NA\n1e5,true\n")
    found = load("csv", data_files=str(tmp_path / "x.csv"), splits={"test": "train"})
    assert sorted(found.splits["test"]["text"].to_pylist()) == ["007", "1e5", "2024-01-01", "null"]
    assert found.labels == ("NA", "true")


def test_a_csv_cell_may_be_as_long_as_a_book(load: Load, tmp_path: Path) -> None:
    book = "a line,\n" * 200_000
    (tmp_path / "x.csv").write_text(f'text,label\n"{book}",long\nb,short\n')
    found = load("csv", data_files=str(tmp_path / "x.csv"), splits={"test": "train"})
    assert sorted(found.splits["test"]["text"].to_pylist()) == [book, "b"]


@pytest.mark.parametrize("end", ["a", "a,b,c"])
def test_a_torn_line_of_a_csv_is_shown(end: str, load: Load, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\n" + "a,b\n" * 600_000 + end)
    with pytest.raises(DataError, match=f"Row #600002: Expected 2 columns, got {3 if end[-1] == 'c' else 1}: {end}"):
        load("csv", data_files=str(tmp_path / "x.csv"), splits={"test": "train"})


def test_a_quote_that_never_closes_is_shown(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_text("text,label\n" + "a,b\n" * 1000 + '"open,b\n' + "a,b\n" * 800_000)
    with pytest.raises(DataError, match='Row #1002: Expected 2 columns, got 1: "open,b a,b'):
        load("csv", data_files=str(tmp_path / "x.csv"), splits={"test": "train"})
    monkeypatch.setattr(csv_rows, "_LARGE_BYTES", 1 << 20)
    with pytest.raises(DataError, match="a row is longer than 1 MiB; look for a quote"):
        load("csv", data_files=str(tmp_path / "x.csv"), splits={"test": "train"})


def test_json_text_that_looks_like_a_date_stays_text(load: Load, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "2024-01-01", "label": 1}\n\n{"text": "2024-01-02", "label": 1}\n')
    found = load(str(tmp_path / "x.jsonl"), splits={"test": "train"})
    assert sorted(found.splits["test"]["text"].to_pylist()) == ["2024-01-01", "2024-01-02"]


PICTURES = (Column("image", "image"), Column("label", "label"))


def test_folders_of_pictures_are_labelled_by_their_names(load: Load, tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (8, 5, 4, 3), np.uint8)
    for number, picture in enumerate(pixels):
        folder = tmp_path / "images" / ("train" if number < 6 else "test") / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number}.png")
    found = load("imagefolder", data_files=str(tmp_path / "images"), columns=PICTURES)
    assert found.labels == ("cat", "dog")
    test = found.splits["test"]
    labels = [found.labels[label] for label in test["label"].to_pylist()]
    read = {array.tobytes(): label for array, label in zip(picture_arrays(test), labels, strict=True)}
    assert read == {pixels[6].tobytes(): "dog", pixels[7].tobytes(): "cat"}
    assert {array.shape for array in picture_arrays(test)} == {(5, 4, 3)}


def test_pictures_as_lists_bytes_and_paths_are_read(load: Load, tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    encoded = (tmp_path / "p.png").read_bytes()
    for value in (
        pixels.tolist(),
        encoded,
        "p.png",
        {"bytes": encoded, "path": None},
        {"bytes": None, "path": "p.png"},
    ):
        found = load([{"image": value, "label": 1}], splits={"test": "train"}, columns=PICTURES)
        (array,) = picture_arrays(found.splits["test"])
        assert np.array_equal(array, pixels[:, :, None])


def test_a_picture_that_cannot_be_decoded_names_its_row(load: Load) -> None:
    from raybench.core.errors import DataError

    with pytest.raises(DataError, match="row 0: not a picture that can be decoded"):
        load([{"image": b"not a picture", "label": 1}], splits={"test": "train"}, columns=PICTURES)


def test_lines_of_json_end_where_a_line_ends_and_nowhere_else(load: Load, tmp_path: Path) -> None:
    texts = ["next line \x85 here", "line \u2028 separator", "plain", "later"]
    rows = [{"text": text, "label": "ab"[n % 2], **({"id": str(n)} if n else {})} for n, text in enumerate(texts)]
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_text("\ufeff" + lines + "\n\n", newline="")
    loaded = load("json", data_files={"test": str(tmp_path / "rows.jsonl")}, splits={"test": "test"})
    assert sorted(loaded.splits["test"]["text"].to_pylist()) == sorted(texts)


def test_a_list_in_one_line_of_json_is_read_once(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = json.loads
    monkeypatch.setattr(json, "loads", lambda text: read.append(len(text)) or plain(text))
    (tmp_path / "rows.json").write_text(json.dumps([{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(9)]))
    loaded = load("json", data_files={"test": str(tmp_path / "rows.json")}, splits={"test": "test"})
    assert loaded.splits["test"].num_rows == 9
    assert [size for size in read if size == (tmp_path / "rows.json").stat().st_size] == [max(read)]
