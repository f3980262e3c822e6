"""The `raybench` command, and `python -m raybench` where it is not on the path."""

import gc

from raybench.commands.stops import leave_on_stop

__all__ = ["main"]


def main() -> None:
    """The entry point: a stop is told while the command line is still being imported."""
    leave_on_stop()
    gc.disable()  # as core/uncollected.py, which would import all of core for it
    from raybench.cli import main as run_command

    gc.freeze()
    gc.enable()
    run_command()


if __name__ == "__main__":
    main()
