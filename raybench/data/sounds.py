"""Sounds in the forms that sources have them, as one: the bytes of an encoded file; and decoding, a batch's work.

    column = canonical_sounds(cells, "audio", directory)     # large_binary, whatever the source had
    samples = read_sound(data, 16_000)                       # float32 [T], mono, at that rate

Files are read by libsndfile (wav, flac, ogg, mp3, aiff …), channels are averaged, rates are changed by soxr at its
highest quality. Does not read video, and no AAC.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError, summary
from raybench.data.images import image_paths

__all__ = ["Shape", "canonical_sounds", "check_sounds", "read_sound", "sound_array", "sound_paths", "sound_shape"]

_BLOCK = 1 << 18  # samples decoded at once where they are only checked
_HIGHEST = 1 << 20  # Hz; what is above is no sound
_STREAMED = (0, 0xFFFFFFFF)  # sizes in the header of a wav that was written to a pipe


class Shape(NamedTuple):
    """Samples of each channel, samples a second."""

    frames: int
    rate: int

    def at(self, rate: int) -> int:
        """How many samples there are at another rate."""
        return -(-self.frames * rate // self.rate)


def canonical_sounds(column: pa.ChunkedArray, source: str, directory: Path) -> pa.ChunkedArray:
    """A column of sounds as encoded bytes; paths start at `directory`, samples become a wav of 32-bit floats.

    Raises:
        DataError: cells that are no sounds, or a file that cannot be read.
    """
    kind = column.type
    if pa.types.is_struct(kind):
        names = {field.name for field in kind}
        if "bytes" in names:  # the Audio feature of `datasets`
            paths = pc.struct_field(column, "path").to_pylist() if "path" in names else [None] * len(column)
            pairs = zip(pc.struct_field(column, "bytes").to_pylist(), paths, strict=True)
            return _column([data if data is not None else _file(path, directory) for data, path in pairs])
        if {"array", "sampling_rate"} <= names:
            cells = enumerate(column.to_pylist())
            return _column([None if one is None else _encoded(one, source, row) for row, one in cells])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _column([_file(path, directory) for path in column.to_pylist()])
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.large_binary())
    raise DataError(
        f"audio column {source!r} holds {kind}; want paths, bytes of files, or structs of array and sampling_rate"
    )


def sound_paths(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The paths in a column of sounds, or None where it has none."""
    return image_paths(column)


def sound_array(sounds: list[tuple[np.ndarray, int]]) -> pa.Array:
    """float32 samples [T] or [T, channels] and their rates as a column."""
    return pa.array([_wav(samples, rate) for samples, rate in sounds], pa.large_binary())


def check_sounds(column: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    """The column as it is, each sound decoded once; DataError with a name of `names` for one that cannot be."""
    for data, name in zip(column.to_pylist(), names, strict=True):
        try:
            _decode_all(data)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    return column


def sound_shape(data: bytes) -> Shape:
    """What the file's header says, without decoding it."""
    with _opened(data) as file:
        return Shape(file.frames, file.samplerate)


def read_sound(data: bytes, rate: int) -> np.ndarray:
    """float32 [T], the mean of the channels at `rate`; T as `Shape.at` says."""
    with _opened(data) as file:
        shape = Shape(file.frames, file.samplerate)
        samples = file.read(dtype="float32", always_2d=True)
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if shape.rate != rate:
        import soxr

        mono = soxr.resample(mono, shape.rate, rate, quality="VHQ")
    wanted = shape.at(rate)
    fitted: np.ndarray = np.ascontiguousarray(mono[:wanted], dtype=np.float32)
    return np.pad(fitted, (0, wanted - len(fitted)))


def _opened(data: bytes) -> Any:
    try:
        import soundfile
        import soxr  # noqa: F401 - told here, not at the first sound of another rate
    except ImportError as error:
        raise DataError(f"sounds need soundfile and soxr: pip install 'raybench[audio]' ({error})") from error
    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except Exception as error:  # a torn file can make a decoder raise anything
        what = "it is empty" if not data else f"it begins with {data[:12]!r}: {summary(error)}"
        raise DataError(f"not a sound that can be decoded (wav, flac, ogg, mp3, aiff): {what}") from None
    if not 0 < file.samplerate <= _HIGHEST:
        raise DataError(f"not a sound that can be decoded: it says {file.samplerate} samples a second")
    return file


def _decode_all(data: bytes) -> None:
    with _opened(data) as file:
        if lacking := _lacking(data):
            raise DataError(f"not a sound that can be decoded: it is torn, {lacking} bytes of samples are not there")
        if file.frames < 1:
            raise DataError("it holds no sound: 0 samples")
        try:
            read = sum(len(block) for block in file.blocks(blocksize=_BLOCK, dtype="float32"))
        except Exception as error:
            raise DataError(f"not a sound that can be decoded: {summary(error)}") from None
        if read < file.frames:
            raise DataError(f"not a sound that can be decoded: it is torn after {read} of {file.frames} samples")


def _lacking(data: bytes) -> int:
    """How many bytes a wav's header promises that are not there; libsndfile reads what there is without a word."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return 0
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        if name == b"data":
            return 0 if size in _STREAMED else max(0, place + 8 + size - len(data))
        place += 8 + size + size % 2
    return 0


def _file(path: str | None, directory: Path) -> bytes | None:
    if path is None:
        return None
    try:
        return (directory / path).read_bytes()
    except OSError as error:
        raise DataError(f"sound {path} cannot be read: {error.strerror}") from None


def _encoded(cell: dict[str, Any], source: str, row: int) -> bytes:
    rate, samples = cell["sampling_rate"], np.asarray(cell["array"], dtype=np.float32)
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:  # `datasets` has channels first
        samples = samples.T
    if samples.ndim not in (1, 2) or not isinstance(rate, int) or not 0 < rate <= _HIGHEST:
        raise DataError(
            f"audio column {source!r}, row {row}: samples {list(samples.shape)} at {rate!r}; want [T] or "
            "[channels, T] and samples a second"
        )
    if not np.isfinite(samples).all():
        raise DataError(f"audio column {source!r}, row {row}: a sample is not finite")
    return _wav(samples, rate)


def _wav(samples: np.ndarray, rate: int) -> bytes:
    """Not by libsndfile, which writes the time of day into a wav of floats, so equal sounds would get other ids."""
    from scipy.io import wavfile

    written = io.BytesIO()
    wavfile.write(written, rate, np.ascontiguousarray(samples, dtype=np.float32))
    return written.getvalue()


def _column(cells: list[bytes | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.large_binary())])
