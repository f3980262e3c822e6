"""Sounds from files, folders, Parquet, hub sets and arrays are one column of encoded bytes; what is torn is named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.core.sounds import check_sound, read_sound, sound_shape, wav
from tests.tasks.tiny_audio import tone

SOUNDS = (Column("audio", "audio"), Column("label", "label", role="target"))
SPEECH = (Column("audio", "audio"), Column("text", "text", role="target"))
RATE = 16_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six sounds in folders of train and test, two labels."""
    for place in range(6):
        path = tmp_path / "sounds" / ("test" if place > 3 else "train") / f"low{place % 2}" / f"{place}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(place, 0.3), RATE)
    return tmp_path / "sounds"


def bytes_of(loaded: Any, split: str) -> set[bytes]:
    return set(loaded.splits[split]["audio"].to_pylist())


def test_a_folder_has_labels_by_folder_and_the_bytes_of_its_files(load: Callable[..., Any], folder: Path) -> None:
    found = load("audiofolder", data_files=str(folder), columns=SOUNDS)
    assert found.labels == ("low0", "low1")
    assert bytes_of(found, "train") == {path.read_bytes() for path in folder.glob("train/*/*.wav")}
    assert found.splits["test"].num_rows == 2


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_says_what_each_sound_of_a_folder_is(load: Callable[..., Any], folder: Path, kind: str) -> None:
    for split in ("train", "test"):
        names = sorted(path.relative_to(folder / split) for path in folder.glob(f"{split}/*/*.wav"))
        lines = [f'{{"file_name": "{name}", "said": "{name.stem}"}}' for name in names]
        if kind == "csv":
            lines = ["file_name,said", *(f"{name},{name.stem}" for name in names)]
        (folder / split / f"metadata.{kind}").write_text("\n".join(lines))
    found = load("audiofolder", data_files=str(folder), columns=SPEECH, columns_given={"text": "said"})
    said = {row["text"]: row["audio"] for table in found.splits.values() for row in table.to_pylist()}
    assert said == {path.stem: path.read_bytes() for path in folder.glob("*/*/*.wav")}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("train/low0/9.wav,x", "which is not there or is no sound"),
        ("", "1 sounds are not named in"),
        ("train/low1/3.wav,x\ntrain/low1/3.wav,y", "more than once"),
    ],
)
def test_metadata_that_does_not_fit_its_folder_is_one_line(
    wrong: Callable[..., str], folder: Path, line: str, told: str
) -> None:
    rows = "\n".join(f"train/low{place % 2}/{place}.wav,x" for place in range(3))
    (folder / "metadata.csv").write_text(f"file_name,said\n{rows}\n{line}\n".replace("train/", ""))
    (folder / "metadata.csv").rename(folder / "train" / "metadata.csv")
    message = wrong("audiofolder", data_files=str(folder), columns=SPEECH, columns_given={"text": "said"})
    assert told in message
    assert str(folder / "train" / "metadata.csv") in message


def test_ids_are_by_content_whatever_holds_the_bytes(load: Callable[..., Any], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    sounds = [wav(tone(place, 0.2), RATE) for place in range(6)]
    labels = ["a", "b"] * 3
    for place, data in enumerate(sounds):
        (tmp_path / f"{place}.wav").write_bytes(data)
    paths = [str(tmp_path / f"{place}.wav") for place in range(6)]
    hub = datasets.Dataset.from_dict({"audio": paths, "label": labels}).cast_column("audio", datasets.Audio())
    hub.save_to_disk(str(tmp_path / "hub"))
    structs = [{"bytes": data, "path": None} for data in sounds]
    pa.parquet.write_table(pa.table({"audio": structs, "label": labels}), tmp_path / "rows.parquet")
    pa.parquet.write_table(pa.table({"audio": paths, "label": labels}), tmp_path / "paths.parquet")
    arrays = [{"array": tone(place, 0.2).tolist(), "sampling_rate": RATE} for place in range(6)]
    pa.parquet.write_table(pa.table({"audio": arrays, "label": labels}), tmp_path / "arrays.parquet")
    files = [load(str(tmp_path / f"{name}.parquet"), columns=SOUNDS) for name in ("rows", "paths", "arrays")]
    loaded = [load(str(tmp_path / "hub"), columns=SOUNDS), *files]
    assert len({one.fingerprint for one in loaded}) == 1
    assert loaded[0].splits["train"]["audio"].type == pa.large_binary()


def test_a_sound_is_decoded_mixed_and_brought_to_the_rate(tmp_path: Path) -> None:
    time = np.arange(8000) / 8000
    left, right = 0.5 * np.sin(2 * np.pi * 440 * time), 0.25 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "two.flac", np.stack([left, right], axis=1), 8000)
    data = (tmp_path / "two.flac").read_bytes()
    samples = read_sound(data, RATE)
    assert sound_shape(data) == (8000, 8000)
    assert len(samples) == sound_shape(data).at(RATE) == RATE
    wanted = 0.375 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(samples[500:-500], wanted[500:-500], atol=2e-4)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
def test_the_usual_files_are_read(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, tone(1, 1.0), RATE)
    data = (tmp_path / name).read_bytes()
    check_sound(data)
    own, wanted = read_sound(data, RATE), tone(1, 1.0)
    assert abs(len(own) - RATE) < 2000
    assert np.corrcoef(own[: len(wanted)], wanted[: len(own)])[0, 1] > 0.95 or name == "x.mp3"


def test_equal_samples_have_equal_bytes() -> None:
    assert wav(tone(1, 0.1), RATE) == wav(tone(1, 0.1), RATE)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[: len(data) // 2], "it is torn"),
        (lambda data: b"", "it is empty"),
        (lambda data: b"<html>no sound</html>", "it begins with b'<html>no sou'"),
        (lambda data: wav(np.zeros(0, np.float32), RATE), "it holds no sound: 0 samples"),
    ],
)
def test_a_torn_file_is_named_by_its_path(
    wrong: Callable[..., str], folder: Path, spoil: Callable[[bytes], bytes], told: str
) -> None:
    file = folder / "train" / "low1" / "1.wav"
    file.write_bytes(spoil(file.read_bytes()))
    message = wrong("audiofolder", data_files=str(folder), columns=SOUNDS)
    assert str(file) in message
    assert told in message


def test_a_flac_that_ends_early_is_torn(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.flac", tone(2, 2.0), RATE)
    with pytest.raises(DataError, match="not a sound that can be decoded"):
        check_sound((tmp_path / "x.flac").read_bytes()[:20_000])


def test_cells_that_are_no_sounds_say_what_would_do(wrong: Callable[..., str]) -> None:
    message = wrong([{"audio": 3, "label": "a"}, {"audio": 4, "label": "b"}], columns=SOUNDS)
    assert "audio column 'audio' holds int64; want paths, bytes of files, or structs of array" in message


def test_without_its_library_a_sound_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match=r"pip install 'raybench\[audio\]'"):
        sound_shape(wav(tone(1, 0.1), RATE))
