"""What is said in a sound: equal to transformers' pipeline on the same checkpoints and rows, and no window is lost."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import pipeline

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.core.sounds import read_sound
from raybench.data.sounds import sound_array
from raybench.metrics import MetricSet, evaluate
from raybench.metrics.text import transform
from raybench.runtime.workspace import Workspace
from raybench.tasks.audio_windows import quiet_cuts
from raybench.tasks.catalog import get_task
from raybench.tasks.letters import ByteAlphabet, OwnAlphabet
from raybench.tasks.task import LossOptions
from tests.tasks.as_planned import check
from tests.tasks.tiny_audio import RATE, WAV2VEC2, save_ctc, save_whisper, sounds, tone
from tests.tasks.trials import CPU, make_trial, records_of

TASK = "speech-recognition"


def clips(seconds: list[float]) -> pa.Table:
    made = [(tone(place, one), RATE) for place, one in enumerate(seconds)]
    texts = ["ten suns", "", "a note", "red", "nine", "one east"][: len(made)]
    return pa.table({"id": [f"s{i}" for i in range(len(made))], "audio": sound_array(made), "text": texts})


def heard_by_the_pipeline(path: Path, rows: pa.Table, **generate: Any) -> list[str]:
    told = pipeline("automatic-speech-recognition", model=str(path), device="cpu", dtype=torch.float32)
    options = {"generate_kwargs": generate} if generate else {}
    return [told(read_sound(data, RATE), **options)["text"].strip() for data in rows["audio"].to_pylist()]


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_letters_are_those_of_the_pipeline(tmp_path: Path, norm: str) -> None:
    path, rows = save_ctc(tmp_path / "ctc", norm=norm), clips([0.2, 0.9, 0.55, 1.5, 0.9])
    records = records_of(make_trial(TASK, path, max_length=128), rows)
    assert records["hypothesis"].to_pylist() == heard_by_the_pipeline(path, rows)
    assert len(set(records["hypothesis"].to_pylist())) > 3


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("languages", [False, True])
def test_whisper_writes_what_the_pipeline_writes(tmp_path: Path, languages: bool) -> None:
    path, rows = save_whisper(tmp_path / "whisper", languages=languages), clips([0.2, 0.9, 0.55, 1.0, 0.7, 0.3])
    records = records_of(make_trial(TASK, path, max_length=128, max_new_tokens=12), rows)
    wanted = heard_by_the_pipeline(path, rows, num_beams=1, max_new_tokens=12)
    assert records["hypothesis"].to_pylist() == wanted
    assert len(set(wanted)) > 2


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_whisper_searches_beams_as_the_pipeline(tmp_path: Path) -> None:
    path, rows = save_whisper(tmp_path / "whisper"), clips([0.4, 0.9])
    records = records_of(make_trial(TASK, path, max_length=128, max_new_tokens=6, num_beams=3), rows)
    assert records["hypothesis"].to_pylist() == heard_by_the_pipeline(path, rows, num_beams=3, max_new_tokens=6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_language_that_is_asked_for_is_written(tmp_path: Path) -> None:
    path, rows = save_whisper(tmp_path / "whisper", languages=True), clips([0.4, 0.9])
    wanted = heard_by_the_pipeline(path, rows, num_beams=1, max_new_tokens=8, language="french")
    records = records_of(make_trial(TASK, path, max_length=128, max_new_tokens=8, language="French"), rows)
    assert records["hypothesis"].to_pylist() == wanted
    with pytest.raises(IncompatibleError, match="language 'welsh': this model writes en, fr"):
        records_of(make_trial(TASK, path, max_length=128, max_new_tokens=8, language="welsh"), rows)


def test_other_encoders_with_decoders_write_as_generate_does(tmp_path: Path, tiny_whisper: Path) -> None:
    import shutil

    from transformers import Speech2TextConfig, Speech2TextFeatureExtractor, Speech2TextForConditionalGeneration

    torch.manual_seed(4)
    end = 256
    config = Speech2TextConfig(
        vocab_size=266, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, conv_channels=16, max_target_positions=64,
        pad_token_id=1, bos_token_id=end, eos_token_id=end, decoder_start_token_id=end, init_std=0.4,
    )  # fmt: skip
    path = tmp_path / "s2t"
    Speech2TextForConditionalGeneration(config).save_pretrained(path)
    Speech2TextFeatureExtractor().save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_whisper / name, path / name)
    rows = clips([0.4, 0.9, 0.5])
    trial = make_trial(TASK, path, "full", given={"epochs": 1, "batch_size": 2}, max_length=128, max_new_tokens=6)
    assert records_of(trial, rows).num_rows == 3
    records = records_of(make_trial(TASK, path, max_length=128, max_new_tokens=6), rows)
    assert records["hypothesis"].to_pylist() == heard_by_the_pipeline(path, rows, num_beams=1, max_new_tokens=6)


@pytest.mark.parametrize("kind", ["letters", "writer"])
def test_windows_of_a_long_sound_are_all_heard_and_joined(tmp_path: Path, kind: str) -> None:
    path = save_ctc(tmp_path / "m") if kind == "letters" else save_whisper(tmp_path / "m")
    samples = tone(5, 3.3)
    starts = quiet_cuts(samples, RATE, RATE)
    bounds = [*starts, len(samples)]
    assert len(starts) > 3
    cut = sound_array([(samples[a:b], RATE) for a, b in itertools.pairwise(bounds)])
    parts = pa.table({"id": [f"w{i}" for i in range(len(cut))], "audio": cut, "text": [""] * len(cut)})
    long = pa.table({"id": ["x"], "audio": sound_array([(samples, RATE)]), "text": ["ten"]})
    trial = make_trial(TASK, path, max_length=128, max_new_tokens=6, window_seconds=1)
    each = records_of(trial, parts)["hypothesis"].to_pylist()
    assert records_of(trial, long)["hypothesis"].to_pylist() == [" ".join(filter(None, each))]
    assert all(each)


def test_cuts_are_in_pauses_and_cover_everything() -> None:
    samples = np.random.default_rng(0).normal(0, 0.3, 5 * RATE).astype(np.float32)
    pauses = [(0.85, 1.0), (1.7, 1.95), (2.6, 2.8), (3.5, 3.7), (4.4, 4.6)]
    for begin, end in pauses:
        samples[int(begin * RATE) : int(end * RATE)] = 0
    starts = quiet_cuts(samples, RATE, RATE)
    assert starts[0] == 0
    assert all(0 < step <= RATE for step in np.diff([*starts, len(samples)]))
    assert all(any(begin <= start / RATE <= end for begin, end in pauses) for start in starts[1:])


@pytest.mark.parametrize("longest", [1, 7, 160, 5000])
def test_windows_are_never_longer_than_asked_nor_empty(longest: int) -> None:
    samples = tone(1, 0.05)
    sizes = np.diff([*quiet_cuts(samples, longest, RATE), len(samples)])
    assert sizes.min() >= 1
    assert sizes.max() <= longest
    assert sizes.sum() == len(samples)


def test_a_small_network_from_scratch_learns_to_spell() -> None:
    spec = ModelSpec(reference="arch:wav2vec2", config={**WAV2VEC2, "hidden_size": 32, "hidden_dropout": 0.0,
                     "feat_extract_norm": "layer", "layerdrop": 0.0})  # fmt: skip
    time = np.arange(int(0.3 * RATE)) / RATE
    made = [(np.sin(2 * np.pi * pitch * time).astype(np.float32) * 0.4, RATE) for pitch in (200, 3000)]
    rows = pa.table({"id": ["a", "b"], "audio": sound_array(made), "text": ["Low", "Très"]})
    given = {"epochs": 80, "batch_size": 2, "learning_rate": 1e-2, "warmup": 0.05}
    records = records_of(make_trial(TASK, spec, "full", given=given, max_length=128), rows)
    assert records["hypothesis"].to_pylist() == ["low", "très"]


@pytest.mark.parametrize("kind", ["letters", "writer"])
def test_fine_tuning_lowers_the_loss_of_a_checkpoints_own_head(tmp_path: Path, kind: str) -> None:
    path, rows = (save_ctc if kind == "letters" else save_whisper)(tmp_path / "m"), clips([0.5, 0.4, 0.8, 0.3])
    task, losses = get_task(TASK, {"window_seconds": 1}), []
    for epochs in (1, 12):
        given = {"epochs": epochs, "batch_size": 4, "learning_rate": 3e-3 if epochs > 1 else 1e-9}
        trial = make_trial(TASK, path, "full", given=given, max_length=128, window_seconds=1)
        from raybench.runtime.trial import fit_trial

        losses.append(fit_trial(trial, task.prepare(rows, trial.model, 128), CPU).meta["loss"])
    assert losses[1] < 0.8 * losses[0]


def test_the_loss_of_letters_is_transformers_own(tmp_path: Path) -> None:
    from transformers import AutoModelForCTC, AutoProcessor

    path, rows = save_ctc(tmp_path / "ctc"), clips([0.6, 0.9])
    rows = rows.set_column(2, "text", pa.array(["TEN NOTES", "RED"]))
    trial = make_trial(TASK, path, max_length=128)
    task = get_task(TASK)
    examples = task.examples(task.prepare(rows, trial.model, 128), trial.model, trial.dataset)
    network: Any = Workspace(CPU).network(trial, task, own_head=True)
    batch = examples.batch(np.arange(2), 52, CPU)
    ours = task.loss(network(batch.inputs), batch, LossOptions())
    model, processor = (
        AutoModelForCTC.from_pretrained(path, ctc_loss_reduction="sum"),
        AutoProcessor.from_pretrained(path),
    )
    theirs = 0.0
    for row in rows.to_pylist():
        inputs = processor(read_sound(row["audio"], RATE), sampling_rate=RATE, return_tensors="pt")
        labels = processor.tokenizer(row["text"], return_tensors="pt").input_ids
        theirs += model.eval()(**inputs, labels=labels).loss.item()
    assert ours.item() == pytest.approx(theirs, rel=1e-5)


def test_the_loss_of_whisper_is_transformers_own(tmp_path: Path) -> None:
    from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

    path, rows = save_whisper(tmp_path / "whisper"), clips([0.6, 0.9, 0.8])
    trial = make_trial(TASK, path, max_length=128)
    task = get_task(TASK)
    examples = task.examples(task.prepare(rows, trial.model, 128), trial.model, trial.dataset)
    network: Any = Workspace(CPU).network(trial, task, own_head=True)
    batch = examples.batch(np.arange(3), 256, CPU)
    ours = task.loss(network(batch.inputs), batch, LossOptions())
    model, processor = AutoModelForSpeechSeq2Seq.from_pretrained(path).eval(), AutoProcessor.from_pretrained(path)
    theirs, count = 0.0, 0
    for row in rows.to_pylist():
        features = processor.feature_extractor(read_sound(row["audio"], RATE), sampling_rate=RATE, return_tensors="pt")
        text = processor.tokenizer(" " + row["text"], add_special_tokens=False).input_ids
        start, silent, end = (processor.tokenizer.convert_tokens_to_ids(f"<|{name}|>")
                              for name in ("startoftranscript", "notimestamps", "endoftext"))  # fmt: skip
        labels = torch.tensor([[-100, *text, end]])  # nothing is asked of the prompt
        given = torch.tensor([[start, silent, *text]])
        told = model(**features, decoder_input_ids=given, labels=labels).loss.item()
        theirs, count = theirs + told * (len(text) + 1), count + len(text) + 1
    assert examples.units(np.arange(3)) == count
    assert ours.item() == pytest.approx(theirs, rel=1e-5)


def test_nothing_is_taught_of_a_sound_of_several_windows(tmp_path: Path) -> None:
    path = save_whisper(tmp_path / "whisper")
    trial = make_trial(TASK, path, max_length=128, window_seconds=1)
    task = get_task(TASK, {"window_seconds": 1})
    network: Any = Workspace(CPU).network(trial, task, own_head=True)

    def loss_of(seconds: list[float]) -> tuple[float, int]:
        rows = clips(seconds)
        examples = task.examples(task.prepare(rows, trial.model, 128), trial.model, trial.dataset)
        batch = examples.batch(np.arange(len(rows)), 256, CPU)
        return task.loss(network(batch.inputs), batch, LossOptions()).item(), examples.units(np.arange(len(rows)))

    assert loss_of([0.5, 2.5]) == (pytest.approx(loss_of([0.5])[0], rel=1e-6), loss_of([0.5])[1])
    assert loss_of([2.5]) == (0.0, 1)


@pytest.mark.parametrize("normalizer", ["none", "basic", "english"])
def test_error_rates_are_jiwers_after_the_normaliser_that_the_records_name(tmp_path: Path, normalizer: str) -> None:
    rows = sounds(14)
    trial = make_trial(TASK, ModelSpec(reference="baseline:nearest-clip"), max_length=128, normalizer=normalizer)
    told = ["Twenty-two colours, Mr. O'Neil!", "It's $5", "um (aside) NINE nines", "ten"]
    train = rows.slice(0, 4).set_column(2, "text", pa.array(told))
    records = records_of(trial, rows, train)
    assert set(records["normalizer"].to_pylist()) == {normalizer}
    task = get_task(TASK, {"normalizer": normalizer})
    metrics = MetricSet(task.metrics, task.metric_config((), {}))
    scores = metrics.compute(metrics.states(records), lambda: records)
    pairs = [
        (transform(row["references"][0], normalizer), transform(row["hypothesis"], normalizer))
        for row in records.to_pylist()
        if transform(row["references"][0], normalizer)
    ]
    insertions = sum(len(transform(row["hypothesis"], normalizer).split()) for row in records.to_pylist()
                     if not transform(row["references"][0], normalizer))  # fmt: skip
    counted = jiwer.process_words(*(list(side) for side in zip(*pairs, strict=True)))
    words = sum(len(reference.split()) for reference, _ in pairs)
    errors = counted.substitutions + counted.deletions + counted.insertions + insertions
    assert scores["wer"].value == pytest.approx(errors / words, abs=1e-12)


def test_normalisers_are_those_that_transformers_has_of_whisper() -> None:
    import json
    from importlib.resources import files

    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    spelling = json.loads((files("whisper_normalizer") / "normalizers" / "english.json").read_text())
    basic, english = BasicTextNormalizer(), EnglishTextNormalizer(spelling)
    for text in ("Mr. Smith's colour, twenty-one (aside) [noise]", "Ünïcode ÆON — naïve", "$3.50 and a half", ""):
        assert transform(text, "basic") == basic(text).strip()
        assert transform(text, "english") == english(text).strip()


def test_letters_come_back_as_they_were_spelled(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    own, of_bytes = OwnAlphabet(AutoTokenizer.from_pretrained(save_ctc(tmp_path / "ctc"))), ByteAlphabet()
    for alphabet, said, wanted in ((own, "ten sheep, too", "TEN SHEE TOO"), (of_bytes, "été 12", "été 12")):
        letters = alphabet.encode(said)
        spread = [number for letter in letters for number in (letter, letter, alphabet.blank)]
        assert alphabet.decode(spread) == wanted


def test_what_cannot_be_is_told_before_anything_starts(tmp_path: Path, tiny_bert: Path) -> None:
    task = get_task(TASK)
    cases: list[tuple[ModelSpec, str, str]] = [
        (ModelSpec(reference=str(tiny_bert)), "full", "bert reads no sounds; speech-recognition needs an audio model"),
        (ModelSpec(reference="arch:wav2vec2"), "none", "random weights have nothing to say as they are"),
        (ModelSpec(reference="arch:wav2vec2"), "frozen", "fits a head on one vector a row"),
        (ModelSpec(reference="arch:qwen3_asr", tokenizer=str(tiny_bert)), "full", "wants a prompt in words"),
        (ModelSpec(reference=str(save_whisper(tmp_path / "w")), compile=True), "none", "is not compiled"),
    ]
    for spec, method, told in cases:
        with pytest.raises(IncompatibleError, match=told):
            check(spec, task, (), method)


def test_the_metrics_can_be_had_alone_with_whispers_normaliser() -> None:
    score = evaluate("wer", references=["It's twenty-two."], hypothesis=["it is 22"], transform="english")
    assert score.value == 0.0
