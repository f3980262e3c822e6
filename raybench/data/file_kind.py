"""What a file is by its first bytes, for the line that says why it cannot be read as what it was taken for."""

from __future__ import annotations

from raybench.core.errors import DataError

__all__ = ["HEAD_BYTES", "refuse_other_kind"]

HEAD_BYTES = 512
_UTF8 = "save it as UTF-8"
_KINDS = (
    (b"\xff\xfe\x00\x00", "text in UTF-32", _UTF8),
    (b"\x00\x00\xfe\xff", "text in UTF-32", _UTF8),
    (b"\xff\xfe", "text in UTF-16", _UTF8),
    (b"\xfe\xff", "text in UTF-16", _UTF8),
    (b"version https://git-lfs", "a git-lfs pointer, not the data", "run git lfs pull in its repository"),
    (b"PAR1", "Parquet", "say source: parquet"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack or export it"),
    (b"\x1f\x8b", "compressed with gzip", "end its name with .gz"),
    (b"BZh", "compressed with bzip2", "end its name with .bz2"),
    (b"\xfd7zXZ", "compressed with xz", "end its name with .xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "end its name with .zst"),
    (b"<!DOCTYPE", "an HTML page", "download the file itself"),
    (b"<html", "an HTML page", "download the file itself"),
)


def refuse_other_kind(head: bytes, format: str) -> None:
    """DataError for a file of rows whose first bytes are those of something else."""
    if not head:
        raise DataError("it is empty")
    for start, kind, remedy in _KINDS:
        if head.startswith(start) and not (format == "parquet" and start == b"PAR1"):
            raise DataError(f"it is {kind}; {remedy}")
    if format != "parquet" and b"\x00" in head:
        raise DataError(f"it holds zero bytes, so it is text in UTF-16 or no text at all; {_UTF8}")
