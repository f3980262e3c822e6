"""Which files of a folder are pictures, told by their names."""

from __future__ import annotations

from pathlib import Path

__all__ = ["picture_files"]

_PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def picture_files(folder: str | Path) -> list[Path]:
    """Those in a folder and below it, in the order of their paths; hidden ones are none."""
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in _PICTURES)
    return [path for path in found if not path.is_dir() and not path.name.startswith(".")]
