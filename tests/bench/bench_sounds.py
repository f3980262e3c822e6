"""Scoring sounds, encoded bytes to texts or labels: raybench against transformers' pipelines in one run.

    python tests/bench/bench_sounds.py WAVS --rows 40 [--whisper jobs/whisper-tiny-en]

WAVS is a directory of the prompts of a telephone exchange (Debian's asterisk-core-sounds-en-wav, 8 kHz); `--whisper` is
what `python -m raybench.data.packaged.whisper_tiny` writes. The other networks are random ones of wav2vec 2.0's kind,
one with a head of letters, one with a head of labels. Both sides decode by libsndfile, bring to 16 kHz by soxr, extract
and forward in this process, float32, one thread of torch, by its processor seconds; the pipeline with the best of its
batch sizes. What is told is counted where it differs.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import torch
from scored_alone import Told, against, records_of

RATE = 16_000
LABELS = tuple(f"label {number}" for number in range(10))
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVKXJQZ'"]
SHAPE = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024,
         "conv_dim": [128] * 7, "initializer_range": 0.2}  # fmt: skip


def save_models(folder: Path) -> tuple[Path, Path]:
    import transformers as t

    torch.manual_seed(0)
    letters, labels = folder / "letters", folder / "labels"
    t.Wav2Vec2ForCTC(
        t.Wav2Vec2Config(**SHAPE, feat_extract_norm="layer", vocab_size=len(LETTERS), pad_token_id=0)
    ).save_pretrained(letters)
    (letters / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(LETTERS)}))
    t.Wav2Vec2CTCTokenizer(letters / "vocab.json").save_pretrained(letters)
    named = {"id2label": dict(enumerate(LABELS)), "label2id": {name: place for place, name in enumerate(LABELS)}}
    t.Wav2Vec2ForSequenceClassification(t.Wav2Vec2Config(**SHAPE, feat_extract_norm="layer", **named)).save_pretrained(
        labels
    )
    for place in (letters, labels):
        t.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(place)
    return letters, labels


def of_raybench(task: str, path: Path, files: list[Path]) -> Told:
    rows = pa.table(
        {
            "id": [str(file) for file in files],
            "audio": pa.array([file.read_bytes() for file in files], pa.large_binary()),
            "text": [""] * len(files),
            "label": pa.array([0] * len(files), pa.int32()),
        }
    )
    records = records_of(task, path, rows, LABELS if task == "audio-classification" else ())
    if task == "audio-classification":
        told = [LABELS[place] for place in records["prediction"].to_pylist()]
    else:
        told = [" ".join(text.split()) for text in records["hypothesis"].to_pylist()]
    return dict(zip(records["id"].to_pylist(), told, strict=True))


def of_pipeline(task: str, path: Path, files: list[Path], batch_size: int) -> Told:
    import soundfile
    import soxr
    from transformers import pipeline

    def sounds() -> Any:
        for file in files:
            samples, rate = soundfile.read(io.BytesIO(file.read_bytes()), dtype="float32")
            yield {"raw": soxr.resample(samples, rate, RATE, quality="VHQ"), "sampling_rate": RATE}

    name = "automatic-speech-recognition" if task == "speech-recognition" else task
    opened = pipeline(name, model=str(path), batch_size=batch_size, device="cpu", dtype=torch.float32)
    if task == "audio-classification":
        found = [one[0]["label"] for one in opened(sounds(), top_k=1)]
    else:
        greedy = {"generate_kwargs": {"num_beams": 1}} if opened.model.config.is_encoder_decoder else {}
        found = [" ".join(one["text"].split()) for one in opened(sounds(), **greedy)]
    return dict(zip(map(str, files), found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wavs", type=Path)
    parser.add_argument("--whisper", type=Path)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 8])
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(given.wavs.rglob("*.wav"))
    files = files[:: max(1, len(files) // given.rows)][: given.rows]
    with TemporaryDirectory() as folder:
        letters, labels = save_models(Path(folder))
        asked = [
            ("wav2vec 2.0, letters", "speech-recognition", letters),
            ("wav2vec 2.0, labels", "audio-classification", labels),
        ]
        if given.whisper is not None:
            asked.append(("Whisper tiny.en", "speech-recognition", given.whisper))
        for name, task, path in asked:
            of_raybench(task, path, files[:2])
            of_pipeline(task, path, files[:2], 1)
            against(
                name,
                lambda task=task, path=path: of_raybench(task, path, files),
                lambda size, task=task, path=path: of_pipeline(task, path, files, size),
                given.sizes, given.repeats, "sounds",
            )  # fmt: skip


if __name__ == "__main__":
    main()
