"""One label a sound: equal to transformers' pipeline on the same checkpoint and rows, in windows where it is long."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, ModelError
from raybench.core.sounds import read_sound
from raybench.data.sounds import sound_array
from raybench.models.audio_processor import open_audio_processor
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task
from tests.tasks.as_planned import check
from tests.tasks.tiny_audio import RATE, WAV2VEC2, WHISPER, save_whisper, tone
from tests.tasks.trials import CPU, make_trial, records_of

LABELS = ("money", "sport", "weather")
NAMES = {"id2label": dict(enumerate(["sport", "WEATHER", "money"])), "label2id": {"sport": 0, "WEATHER": 1, "money": 2}}


def save(path: Path, kind: str) -> Path:
    """A random checkpoint with a head of three labels in another order."""
    import transformers as t

    torch.manual_seed(3)
    if kind == "whisper":
        config: Any = t.WhisperConfig(**WHISPER, **NAMES, vocab_size=20, classifier_proj_size=8)
        t.WhisperForAudioClassification(config).save_pretrained(path)
        t.WhisperFeatureExtractor(feature_size=WHISPER["num_mel_bins"], chunk_length=1).save_pretrained(path)
    elif kind == "ast":
        config = t.ASTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                             max_length=128, num_mel_bins=64, initializer_range=0.3, **NAMES)  # fmt: skip
        t.ASTForAudioClassification(config).save_pretrained(path)
        t.ASTFeatureExtractor(max_length=128, num_mel_bins=64).save_pretrained(path)
    else:
        config = t.Wav2Vec2Config(**WAV2VEC2, **NAMES, feat_extract_norm=kind, initializer_range=0.5)
        t.Wav2Vec2ForSequenceClassification(config).save_pretrained(path)
        t.Wav2Vec2FeatureExtractor(return_attention_mask=kind == "layer").save_pretrained(path)
    return path


def clips(seconds: list[float]) -> pa.Table:
    made = [(tone(place, one), RATE) for place, one in enumerate(seconds)]
    label = pa.array([place % 3 for place in range(len(made))], pa.int32())
    return pa.table({"id": [f"s{i}" for i in range(len(made))], "audio": sound_array(made), "label": label})


@pytest.mark.parametrize("kind", ["group", "layer", "whisper", "ast"])
def test_a_checkpoints_own_head_says_what_the_pipeline_says(tmp_path: Path, kind: str) -> None:
    from transformers import pipeline

    path, rows = save(tmp_path / kind, kind), clips([0.2, 0.9, 0.55, 0.3, 0.9])
    told = pipeline("audio-classification", model=str(path), device="cpu", top_k=None)
    records = records_of(make_trial("audio-classification", path, labels=LABELS, max_length=128), rows)
    for row, data in zip(records.to_pylist(), rows["audio"].to_pylist(), strict=True):
        scores = {one["label"].lower(): one["score"] for one in told(read_sound(data, RATE))}
        best = max(scores, key=scores.__getitem__)
        assert LABELS[row["prediction"]] == best
        assert row["confidence"] == pytest.approx(scores[best], abs=1e-6)


@pytest.mark.parametrize("kind", ["layer", "whisper"])
def test_a_long_sound_is_pooled_over_all_its_windows(tmp_path: Path, kind: str) -> None:
    path = save_whisper(tmp_path / kind) if kind == "whisper" else save(tmp_path / kind, kind)
    task = get_task("audio-classification", {"window_seconds": 1})
    trial = make_trial("audio-classification", path, "frozen", labels=LABELS, max_length=128, window_seconds=1)
    rows = clips([2.4])
    prepared = task.prepare(rows, trial.model, 128)
    starts = [*prepared["starts"][0].as_py(), int(2.4 * RATE)]
    assert prepared["rows"].to_pylist() == [len(starts) - 1]
    assert len(starts) >= 4
    assert max(np.diff(starts)) <= RATE
    network: Any = Workspace(CPU).network(trial, task, own_head=False)
    with torch.inference_mode():
        examples = task.examples(prepared, trial.model, trial.dataset)
        whole = network.features(examples.batch(np.array([0]), 64, CPU).inputs)
    samples = tone(0, 2.4)
    cut = sound_array([(samples[a:b], RATE) for a, b in itertools.pairwise(starts)])
    parts = pa.table({"id": [*"abcd"][: len(cut)], "audio": cut, "label": pa.array([0] * len(cut), pa.int32())})
    examples = task.examples(task.prepare(parts, trial.model, 128), trial.model, trial.dataset)
    with torch.inference_mode():
        inputs = examples.batch(np.arange(len(parts)), 64, CPU).inputs
        each = network.features(inputs)
    positions = torch.tensor([_positions(kind, size) for size in np.diff(starts)], dtype=torch.float32)
    wanted = (each * positions[:, None]).sum(dim=0) / positions.sum()
    torch.testing.assert_close(whole[0], wanted, rtol=1e-4, atol=1e-5)


def _positions(kind: str, samples: int) -> int:
    if kind == "whisper":  # fifty a second
        return (samples + 319) // 320
    for size, step in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        samples = (samples - size) // step + 1
    return samples


def test_features_of_a_sound_have_the_bits_it_has_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "layer", "layer")
    task = get_task("audio-classification")
    trial = make_trial("audio-classification", path, "frozen", labels=LABELS, max_length=128)
    rows = clips([0.4, 0.41, 0.42, 0.4])
    examples = task.examples(task.prepare(rows, trial.model, 128), trial.model, trial.dataset)
    network: Any = Workspace(CPU).network(trial, task, own_head=False)
    with torch.inference_mode():
        together = network.features(examples.batch(np.arange(4), 24, CPU).inputs)
        for row in range(4):
            assert torch.equal(network.features(examples.batch(np.array([row]), 48, CPU).inputs)[0], together[row])


@pytest.mark.parametrize("method", ["frozen", "full", "lora", "top_layers", "gradual_unfreeze", "nearest_neighbors"])
def test_every_method_that_makes_sense_fits(tmp_path: Path, method: str) -> None:
    path = save(tmp_path / "group", "group")
    given = {"epochs": 1, "batch_size": 4} if method in ("full", "lora", "top_layers", "gradual_unfreeze") else {}
    records = records_of(
        make_trial("audio-classification", path, method, given=given, labels=(*LABELS[:2], "rain"), max_length=128),
        clips([0.2, 0.3, 0.4, 0.5, 0.3, 0.4]),
    )
    assert records.num_rows == 6


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix"])
def test_learned_positions_are_refused_in_a_line(tmp_path: Path, method: str) -> None:
    trial = make_trial("audio-classification", save(tmp_path / "group", "group"), method, labels=LABELS, max_length=128)
    with pytest.raises(IncompatibleError, match="reads sound, which has no place for learned positions"):
        records_of(trial, clips([0.3, 0.4, 0.5]))


def test_a_model_of_texts_and_an_instruction_are_refused_before_anything_starts(tiny_bert: Path) -> None:
    task = get_task("audio-classification")
    with pytest.raises(IncompatibleError, match="bert reads no sounds; audio-classification needs an audio model"):
        check(ModelSpec(reference=str(tiny_bert)), task, LABELS, "full")
    with pytest.raises(IncompatibleError, match="no place for an instruction"):
        check(ModelSpec(reference="arch:wav2vec2", instruction="Hear: "), task, LABELS, "full")


def test_a_torn_checkpoint_says_which_file(tmp_path: Path) -> None:
    path = save(tmp_path / "group", "group")
    (path / "preprocessor_config.json").write_text("{torn")
    with pytest.raises(ModelError, match=f"{path}: no feature extractor of transformers"):
        open_audio_processor(ModelSpec(reference=str(path)))
