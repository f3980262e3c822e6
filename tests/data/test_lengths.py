"""`slices: [length]`: examples by how long they are, in parts named by their limits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raybench.core import Column
from raybench.data import LoadedDataset
from raybench.data.sounds import sound_array
from tests.data.conftest import TEXT

Load = Callable[..., LoadedDataset]


def rows(lengths: list[int], **more: Any) -> list[dict[str, Any]]:
    return [
        {"text": " ".join([f"w{place}"] * length), "label": f"l{place % 2}", **more}
        for place, length in enumerate(lengths)
    ]


def parts(dataset: LoadedDataset, split: str = "test") -> dict[int, str]:
    table = dataset.splits[split]
    return {
        len(text.split()): part
        for text, part in zip(table["text"].to_pylist(), table["slice_length"].to_pylist(), strict=True)
    }


def test_quarters_of_the_test_rows_are_named_by_their_words(load: Load) -> None:
    test = rows([*range(1, 21)])
    loaded = load({"train": rows([5, 6]), "test": random.Random(0).sample(test, len(test))}, slices=["length"])
    assert Counter(loaded.splits["test"]["slice_length"].to_pylist()) == {
        "0–5 words": 5, "6–10 words": 5, "11–15 words": 5, "16+ words": 5
    }  # fmt: skip
    assert (parts(loaded)[5], parts(loaded)[6], parts(loaded)[16]) == ("0–5 words", "6–10 words", "16+ words")


def test_other_splits_are_cut_at_the_lengths_of_the_test_rows(load: Load) -> None:
    loaded = load({"train": rows([1, 9, 30]), "test": rows([*range(1, 21)])}, slices=["length"])
    assert parts(loaded, "train") == {1: "0–5 words", 9: "6–10 words", 30: "16+ words"}


@pytest.mark.parametrize("lengths", [[3] * 9, [2, 2, 2, 2, 2, 7]])
def test_equal_lengths_stay_together(load: Load, lengths: list[int]) -> None:
    loaded = load({"train": rows([1] * 4), "test": rows(lengths)}, slices=["length"])
    assert len(set(parts(loaded).values())) == len(set(lengths))


def test_naming_it_changes_no_fingerprint(load: Load) -> None:
    given = {"train": rows([1, 2, 3]), "test": rows([4, 5, 6])}
    assert load(given).fingerprint == load(given, slices=["length"]).fingerprint


def test_a_column_of_that_name_is_that_column(load: Load) -> None:
    loaded = load({"train": rows([1, 2], length="short"), "test": rows([4], length="long")}, slices=["length"])
    assert loaded.splits["test"]["slice_length"].to_pylist() == ["long"]


def test_words_of_all_inputs_count(load: Load) -> None:
    given = {"train": rows([1, 1], text_pair="a b"), "test": rows([1, 4], text_pair="a b")}
    assert set(parts(load(given, slices=["length"])).values()) == {"0–3 words", "4+ words"}


def test_sounds_are_told_by_their_seconds(load: Load) -> None:
    pytest.importorskip("soundfile")
    clips = [(np.full(round(seconds * 8000), 0.1 * place, np.float32), 8000)
             for place, seconds in enumerate((0.5, 1.0, 1.5, 2.0), 1)]  # fmt: skip
    given = [{"audio": cell, "label": f"l{n % 2}"} for n, cell in enumerate(sound_array(clips).to_pylist())]
    loaded = load({"train": given, "test": given}, columns=(Column("audio", "audio"), TEXT[-1]), slices=["length"])
    assert set(loaded.splits["test"]["slice_length"].to_pylist()) == {"0–0.5 s", "0.5–1 s", "1–1.5 s", "1.5+ s"}


def test_rows_without_texts_and_sounds_have_no_length(wrong: Callable[..., str]) -> None:
    pixels = [{"image": [[n]], "label": f"l{n % 2}"} for n in range(4)]
    line = wrong({"train": pixels, "test": pixels}, columns=(Column("image", "image"), TEXT[-1]), slices=["length"])
    assert line == "dataset d: slice 'length': rows have neither texts nor sounds, and no column of that name"
