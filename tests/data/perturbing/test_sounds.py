"""What perturbing does to sounds of any loudness, rate and form."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from raybench.core import Column  # noqa: E402 - not without what decodes sounds
from raybench.core.sounds import read_sound, sound_shape, wav  # noqa: E402
from raybench.data.perturbing import perturb_rows  # noqa: E402
from raybench.data.perturbing.sounds import SOUNDS, clipping, muffle, noise, perturbed_sounds  # noqa: E402

RATE = 8_000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(pitch: float, seconds: float = 1.0, loudness: float = 0.5, rate: int = RATE) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)


def cells(*sounds: bytes) -> pa.Array:
    return pa.array(sounds, pa.large_binary())


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_sound_keeps_its_rate_and_length_and_comes_out_the_same_again(name: str, rate: int) -> None:
    given = cells(wav(rng(1).normal(0, 0.1, 3_000).astype(np.float32), rate))
    first, again = (perturbed_sounds(given, SOUNDS[name], 0.3, [rng(2)]) for _ in range(2))
    assert first.type == given.type
    assert first.equals(again)
    assert not first.equals(given)
    assert sound_shape(first[0].as_py()) == (3_000, rate)


@pytest.mark.parametrize("loudness", [0.01, 0.5])
def test_noise_is_as_far_below_any_sound_as_is_asked_for(loudness: float) -> None:
    sound = tone(440, seconds=10, loudness=loudness)
    added = noise(sound, 0.1, RATE, rng()) - sound
    assert 20 * np.log10(sound.std() / added.std()) == pytest.approx(20, abs=0.1)


def test_clipping_takes_its_share_of_the_peak() -> None:
    made = clipping(tone(440), 0.25, RATE, rng())
    assert np.abs(made).max() == pytest.approx(0.75 * 0.5, rel=1e-3)
    quiet = np.abs(tone(440)) < 0.3
    assert np.array_equal(made[quiet], tone(440)[quiet])


def test_muffling_takes_the_upper_share_and_leaves_the_lower() -> None:
    inner = slice(400, -400)
    high, low = (muffle(tone(pitch), 0.5, RATE, rng())[inner].std() / tone(pitch)[inner].std() for pitch in (3500, 500))
    assert high < 0.01
    assert low == pytest.approx(1, abs=0.01)


def test_channels_become_the_one_that_tasks_hear_in_any_file() -> None:
    both = np.stack([tone(440), tone(880)], axis=1).astype(np.float32)
    written = io.BytesIO()
    soundfile.write(written, both, RATE, format="FLAC")
    made = perturbed_sounds(cells(written.getvalue()), clipping, 0.5, [rng()])[0].as_py()
    heard = read_sound(written.getvalue(), RATE)
    assert np.allclose(
        read_sound(made, RATE), np.clip(heard, *(0.5 * np.abs(heard).max() * np.array([-1, 1]))), atol=1e-6
    )


def test_silence_and_what_is_too_short_for_a_filter_keep_their_bytes() -> None:
    silence = wav(np.zeros(100, np.float32), RATE)
    for perturb in SOUNDS.values():
        assert perturbed_sounds(cells(silence), perturb, 0.5, [rng()])[0].as_py() == silence
    blip = wav(np.ones(5, np.float32), RATE)
    assert perturbed_sounds(cells(blip), muffle, 0.5, [rng()])[0].as_py() == blip


def test_rows_are_perturbed_by_their_ids_and_said_to_be_others() -> None:
    sounds = [wav(tone(440).astype(np.float32), RATE), wav(np.zeros(100, np.float32), RATE)]
    rows = pa.table({"id": ["a", "b"], "audio": pa.array(sounds, pa.large_binary())})
    columns = [Column("audio", "audio")]
    made, is_changed = perturb_rows(rows, {"noise": 0.5, "muffle": 0.2}, columns)
    assert is_changed.tolist() == [True, False]
    alone, _ = perturb_rows(rows.slice(0, 1), {"noise": 0.5, "muffle": 0.2}, columns)
    assert alone["audio"][0] == made["audio"][0]
