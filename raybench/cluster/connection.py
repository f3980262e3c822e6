"""A run's connection to Ray; one of this machine's own is made in a thread, while the driver still plans.

    with Connection(resources, address) as connection:
        make_plan(job, lambda trial: connection.begin(...))     # once it is known that there is something to do
        cluster, actors = connection.connected()                    # as many times as there are rounds

The thread lives until Ray ends: Linux ends Ray's processes with the thread that started them. What goes wrong in it is
raised by whoever wants to be connected. Actors of a connection that began early import what they need meanwhile; those
that a round leaves behind serve the next.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

from raybench.cluster.connect import connect, import_ray, is_own
from raybench.cluster.placement import ActorPlan
from raybench.cluster.start import start_actor
from raybench.core.timing import Timing
from raybench.job import Resources

__all__ = ["MODEL_IMPORTS", "Connected", "Connection"]

# what opening a checkpoint and its tokenizer will import
MODEL_IMPORTS = (
    "transformers.models.auto.tokenization_auto",
    "transformers.models.auto.modeling_auto",
    "transformers.modeling_utils",
)


class Connected(NamedTuple):
    """What may be used, and the actors that are there already, with no context yet or that of a round that is over."""

    cluster: ActorPlan
    actors: list[Any]


class Connection:
    """At most one at a time; ends what it has begun, taken or not."""

    def __init__(self, resources: Resources, address: str | None, timing: Timing | None = None) -> None:
        self._resources, self._address, self._timing = resources, address, timing or Timing()
        self.imports: Sequence[str] = ()  # by actors that are started for its runs
        self._thread: threading.Thread | None = None
        self._is_there, self._is_over = threading.Event(), threading.Event()
        self._made: Connected | None = None
        self._error: BaseException | None = None
        self._own = ExitStack()  # a connection of this thread's

    def begin(self, imports: Sequence[str] = ()) -> None:
        """Begin to start a Ray of this machine's own; its actors, and those of a cluster, will import these modules."""
        self.imports = imports
        if self._thread is None and not self._is_over.is_set() and is_own(self._address):
            # not for a while by catch_warnings, which is of the whole process: the main thread has blocks of its own
            warnings.filterwarnings("ignore", module=r"ray\.")
            import_ray()  # not in the thread, where it would share the interpreter with the plan
            self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)
            self._thread.start()

    def connected(self) -> Connected:
        """What has begun, or a connection made now; until this one is left."""
        if self._thread is not None:
            self._is_there.wait()
            if self._error is not None:
                raise self._error
        elif self._made is None:
            self._made = Connected(self._own.enter_context(connect(self._resources, self._address)), [])
            self._own.callback(_end, self._made.actors)  # the cluster may stay, and others want their places
            self._timing.mark("Ray")
        assert self._made is not None
        return self._made

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._own.close()
        thread, self._thread = self._thread, None
        self._is_over.set()
        if thread is not None:
            thread.join()

    def _keep(self) -> None:
        try:
            with connect(self._resources, self._address) as cluster:
                self._timing.mark("Ray")
                wanted = 0 if self._is_over.is_set() else cluster.num_actors
                actors = [start_actor(cluster, None, imports=self.imports) for _ in range(wanted)]
                self._made = Connected(cluster, actors)
                self._is_there.set()
                self._is_over.wait()
        except BaseException as error:  # told where it is wanted
            self._error = error
        finally:
            self._is_there.set()


def _end(actors: Sequence[Any]) -> None:
    import ray

    for actor in actors:
        ray.kill(actor, no_restart=True)
