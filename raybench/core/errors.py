"""The exception tree: everything a user can mend is a RaybenchError and prints as one line.

RaybenchError(ValueError)     exit code 2 from the command line, never a traceback
├── JobError                  the job file: unknown key, wrong type, two candidates of one name
├── DataError                 a dataset: missing file, wrong column, empty split, label only in the test split
├── ModelError                a candidate: no config, pickle weights, unreachable hub id
│   └── IncompatibleError     a model that opens but does not fit the task
├── MetricError               metrics: unknown name, missing record column, another configuration
│   └── MergeError            states that must not be merged (another configuration, the same rows twice)
├── StoreError                the store: unwritable, not a store
│   └── StoreFullError        its disk or quota is full: the run ends, what is committed is kept
└── CoverageError             examples of a split missing from its shards, or counted twice

DivergedError(RuntimeError)   a loss that is NaN or infinite: a trial's status, not a user's mistake
"""

__all__ = [
    "CoverageError",
    "DataError",
    "DivergedError",
    "IncompatibleError",
    "JobError",
    "MergeError",
    "MetricError",
    "ModelError",
    "RaybenchError",
    "StoreError",
    "StoreFullError",
    "summary",
]

_MAX_SUMMARY = 300


def summary(error: BaseException) -> str:
    """An error that is not ours in one line: its type and what it says, cut where it gets long."""
    words = " ".join(str(error).split())
    cut = words if len(words) <= _MAX_SUMMARY else words[: _MAX_SUMMARY - 1] + "…"
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__


class RaybenchError(ValueError):
    """Something a user can mend; the message names the place, what was given and what would do.

    `key` is where in the faulty part of the job it was said, such as ("columns", "text") of a dataset; whoever
    knows the job file turns it into a line number.
    """

    def __init__(self, message: str = "", *, key: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.key = key


class JobError(RaybenchError):
    """The job file does not say what it must."""


class DataError(RaybenchError):
    """A dataset cannot be read as the job describes it."""


class ModelError(RaybenchError):
    """A candidate's weights or configuration cannot be opened."""


class IncompatibleError(ModelError):
    """A candidate opens, but cannot do this task."""


class MetricError(RaybenchError):
    """A metric is unknown, or its records or configuration do not fit it."""


class MergeError(MetricError):
    """Two states must not be merged."""


class StoreError(RaybenchError):
    """The store cannot be read or written."""


class StoreFullError(StoreError):
    """No room is left where the store is."""


class CoverageError(RaybenchError):
    """The examples merged are not the examples of the split, each once."""


class DivergedError(RuntimeError):
    """The loss became NaN or infinite."""
