"""What rows are called, in what order they stand and what they are hashed to never changes: stored results hang on it.

The values were recorded with rows read and hashed one by one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybench.core import Column, ModelSpec, large_columns
from raybench.core.words import DatasetKey
from raybench.data import LoadedDataset, load_dataset
from raybench.data.fingerprint import RowHashes
from raybench.job import load_job
from raybench.job.spec import DatasetSpec
from raybench.planning import plan as planning
from raybench.runtime.prepare import prepare_data
from raybench.tasks.catalog import get_task

TEXTS = [
    "",
    "a",
    "é",
    "漢字 かな",
    "🙂 smile",
    "a\0b",
    "line\nline",
    "x" * 200,
    "a",
    "ünï",
    "the quick fox",
    "quotes \" '",
]


def texts(count: int, seed: int = 0) -> list[str]:
    """Short texts of which some are equal, others ones of TEXTS."""
    draw = np.random.default_rng(seed)
    return [TEXTS[n] if n < len(TEXTS) else f"row {n} of ünicode {n % 7}" for n in draw.integers(count, size=count)]


def pixels(count: int) -> pa.Array:
    data = [bytes(range(n, n + 12)) for n in range(count)]
    sizes = {"height": 2, "width": 2, "channels": 3}
    arrays = [pa.array([size] * count, pa.int32()) for size in sizes.values()]
    return pa.StructArray.from_arrays([*arrays, pa.array(data, pa.binary())], [*sizes, "data"])


COLUMNS: dict[str, list[pa.ChunkedArray]] = {
    "text": [pa.chunked_array([TEXTS, TEXTS[3:5], pa.array([], pa.string()), ["last"]])],
    "large text": [pa.chunked_array([pa.array(TEXTS, pa.large_string())])],
    "text view": [pa.chunked_array([pa.array(TEXTS, pa.string_view())])],
    "part of a text column": [pa.chunked_array([pa.array(TEXTS).slice(3, 5)])],
    "two texts": [pa.chunked_array([TEXTS]), pa.chunked_array([TEXTS[:5], TEXTS[:7]])],
    "text and number": [pa.chunked_array([TEXTS]), pa.chunked_array([np.arange(12)])],
    "bytes": [pa.chunked_array([pa.array([b"", b"\0\xff", b"png"] * 2, pa.binary())])],
    "large bytes": [pa.chunked_array([pa.array([b"", b"\0\xff", b"png"] * 2, pa.large_binary())])],
    "bytes of one length": [pa.chunked_array([pa.array([b"ab", b"cd"], pa.binary(2)).cast(pa.binary())])],
    "whole numbers": [pa.chunked_array([pa.array([0, -1, None, 2**62])])],
    "numbers": [pa.chunked_array([pa.array([0.0, -0.0, 0.1, 1e300, None, float("nan")])])],
    "true and false": [pa.chunked_array([pa.array([True, False, None])])],
    "lists of texts": [pa.chunked_array([pa.array([["a", "é"], [], ["a\0"], None])])],
    "lists of numbers": [pa.chunked_array([pa.array([[1.5, 2.0], [], [0.1]])])],
    "records": [pa.chunked_array([pa.array([{"a": 1.0, "b": "x"}, {"a": None, "b": None}, {"a": 0.5, "b": "é"}])])],
    "answers": [pa.chunked_array([pa.array([{"texts": ["a", "b"], "starts": [1, 2]}, {"texts": [], "starts": []}])])],
    "pixels": [pa.chunked_array([pixels(3)])],
    "categories": [pa.chunked_array([pa.array(["a", "b", "a", None]).dictionary_encode()])],
}
HASHES = {
    "text": "64dfaa6ad77856fe",
    "large text": "e28948c6554d216a",
    "text view": "e28948c6554d216a",
    "part of a text column": "1a880f28e4efd493",
    "two texts": "c70aea3f0a07f6cb",
    "text and number": "babda6b758cb3bd5",
    "bytes": "23cddcc8bb46dad9",
    "large bytes": "23cddcc8bb46dad9",
    "bytes of one length": "8d3058707628eb02",
    "whole numbers": "83849ec8e1d129d8",
    "numbers": "fd38795d0e4028e0",
    "true and false": "c8bcda2b656d6c95",
    "lists of texts": "b60100f892952376",
    "lists of numbers": "aabf0ef5001b8d00",
    "records": "831e1701db13fb45",
    "answers": "89c9a72c03f5d19c",
    "pixels": "0769a8495c1c5755",
    "categories": "557295fe63c8c1f6",
}


def of_rows(columns: list[pa.ChunkedArray]) -> str:
    return hashlib.sha256(RowHashes.of(columns).digests.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_have_the_hashes_that_they_always_had(name: str) -> None:
    assert of_rows(COLUMNS[name]) == HASHES[name]


TEXT = (Column("text", "text"), Column("text_pair", "text", False), Column("label", "label"))


def picture(n: int) -> bytes:
    """A PPM file, whose bytes no library decides."""
    return b"P6 2 3 255\n" + bytes((n, 2 * n, 3 * n)) * 6


def texts_table(count: int, seed: int = 0) -> pa.Table:
    labels = np.random.default_rng(seed + 9).choice(["x", "y", "ž"], size=count)
    return pa.table({"text": texts(count, seed), "label": labels, "n": np.arange(count), "part": [f"p{n % 3}" for n in
                     range(count)], "pair": texts(count, seed + 1), "score": np.arange(count) / 8})  # fmt: skip


def with_own(name: str, cells: Any, count: int = 12) -> pa.Table:
    return pa.table({name: cells, "label": [n % 2 == 0 for n in range(count)]})


SOURCES: dict[str, tuple[dict[str, pa.Table], tuple[Column, ...], dict[str, Any]]] = {
    "texts": ({"train": texts_table(200), "test": texts_table(60, 5)}, TEXT, {}),
    "texts, some": (
        {"train": texts_table(200), "test": texts_table(60, 5)},
        TEXT,
        {"limit": {"train": 50, "test": 20}},
    ),
    "texts with ids and pairs": (
        {"train": texts_table(200), "test": texts_table(60, 5)},
        TEXT,
        {"columns": {"id": "n", "text_pair": "pair"}, "slices": ["part", "length"]},
    ),
    "one split": ({"train": texts_table(200)}, TEXT, {"splits": {"train": "train", "validation": "cut"}}),
    "true and false": ({"test": with_own("text", TEXTS)}, TEXT, {"splits": {"test": "test"}}),
    "values": (
        {"train": texts_table(90), "test": texts_table(60, 5)},
        (Column("text", "text"), Column("value", "value", role="target")),
        {"columns": {"value": "score"}},
    ),
    "tokens": (
        {"test": pa.table({"tokens": [["a", "é"], ["b"], ["b"]], "tags": [["x", "y"], ["x"], ["y"]]})},
        (Column("tokens", "texts"), Column("tags", "tags")),
        {"splits": {"test": "test"}},
    ),
    "files of pictures": (
        {"test": with_own("image", pa.array([picture(n) for n in range(12)], pa.binary()))},
        (Column("image", "image"), Column("label", "label")),
        {"splits": {"test": "test"}},
    ),
    "pixels": (
        {"test": with_own("image", pixels(12))},
        (Column("image", "image"), Column("label", "label")),
        {"splits": {"test": "test"}},
    ),
    "records": (
        {"test": pa.table({"a": [1, None, 3], "b": ["x", None, "z"], "label": ["u", "v", "u"]})},
        (Column("features", "record"), Column("label", "label")),
        {"splits": {"test": "test"}},
    ),
}
CONTENTS = {
    "texts": ("3bb36140e604cc83f32306ab207052b1", "3953fb320b581cf2"),
    "texts, some": ("a89063f47a265726fff25ee952a39230", "3bb59eef115c7c98"),
    "texts with ids and pairs": ("1066f73241cef86cba4b582700c221dd", "c3b25adf1507980c"),
    "one split": ("27e124337471005e5395f623237889be", "e336994b7d146bca"),
    "true and false": ("d6720139c93fbefd20148a3c68253bf9", "0d6fac2664f07601"),
    "values": ("d91e2a9c6f84c67fa391a87390c38cac", "d6f536917880b55c"),
    "tokens": ("643861419801e684e09cbbde5fccffb7", "897f2831625f00cb"),
    "files of pictures": ("a24613c33aacc0f3ebc9dabcaeaca671", "ee8c81c4c6617c9b"),
    "pixels": ("f4636ea8ccb6f89f5122d4c28c007475", "c5a552e6ea823317"),
    "records": ("83f0eea32b58e0243fe1912a6eccfcc8", "c3e5b61b3f35c7af"),
}


def load(name: str, folder: Path, group: int) -> LoadedDataset:
    tables, columns, entry = SOURCES[name]
    for split, table in tables.items():
        pq.write_table(table, folder / f"{split}.parquet", row_group_size=group)
    files = {split: str(folder / f"{split}.parquet") for split in tables}
    asked = {"name": "d", "source": "parquet", "task": "t", "data_files": files, **entry}
    return load_dataset(DatasetSpec.model_validate(asked), columns, folder)


def of_dataset(loaded: LoadedDataset) -> tuple[str, str]:
    """The fingerprint, and a hash of all that the tables and the notes hold."""
    rows = {split: table.to_pydict() for split, table in loaded.splits.items()}
    types = {split: str(table.schema) for split, table in loaded.splits.items()}
    told = repr((rows, types, loaded.labels, loaded.notes))
    return loaded.fingerprint, hashlib.sha256(told.encode()).hexdigest()[:16]


@pytest.fixture(params=["of one chunk", "of many chunks"])
def group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of a row group; where columns are of many chunks, as those of more than 2 GiB are, 200 bytes are large."""
    if request.param == "of one chunk":
        return 10_000
    monkeypatch.setattr(large_columns, "_MOST_BYTES", 200)
    monkeypatch.setattr(large_columns, "_PART_BYTES", 100)
    return 7


@pytest.mark.parametrize("name", SOURCES)
def test_datasets_have_the_rows_and_the_fingerprint_that_they_always_had(name: str, group: int, tmp_path: Path) -> None:
    assert of_dataset(load(name, tmp_path, group)) == CONTENTS[name]


BATCHES = "3b73dd1592f7f5d3541866c5faf2d746"


def of_batches(folder: Path, group: int = 50) -> str:
    loaded = load("texts with ids and pairs", folder, group)
    key = DatasetKey(name="d", task="text-classification", labels=loaded.labels, fingerprint="", max_length=64)
    prepared = prepare_data(get_task(key.task, {}), loaded.splits, ModelSpec(reference="baseline:majority"), key)
    return prepared.digest


def test_batches_are_those_that_they_always_were(group: int, tmp_path: Path) -> None:
    assert of_batches(tmp_path, group) == BATCHES


TRIALS = [
    "texts-7d464fd0454c",
    "6147e14bdee88c18ebff49daeee1e39e",
    "f991bb61ef1c5090a22d988dfe727a21",
    "0bf45b28c8bd1ad65a44d3d7463897ee",
]
JOB = """
name: texts
candidates: [{baseline: majority}, {baseline: tfidf-logistic}]
datasets:
  - {name: rows, source: parquet, data_files: {train: train.parquet, test: test.parquet}, task: text-classification}
"""


def of_plan(folder: Path) -> list[str]:
    load("texts", folder, 50)
    (folder / "job.yaml").write_text(JOB)
    plan = planning.make_plan(load_job(folder / "job.yaml"))
    return [plan.run_id, *(one.trial.trial_id for one in plan.trials), *plan.data]


def test_trials_are_called_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "RESULT_VERSION", 5)
    assert of_plan(tmp_path) == TRIALS
