"""Standard output and error as they are: a terminal that lacks a character gets its plain form, a full disk is told.

output_console()             # of rich, for tables
degrade(sys.stdout)          # "1 – 3 × 2" is "1 - 3 x 2" where only ASCII can be shown
output_error(error)          # the error again where it is of what was printed, or None
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["degrade", "output_console", "output_error"]

_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "×": "x", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "’": "'", "·": "."}
    | {bar: str(height) for height, bar in enumerate("▁▂▃▄▅▆▇█", start=1)}
)
_OF_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}
_FILE_COLUMNS = 200  # where no terminal has a width: nobody wants names folded in a log
_HANDLER = "raybench.plain"


def output_console() -> Console:
    """As wide as the terminal; a file or a pipe has room for whole names, unless COLUMNS says otherwise."""
    from rich.console import Console  # which --help can do without

    console = Console(highlight=False)
    if not (console.is_terminal or console.is_jupyter or os.environ.get("COLUMNS")):
        console.width = _FILE_COLUMNS
    return console


def degrade(stream: TextIO) -> None:
    """Let a stream write what its encoding lacks in plain characters, all else as escapes."""
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(_HANDLER, _plain)
        stream.reconfigure(errors=_HANDLER)


def output_error(error: BaseException) -> OSError | None:
    """The error of standard output, where it is what failed: writing fails once more. It is silent from then on."""
    if not isinstance(error, OSError) or error.errno not in _OF_OUTPUT:
        return None
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # or the interpreter would say it again, at length, when it ends
        return error
    return None


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    shown = text.translate(_PLAIN)
    return shown.encode("ascii", "backslashreplace").decode("ascii"), error.end
