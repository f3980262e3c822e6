"""What perturbing does to texts, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.data.perturbing.texts import TEXTS, case, drop_words, punctuation, swap_words, typos

WORDS = st.lists(st.text("abcdefgXYZ'éж", min_size=1, max_size=8), min_size=1, max_size=12)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.text(max_size=40), st.sampled_from(list(TEXTS)), st.floats(0.01, 1), st.integers(0, 9))
@settings(max_examples=200)
def test_any_text_is_perturbed_the_same_again(text: str, name: str, strength: float, seed: int) -> None:
    assert TEXTS[name](text, strength, rng(seed)) == TEXTS[name](text, strength, rng(seed))


@given(WORDS, st.integers(0, 9))
def test_typos_are_one_slip_inside_a_word_and_keep_its_first_letter(words: list[str], seed: int) -> None:
    made = typos(" ".join(words), 1.0, rng(seed)).split(" ")
    assert len(made) == len(words)
    for before, after in zip(words, made, strict=True):
        assert abs(len(before) - len(after)) <= 1
        assert before[0] == after[0]
        if sum(map(str.isalpha, before)) < 3:
            assert before == after


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_strength_is_the_share_of_words(strength: float) -> None:
    words = [f"letters{number}" for number in range(2000)]
    text = " ".join(words)
    slipped = typos(text, strength, rng()).split(" ")
    assert sum(a != b for a, b in zip(words, slipped, strict=True)) / 2000 == pytest.approx(strength, abs=0.03)
    shouted = case(text, strength, rng()).split(" ")
    assert sum(a != b for a, b in zip(words, shouted, strict=True)) / 2000 == pytest.approx(strength, abs=0.03)
    left = drop_words(text, strength, rng()).split(" ")
    assert 1 - len(left) / 2000 == pytest.approx(strength, abs=0.03)


def test_case_is_capitals_or_none() -> None:
    assert case("Mr Smith went to NASA", 1.0, rng()) == "mr smith WENT TO nasa"


@given(WORDS, st.floats(0.05, 1), st.integers(0, 9))
def test_words_are_left_out_in_order_and_one_stays(words: list[str], strength: float, seed: int) -> None:
    left = drop_words(" ".join(words), strength, rng(seed)).split(" ")
    remaining = iter(words)
    assert left
    assert all(word in remaining for word in left)


@given(WORDS, st.floats(0.05, 1), st.integers(0, 9))
def test_swapping_moves_each_word_by_one_place_at_most(words: list[str], strength: float, seed: int) -> None:
    numbered = [f"{word}{place}" for place, word in enumerate(words)]
    made = swap_words(" ".join(numbered), strength, rng(seed)).split(" ")
    assert sorted(made) == sorted(numbered)
    assert all(abs(made.index(word) - place) <= 1 for place, word in enumerate(numbered))


def test_punctuation_of_any_script_goes_and_nothing_else() -> None:
    assert punctuation("«Well», he said… 3.5% of 、that!", 1.0, rng()) == "Well he said 35 of that"


def test_white_space_stays_as_it_is() -> None:
    text = "  one two\n\nthree\tfour  "
    for name in ("typos", "case", "swap_words", "punctuation"):
        made = TEXTS[name](text, 1.0, rng())
        assert [c for c in made if c.isspace()] == [c for c in text if c.isspace()]
