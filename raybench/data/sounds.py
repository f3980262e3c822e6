"""Sounds in the forms that sources have them, as one: the bytes of an encoded file, hashed as they are.

column = canonical_sounds(cells, "audio", directory)     # large_binary, whatever the source had
check_sounds(column, names)                              # each decodes; what is decoded is not kept
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError
from raybench.core.sounds import check_sound, wav

__all__ = ["canonical_sounds", "check_sounds", "sound_array"]


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
            return _column([None if cell is None else _encoded(cell, source, row) for row, cell in cells])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _column([_file(path, directory) for path in column.to_pylist()])
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.large_binary())
    raise DataError(
        f"audio column {source!r} holds {kind}; want paths, bytes of files, or structs of array and sampling_rate"
    )


def sound_array(sounds: list[tuple[np.ndarray, int]]) -> pa.Array:
    """float32 samples [T] or [T, channels] and their rates as a column."""
    return pa.array([wav(samples, rate) for samples, rate in sounds], pa.large_binary())


def check_sounds(column: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    """The column as it is, each sound decoded once; DataError with a name of `names` for one that cannot be."""
    for data, name in zip(column.to_pylist(), names, strict=True):
        try:
            check_sound(data)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    return column


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
    if samples.ndim not in (1, 2) or not isinstance(rate, int) or rate < 1:
        raise DataError(
            f"audio column {source!r}, row {row}: samples {list(samples.shape)} at {rate!r}; want [T] or "
            "[channels, T] and samples a second"
        )
    if not np.isfinite(samples).all():
        raise DataError(f"audio column {source!r}, row {row}: a sample is not finite")
    return wav(samples, rate)


def _column(cells: list[bytes | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.large_binary())])
