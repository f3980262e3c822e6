"""What perturbing does to pictures of any size and form."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from raybench.core.pictures import ENCODED, image_array, picture_arrays
from raybench.data.perturbing.pictures import PICTURES, blur, brightness, jpeg, noise, perturbed_pictures

PIXELS = np.random.default_rng(0).integers(60, 190, (32, 24, 3), dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("shape", [(8, 8, 1), (17, 5, 3), (64, 64, 3)])
def test_a_picture_keeps_its_form_and_comes_out_the_same_again(name: str, shape: tuple[int, int, int]) -> None:
    pixels = rng(1).integers(0, 255, shape, dtype=np.uint8)
    first, again = (PICTURES[name](pixels, 0.3, rng(2)) for _ in range(2))
    assert (first.shape, first.dtype) == (shape, np.uint8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, pixels)


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    grey = np.full((200, 200, 1), 128, np.uint8)
    assert noise(grey, 0.1, rng()).astype(float).std() == pytest.approx(25.5, rel=0.02)


def test_a_blur_is_of_the_same_share_of_any_size() -> None:
    small = np.zeros((16, 16, 1), np.uint8)
    small[:, 8:] = 255
    large = small.repeat(8, axis=0).repeat(8, axis=1)
    coarse = blur(large, 0.1, rng()).astype(float).reshape(16, 8, 16, 8, 1).mean(axis=(1, 3))
    assert np.abs(coarse - blur(small, 0.1, rng()).astype(float)).max() < 12


def test_brightness_is_up_for_half_and_down_for_half() -> None:
    shifts = [int(brightness(PIXELS, 0.2, rng(seed))[0, 0, 0]) - int(PIXELS[0, 0, 0]) for seed in range(200)]
    assert set(shifts) == {51, -51}
    assert 70 < sum(shift > 0 for shift in shifts) < 130


def test_jpeg_of_less_quality_is_further_from_the_picture() -> None:
    near, far = (np.abs(jpeg(PIXELS, strength, rng()).astype(float) - PIXELS).mean() for strength in (0.1, 0.95))
    assert near < far


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_files_and_pixels_of_the_same_picture_are_perturbed_alike() -> None:
    as_pixels = image_array(PIXELS[None])
    as_file: Any = pa.array([{"path": "a.png", "bytes": _png(PIXELS)}], ENCODED)
    made = [perturbed_pictures(cells, PICTURES["noise"], 0.2, [rng()]) for cells in (as_pixels, as_file)]
    assert [one.type for one in made] == [as_pixels.type, ENCODED]
    first, second = (next(picture_arrays(pa.table({"image": one}))) for one in made)
    assert np.array_equal(first, second)
    assert made[1][0].as_py()["path"] == "a.png"


def test_an_alpha_channel_stays_as_it_is() -> None:
    pixels = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 77, np.uint8)])
    made = next(picture_arrays(pa.table({"image": perturbed_pictures(image_array(pixels[None]), noise, 0.2, [rng()])})))
    assert (made[:, :, 3] == 77).all()
    assert not np.array_equal(made[:, :, :3], PIXELS)
