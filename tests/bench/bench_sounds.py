"""Scoring sounds, encoded bytes to texts or labels: raybench against transformers' pipelines in one run.

    python tests/bench/bench_sounds.py WAVS --rows 40 [--whisper jobs/whisper-tiny-en]
    python tests/bench/bench_sounds.py WAVS --rows 96 --clock [--whisper jobs/whisper-tiny-en] [--only Whisper]

WAVS is a directory of the prompts of a telephone exchange (Debian's asterisk-core-sounds-en-wav, 8 kHz); `--whisper` is
what `python -m raybench.data.packaged.whisper_tiny` writes. The other networks are random ones of wav2vec 2.0's kind,
one with a head of letters, one with a head of labels. Both sides decode by libsndfile, bring to 16 kHz by soxr, extract
and forward in this process, float32, one thread of torch, by its processor seconds; the pipeline with the best of its
batch sizes. What is told is counted where it differs. `--clock` measures what two cores give (`by_clock.py`); it wants
a quiet machine.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import soundfile
import torch
from by_clock import Setting, TwoProcesses, against_by_clock, settings_of, two_cores
from scored_alone import Told, against, records_of

RATE = 16_000
LONGEST = 30.0  # seconds: of more a Whisper of the pipeline wants to be told how
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


def rows_of(files: list[Path]) -> pa.Table:
    return pa.table(
        {
            "id": [str(file) for file in files],
            "audio": pa.array([file.read_bytes() for file in files], pa.large_binary()),
            "text": [""] * len(files),
            "label": pa.array([0] * len(files), pa.int32()),
        }
    )


def labels_of(task: str) -> tuple[str, ...]:
    return LABELS if task == "audio-classification" else ()


def told_by(task: str) -> Callable[[pa.Table], Told]:
    def told(records: pa.Table) -> Told:
        if task == "audio-classification":
            said = [LABELS[place] for place in records["prediction"].to_pylist()]
        else:
            said = [" ".join(text.split()) for text in records["hypothesis"].to_pylist()]
        return dict(zip(records["id"].to_pylist(), said, strict=True))

    return told


def of_raybench(task: str, path: Path, files: list[Path]) -> Told:
    return told_by(task)(records_of(task, path, rows_of(files), labels_of(task)))


class Sounds(torch.utils.data.Dataset):
    """What a pipeline reads, decoded when it is asked for: in a worker of the loader where there is one."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> dict[str, Any]:
        import soundfile
        import soxr

        samples, rate = soundfile.read(io.BytesIO(self.files[place].read_bytes()), dtype="float32")
        return {"raw": soxr.resample(samples, rate, RATE, quality="VHQ"), "sampling_rate": RATE}


def open_pipeline(task: str, path: Path) -> Any:
    from transformers import pipeline

    name = "automatic-speech-recognition" if task == "speech-recognition" else task
    return pipeline(name, model=str(path), device="cpu", dtype=torch.float32)


def told_of(task: str, opened: Any, files: list[Path], **how: int) -> Told:
    if task == "audio-classification":
        found = [one[0]["label"] for one in opened(Sounds(files), top_k=1, **how)]
    else:
        greedy = {"generate_kwargs": {"num_beams": 1}} if opened.model.config.is_encoder_decoder else {}
        found = [" ".join(one["text"].split()) for one in opened(Sounds(files), **greedy, **how)]
    return dict(zip(map(str, files), found, strict=True))


def by_clock(name: str, task: str, path: Path, files: list[Path], given: argparse.Namespace) -> None:
    opened = open_pipeline(task, path)

    def theirs(count: int, setting: Setting) -> Told:
        torch.set_num_threads(setting.threads)
        return told_of(task, opened, files[:count], batch_size=setting.batch_size, num_workers=setting.workers)

    ours = TwoProcesses(task, path, labels_of(task), told_by(task))
    first = min(given.first, len(files))
    # of more than one worker the pipeline that writes makes one
    settings = settings_of((0, 1, 2) if task == "audio-classification" else (0, 1), given.sizes)
    against_by_clock(name, ours, rows_of(files), theirs, settings, first, given.repeats, "sounds")
    ours.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wavs", type=Path)
    parser.add_argument("--whisper", type=Path)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--clock", action="store_true")
    parser.add_argument("--first", type=int, default=16, help="by the clock: rows that choose the pipeline's settings")
    parser.add_argument("--only", default="", help="networks whose names begin so")
    given = parser.parse_args()
    if given.clock:
        two_cores()
    else:
        torch.set_num_threads(1)
    files = [file for file in sorted(given.wavs.rglob("*.wav")) if soundfile.info(file).duration <= LONGEST]
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
            if not name.startswith(given.only):
                continue
            if given.clock:
                by_clock(name, task, path, files, given)
                continue
            of_raybench(task, path, files[:2])
            told_of(task, open_pipeline(task, path), files[:2])
            against(
                name,
                lambda task=task, path=path: of_raybench(task, path, files),
                lambda size, task=task, path=path: told_of(task, open_pipeline(task, path), files, batch_size=size),
                given.sizes, given.repeats, "sounds",
            )  # fmt: skip


if __name__ == "__main__":
    main()
