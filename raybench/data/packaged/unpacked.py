"""Files of packages that are not Python's: of a Debian package, installed or unpacked into a directory."""

from __future__ import annotations

from pathlib import Path

from raybench.core.errors import DataError

__all__ = ["debian_file"]


def debian_file(root: str, name: str, package: str) -> Path:
    """The file `name` of a Debian package under `root` ("/" where the package is installed).

    Raises:
        DataError: it is not there; the message says how to get it.
    """
    path = Path(root) / name
    if not path.is_file():
        raise DataError(
            f"{path} is not there: apt-get install {package}, or: apt-get download {package}; dpkg-deb -x "
            f"{package}_*.deb DIR; and config: DIR, a full path",
            key=("source",),
        )
    return path
