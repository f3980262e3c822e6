"""Encoded sounds as samples: what data checks and tasks decode.

    samples = read_sound(data, 16_000)       # float32 [T], mono, at that rate
    sound_shape(data).at(16_000)             # T, from the header alone

Files are read by libsndfile (wav, flac, ogg, mp3, aiff …), channels are averaged, rates are changed by soxr at its
highest quality. No video, and no AAC.
"""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

import numpy as np

from raybench.core.errors import DataError, summary

__all__ = ["Shape", "check_sound", "read_sound", "sound_shape", "wav"]

_BLOCK = 1 << 18  # samples decoded at once where they are only checked
_HIGHEST = 1 << 20  # Hz; what is above is no sound
_STREAMED = (0, 0xFFFFFFFF)  # sizes in the header of a wav that was written to a pipe
_UNREAD = "not a sound that can be decoded"


class Shape(NamedTuple):
    """Samples of each channel, samples a second."""

    frames: int
    rate: int

    def at(self, rate: int) -> int:
        """How many samples there are at another rate."""
        return -(-self.frames * rate // self.rate)


def sound_shape(data: bytes) -> Shape:
    """What the file's header says, without decoding it; DataError for what is no sound."""
    with _opened(data) as file:
        return Shape(file.frames, file.samplerate)


def read_sound(data: bytes, rate: int) -> np.ndarray:
    """float32 [T], the mean of the channels at `rate`; T as `Shape.at` says. DataError for what cannot be decoded."""
    with _opened(data) as file:
        shape = Shape(file.frames, file.samplerate)
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except Exception as error:  # a torn file can make a decoder raise anything
            raise DataError(f"{_UNREAD}: {summary(error)}") from None
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if shape.rate != rate:
        import soxr

        mono = soxr.resample(mono, shape.rate, rate, quality="VHQ")
    wanted = shape.at(rate)
    fitted: np.ndarray = np.ascontiguousarray(mono[:wanted], dtype=np.float32)
    return np.pad(fitted, (0, wanted - len(fitted)))


def check_sound(data: bytes) -> None:
    """Decode it once; DataError that says what is wrong with one that is torn, empty or no sound."""
    with _opened(data) as file:
        if lacking := _lacking(data):
            raise DataError(f"{_UNREAD}: it is torn, {lacking} bytes of samples are not there")
        if file.frames < 1:
            raise DataError("it holds no sound: 0 samples")
        try:
            read = sum(len(block) for block in file.blocks(blocksize=_BLOCK, dtype="float32"))
        except Exception as error:
            raise DataError(f"{_UNREAD}: {summary(error)}") from None
        if read < file.frames:
            raise DataError(f"{_UNREAD}: it is torn after {read} of {file.frames} samples")


def wav(samples: np.ndarray, rate: int) -> bytes:
    """float32 samples [T] or [T, channels] as a file; equal sounds, equal bytes.

    Not by libsndfile, which writes the time of day into a wav of floats.
    """
    from scipy.io import wavfile

    written = io.BytesIO()
    wavfile.write(written, rate, np.ascontiguousarray(samples, dtype=np.float32))
    return written.getvalue()


def _opened(data: bytes) -> Any:
    try:
        import soundfile
        import soxr  # noqa: F401 - told here, not at the first sound of another rate
    except ImportError as error:
        raise DataError(f"sounds need soundfile and soxr: pip install 'raybench[audio]' ({error})") from error
    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except Exception as error:
        what = "it is empty" if not data else f"it begins with {data[:12]!r}"
        raise DataError(f"{_UNREAD} (wav, flac, ogg, mp3, aiff): {what} ({summary(error)})") from None
    if not 0 < file.samplerate <= _HIGHEST:
        raise DataError(f"{_UNREAD}: it says {file.samplerate} samples a second")
    return file


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
