"""Baselines of sounds tell apart what a mel spectrum tells apart, and nothing of theirs hangs on the rows beside."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.sounds import wav
from raybench.data.sounds import sound_array
from raybench.recipes.baselines.mel_statistics import NUM_STATISTICS, mel_statistics
from tests.tasks.tiny_audio import RATE, sounds
from tests.tasks.trials import make_trial, records_of

LABELS = ("high", "low", "noise")


def heard(count: int, seed: int) -> pa.Table:
    """High tones, low tones and noise, with the same words for each."""
    draw = np.random.default_rng(seed)
    made, label = [], []
    for place in range(count):
        time = np.arange(int(draw.uniform(0.2, 0.6) * RATE)) / RATE
        pitch = draw.uniform(2000, 3000) if place % 3 == 0 else draw.uniform(150, 300)
        tone = np.sin(2 * np.pi * pitch * time) if place % 3 < 2 else draw.normal(0, 0.5, len(time))
        made.append(((0.4 * tone + draw.normal(0, 0.01, len(time))).astype(np.float32), RATE))
        label.append(place % 3)
    words = ["so high", "so low", "a noise"]
    return pa.table({"id": [f"{seed}-{i}" for i in range(count)], "audio": sound_array(made),
                     "text": [words[one] for one in label], "label": pa.array(label, pa.int32())})  # fmt: skip


def test_mel_logistic_hears_what_is_high_and_what_is_low() -> None:
    trial = make_trial(
        "audio-classification", ModelSpec(reference="baseline:mel-logistic"), labels=LABELS, max_length=1
    )
    records = records_of(trial, heard(12, 1), heard(24, 0))
    assert records["prediction"].to_pylist() == records["target"].to_pylist()


def test_the_nearest_clip_has_the_words_of_its_kind() -> None:
    trial = make_trial("speech-recognition", ModelSpec(reference="baseline:nearest-clip"), max_length=1)
    records = records_of(trial, heard(12, 1), heard(24, 0))
    assert [[text] for text in records["hypothesis"].to_pylist()] == records["references"].to_pylist()


def test_the_most_frequent_transcript_is_said_of_every_sound() -> None:
    trial = make_trial("speech-recognition", ModelSpec(reference="baseline:frequent-transcript"), max_length=1)
    train = heard(5, 0)  # two each of the first kinds: of equals the first by the alphabet
    assert set(records_of(trial, heard(6, 1), train)["hypothesis"].to_pylist()) == {"so high"}


def test_statistics_of_a_sound_are_its_own_at_any_rate_and_length() -> None:
    data = sounds(14)["audio"].to_pylist()
    whole = mel_statistics(data)
    assert whole.shape == (14, NUM_STATISTICS)
    assert np.isfinite(whole).all()
    assert np.array_equal(mel_statistics(data[7:8])[0], whole[7])
    assert np.isfinite(mel_statistics([wav(np.zeros(3, np.float32), 8000)])).all()
