"""Tell somebody how a run ended: a JSON POST to an address, or a call of a function beside the job file.

    notify = notifier(job)              # None: nobody is to be told; JobError for what cannot be
    notify(ended(ranking, job, seconds))

    def tell(run: dict) -> None: ...    # of `notify: my_module:tell`

What goes wrong in telling is a warning: the run has ended as it has.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from raybench.core.catalog import import_place
from raybench.core.code import module_file
from raybench.core.errors import JobError, summary
from raybench.job import Job
from raybench.job.paths import expand_variables
from raybench.job.rank_by import weights_of
from raybench.results.ranking import Ranking
from raybench.results.tables import OVERALL

__all__ = ["ended", "notifier", "stopped"]

_SECONDS = 10.0  # that an address may take to answer
_TRIES = 3

Notify = Callable[[dict[str, Any]], None]


def notifier(job: Job) -> Notify | None:
    """What tells whom the job names; nothing is sent or called yet."""
    if job.notify is None:
        return None
    where = job.where(None, ("notify",))
    try:
        target = expand_variables(job.notify)
    except JobError as error:
        raise JobError(f"{where}: {error}") from None
    if "://" in target:
        address = urlsplit(target)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise JobError(f"{where}: want https://… or module:attribute, got an address of scheme {address.scheme!r}")
        return _Told(lambda run: _post(target, run), address.hostname)
    module, _, _ = target.partition(":")
    if not module.isidentifier() or module_file(module, job.directory) is None:
        raise JobError(f"{where}: {target!r}: want https://… or module:function of a module beside the job file")
    try:
        function = import_place(f"notify {target!r}", target)
    except JobError as error:
        raise JobError(f"{where}: {error}") from error
    if not callable(function) or getattr(function, "__module__", None) != module:
        raise JobError(f"{where}: {target!r}: no function that {module} defines")
    return _Told(function, target)


def ended(ranking: Ranking, job: Job, seconds: float) -> dict[str, Any]:
    """What is told of a run that came to its end; `text` says it in a line, as chats show it."""
    rows = [row for row in ranking.table.to_pylist() if row["dataset"] != OVERALL and row.get("split") != "validation"]
    best = {
        row["dataset"]: {"candidate": row["candidate"], **{name: row[name] for name in weights_of(row["rank_by"])}}
        for row in rows
        if row["rank"] == 1
    }
    statuses = Counter(row["status"] for row in rows)
    winners = ", ".join(f"{one['candidate']} on {dataset}" for dataset, one in best.items())
    bad = "".join(f", {count} {status}" for status, count in statuses.items() if status != "ok")
    return {
        "job": job.name,
        "run_id": ranking.run_id,
        "state": "ended",
        "complete": ranking.complete,
        "statuses": dict(statuses),
        "best": best,
        "location": ranking.location,
        "seconds": round(seconds, 1),
        "text": f"{job.name}: ended after {seconds:.0f} s; best: {winners or 'none'}{bad}",
    }


def stopped(error: BaseException, run_id: str, job: Job, seconds: float) -> dict[str, Any]:
    """What is told of a run that did not come to its end."""
    state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
    reason = "" if state == "stopped" else summary(error)
    return {
        "job": job.name,
        "run_id": run_id,
        "state": state,
        "complete": False,
        "reason": reason,
        "seconds": round(seconds, 1),
        "text": f"{job.name}: {state} after {seconds:.0f} s" + (f": {reason}" if reason else ""),
    }


class _Told:
    """A way of telling, whose failure is a warning that does not repeat an address: it may hold a token."""

    def __init__(self, tell: Callable[[dict[str, Any]], object], name: str) -> None:
        self._tell, self._name = tell, name

    def __call__(self, run: dict[str, Any]) -> None:
        try:
            self._tell(run)
        except (Exception, SystemExit) as error:
            warnings.warn(f"notify: {self._name} was not told: {summary(error)}", stacklevel=2)


def _post(url: str, run: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(run).encode(), {"Content-Type": "application/json"}, method="POST")
    for tries_left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500 or not tries_left:
                raise
        except OSError:
            if not tries_left:
                raise
