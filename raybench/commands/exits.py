"""How a command ends: one line and an exit code for whatever ends it otherwise than by its end.

    with exit_codes(debug):
        ...

0 all well, 1 some trials did not end well (or a regression), 2 something to mend (or what could not be told),
3 a bug of ours, 130 stopped by Ctrl-C or SIGTERM, 141 nobody reads the output any more.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from raybench.commands.stops import STOPPED, STOPS

__all__ = ["Debug", "exit_codes", "tell_output_error"]

Debug = Annotated[bool, typer.Option("--debug", help="show tracebacks")]


@contextmanager
def exit_codes(debug: bool) -> Iterator[None]:
    from raybench.core.errors import RaybenchError

    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    try:
        for number in STOPS:
            signal.signal(number, stop)
        try:
            yield
        finally:
            sys.stdout.flush()
    except RaybenchError as error:
        if asked:
            _fail(130, STOPPED)
        if debug:
            raise
        _fail(2, str(error))
    except KeyboardInterrupt:
        exec("")  # CPython ends by SIGINT once one has passed through an exec'd text; the next such text forgets it
        _fail(130, STOPPED)
    except SystemExit as ended:
        if ended.code != signal.SIGTERM:
            raise
        _fail(130, STOPPED)  # while Ray starts, its own handler of SIGTERM exits so
    except typer.Exit:
        raise
    except Exception as error:
        if asked:  # a library's callback has made another error of it, as pydantic does while it builds a model
            _fail(130, STOPPED)
        tell_output_error(error)
        if debug:
            raise
        _fail(3, f"unexpected {type(error).__name__}: {error}; --debug shows where")


def tell_output_error(error: Exception) -> None:
    """Leave with a line where standard output is what failed; silently where its reader has gone, as `head` does."""
    from raybench.report.output import output_error

    found = output_error(error)
    if isinstance(found, BrokenPipeError):
        raise typer.Exit(141)
    if found is not None:
        _fail(2, f"standard output cannot be written: {found.strerror}; what was computed is in the store")


def _fail(code: int, message: str) -> None:
    print(message, file=sys.stderr)
    raise typer.Exit(code)
