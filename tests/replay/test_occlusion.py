"""Pieces are all that is read and nothing twice; a row without a piece lacks that piece alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.core.pictures import image_array
from raybench.replay.occlusion import MOST, cut_picture, cut_text, occluded

TEXT = st.text(st.sampled_from("ab .,\n\t雨が降る"), max_size=40)


@given(TEXT)
def test_words_joined_are_the_text(text):
    cut = cut_text("text", text)
    assert cut.cell(None) == (text if text.strip() else "")
    for place, piece in enumerate(cut.pieces):
        assert piece.strip()
        assert len(cut.cell(place)) == len(text) - len(piece)


@given(TEXT, st.integers(1, 9))
def test_adjoining_words_share_a_piece_where_there_are_many(text, most):
    cut = cut_text("text", text)
    fewer = cut.in_at_most(most)
    assert len(fewer) <= most
    assert fewer.cell(None) == cut.cell(None)


def test_characters_of_scripts_without_spaces_are_words():
    assert cut_text("text", "雨が rain").pieces == ("雨", "が ", "rain")


@pytest.mark.parametrize("size", [(8, 8), (3, 5), (1, 1), (100, 37)])
def test_patches_cover_every_pixel_once(size):
    pixels = np.zeros((1, *size, 3), np.uint8)
    cut = cut_picture("image", pa.table({"id": ["a"], "image": image_array(pixels)}))
    covered = np.zeros(size, int)
    for box in cut.boxes:
        covered[box.top : box.bottom, box.left : box.right] += 1
    assert (covered == 1).all()
    assert len(cut) <= MOST


def test_a_row_lacks_the_piece_alone():
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (1, 16, 16, 1)).astype(np.uint8)
    row = pa.table({"id": ["a"], "image": image_array(pixels), "label": [3]})
    cut = cut_picture("image", row)
    whole, without = occluded(row, cut, [None, 9]).to_pylist()
    assert (whole["id"], without["id"], without["label"]) == ("0", "1", 3)
    assert whole["image"] == row["image"][0].as_py()
    changed = np.frombuffer(without["image"]["data"], np.uint8).reshape(16, 16) != pixels[0, :, :, 0]
    box = cut.boxes[9]
    changed[box.top : box.bottom, box.left : box.right] = False
    assert not changed.any()
