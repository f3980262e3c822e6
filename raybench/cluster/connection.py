"""A run's connection to Ray; one of this machine's own is made in a thread, while the driver still plans.

    with Connection(resources, address) as connection:
        make_plan(job, lambda trial: connection.begin(...))     # once it is known that there is something to do
        with connection.connected() as (cluster, actors): ...           # as many times as there are rounds

The thread lives until Ray ends: Linux ends Ray's processes with the thread that started them. What goes wrong in it is
raised by whoever wants to be connected. Actors of a connection that began early import what they need meanwhile.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

from raybench.cluster.connect import connect, is_own
from raybench.cluster.placement import ActorPlan
from raybench.cluster.start import start_actor
from raybench.core.timing import Timing
from raybench.job import Resources

__all__ = ["MODEL_IMPORTS", "Connected", "Connection"]

# what opening a checkpoint and its tokenizer will import
MODEL_IMPORTS = ("transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto")


class Connected(NamedTuple):
    """What may be used, and the actors that are there already, with no context yet."""

    cluster: ActorPlan
    actors: list[Any]


class Connection:
    """At most one at a time; ends what it has begun, taken or not."""

    def __init__(self, resources: Resources, address: str | None, timing: Timing | None = None) -> None:
        self._resources, self._address, self._timing = resources, address, timing or Timing()
        self._imports: Sequence[str] = ()
        self._thread: threading.Thread | None = None
        self._is_there, self._is_over = threading.Event(), threading.Event()
        self._made: Connected | None = None
        self._error: BaseException | None = None

    def begin(self, imports: Sequence[str] = ()) -> None:
        """Begin to start a Ray of this machine's own, whose actors import these modules; nothing the second time."""
        if self._thread is None and not self._is_over.is_set() and is_own(self._address):
            self._imports = imports
            # not for a while by catch_warnings, which is of the whole process: the main thread has blocks of its own
            warnings.filterwarnings("ignore", module=r"ray\.")
            self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)
            self._thread.start()

    @contextmanager
    def connected(self) -> Iterator[Connected]:
        """Connected to what has begun, or anew."""
        if self._thread is None:
            with connect(self._resources, self._address) as cluster:
                self._timing.mark("Ray")
                yield Connected(cluster, [])
            return
        try:
            self._is_there.wait()
            if self._error is not None:
                raise self._error
            assert self._made is not None
            yield self._made
        finally:
            self._end()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        self._is_over.set()
        if thread is not None:
            thread.join()

    def _keep(self) -> None:
        try:
            with connect(self._resources, self._address) as cluster:
                self._timing.mark("Ray")
                wanted = 0 if self._is_over.is_set() else cluster.num_actors
                actors = [start_actor(cluster, None, imports=self._imports) for _ in range(wanted)]
                self._made = Connected(cluster, actors)
                self._is_there.set()
                self._is_over.wait()
        except BaseException as error:  # told where it is wanted
            self._error = error
        finally:
            self._is_there.set()
