"""What a run says while it runs: live on a terminal or in a notebook, in plain lines elsewhere; progress.json.

with Progress(run_directory) as progress:
    progress.begin(plan, todo)
    driver = Driver(observer=progress, ...)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raybench.cluster.observer import AtWork, Observer
from raybench.core import Shard, Status, Trial
from raybench.core.errors import StoreError, StoreFullError
from raybench.core.timing import Timing
from raybench.planning.plan import Plan
from raybench.report.notebook import NotebookBar
from raybench.report.numbers import duration
from raybench.schedule.work import Features, Fit, TrialWork
from raybench.store.runs import RunDirectory
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

__all__ = ["Progress"]

_MOST_SHOWN, _MOST_ROWS = 2, 16  # actors in a plain line, and below the bar of a terminal
_PLAIN_SECONDS = 15.0  # between two plain lines of progress
# of the work: before that a guess of the time left would be one of the first fits' start; a night's is told sooner
_LEAST_SHARE, _SETTLED_SHARE, _SETTLED_SECONDS = 0.1, 0.01, 120.0


class Progress(Observer):
    """Counts what the driver commits: that is the truth, not what actors say of themselves."""

    def __init__(self, run: RunDirectory, *, quiet: bool = False, timing: Timing | None = None) -> None:
        self._timing = timing or Timing()
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        )
        self._bar = NotebookBar() if self._console.is_jupyter and not quiet else None
        self._run = run
        self._names: dict[str, str] = {}
        self._trials: set[str] = set()
        self._todo: dict[str, TrialWork] = {}
        self._batches: dict[str, int] = {}  # data key → batches of its test split
        self._scored: Counter[str] = Counter()  # trial → batches scored
        self._ended: dict[str, Status] = {}
        self._fitted: dict[str, float] = {}  # checkpoint → how much of its fit was done when it was last heard of
        self._num_shards = 0
        self._num_examples = 0
        self._num_lost = 0
        self._began = time.monotonic()
        self._began_at = time.time()
        self._at_work_since: float | None = None  # before that there was starting and preparing, which come once
        self._last_line = self._began
        self._state = "running"
        self._doing: list[str] = []  # what the actors are at, in words
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._is_written = True

    def __enter__(self) -> Progress:
        return self

    def begin(self, plan: Plan, todo: Sequence[TrialWork]) -> None:
        """What a plan holds and what of it is to be done; once more when that has shown what else there is."""
        trials = [planned.trial for planned in plan.trials]
        named = [*(planned.trial for planned in plan.fits.values()), *trials]
        self._names |= {one.trial_id: _name(one) for one in named}
        self._trials |= {one.trial_id for one in trials}
        self._todo |= {work.trial_id: work for work in todo}
        if todo:
            impossible = sum(planned.problem is not None for planned in plan.trials)
            before = len({one.trial_id for one in trials}) - len(todo) - impossible
            parts = [f"{before} done before"] * (before > 0)
            parts += [f"{impossible} that cannot start"] * (impossible > 0)
            self.say(", ".join([f"{len(trials)} trials", *parts]) + "; starting actors")
        if self._live is not None:
            self._live.start()
        self._write(self.as_dict())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "ended" if kind is None else "stopped" if kind is KeyboardInterrupt else "failed"
        if self._live is not None:
            self._live.stop()
        if self._bar is not None:
            self._bar.close()
        self._writer.shutdown()
        self._write(self.as_dict(), quiet=error is not None)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False)

    def batches_planned(self, data_key: str, num_batches: int) -> None:
        self._batches[data_key] = num_batches

    def found_scored(self, trial_id: str, num_batches: int) -> None:
        self._scored[trial_id] = num_batches

    def shard_scored(self, commit: ShardCommit) -> None:
        self._num_shards += 1
        self._num_examples += commit.num_examples
        self._scored[commit.trial_id] += commit.stop - commit.start

    def trial_ended(self, row: TrialRow) -> None:
        self._ended[row.trial_id] = row.status
        if row.status is Status.OK:
            fit = row.cost.get("fit_seconds")
            times = f"fit {fit:.1f} s, " if fit else ""
            end = f"{times}scored {row.num_examples:,} in {row.cost['score_seconds']:.1f} s"
        else:
            end = f"{row.status}: {row.reason}"
        self.say(f"[{self._num_done}/{self._num_trials}] {self._names[row.trial_id]}: {end}")

    def actor_lost(self, actor: int, reason: str) -> None:
        self._num_lost += 1
        self.say(f"actor {actor} was lost ({reason}); its work goes to another")

    def reached(self, moment: str, at: float) -> None:
        self._timing.mark(moment, at)

    def note(self, line: str) -> None:
        self.say(line)

    def tick(self, at_work: Sequence[AtWork]) -> None:
        self._doing = [self._words(one) for one in at_work]
        if self._at_work_since is None and any(isinstance(one.work, Features | Fit | Shard) for one in at_work):
            self._at_work_since = time.monotonic()
        for _, work, step in at_work:
            if isinstance(work, Fit) and step is not None:  # one of a bundle: which is not told
                self._fitted |= dict.fromkeys(work.trial_ids, step.share / len(work.trial_ids))
        if self._writing is None or self._writing.done():
            self._writing = self._writer.submit(self._write, self.as_dict())
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif self._bar is not None:
            self._bar.show(self._share(), [self._line(), *self._doing[:_MOST_ROWS]])
        elif time.monotonic() - self._last_line >= _PLAIN_SECONDS:
            self._last_line = time.monotonic()
            shown = "; ".join(self._doing[:_MOST_SHOWN]) or "no actor is at work yet"
            more = f" and {len(self._doing) - _MOST_SHOWN} actors more" if len(self._doing) > _MOST_SHOWN else ""
            self.say(f"{self._line()}; {shown}{more}")

    @property
    def _num_trials(self) -> int:
        return len(self._trials)

    @property
    def _num_before(self) -> int:
        return len(self._trials) - len(self._todo)

    @property
    def _num_done(self) -> int:
        return self._num_before + len(self._ended)

    def _share(self) -> float:
        """How much of what this run had to do is done, by its predicted cost; what trials share counts once."""
        if not self._todo:
            return 1.0
        least = 0.01 * max(work.cost for work in self._todo.values()) or 1.0  # a baseline costs something too
        parts: dict[str, tuple[float, float]] = {}  # key → cost, and the share of it that is done

        def add(key: str, cost: float, share: float) -> None:
            before = parts.get(key, (0.0, 0.0))
            parts[key] = max(cost, before[0]), max(share, before[1])

        for trial_id, work in self._todo.items():
            ended, planned = trial_id in self._ended, self._batches.get(work.data_key)
            scored = 1.0 if ended else self._scored[trial_id] / planned if planned else 0.0
            fitted = 1.0 if scored else self._fitted.get(work.checkpoint, 0.0)
            for key, cost in work.fit_steps:
                add(key, cost, fitted)
            add(work.test_features or trial_id, work.cost - sum(cost for _, cost in work.fit_steps), scored)
            add(f"{trial_id} ended", least, float(ended))
        return sum(cost * share for cost, share in parts.values()) / sum(cost for cost, _ in parts.values())

    def _seconds_left(self) -> float | None:
        share = self._share()
        seconds = time.monotonic() - (self._began if self._at_work_since is None else self._at_work_since)
        if share < (_LEAST_SHARE if seconds < _SETTLED_SECONDS else _SETTLED_SHARE):
            return None
        return seconds * (1 - share) / share

    def as_dict(self) -> dict[str, Any]:
        """What progress.json holds."""
        seconds = time.monotonic() - self._began
        return {
            "state": self._state,
            "began_at": self._began_at,
            "updated_at": time.time(),
            "trials": self._num_trials,
            "trials_done_before": self._num_before,
            "trials_done": self._num_done,
            "statuses": dict(Counter(str(status) for status in self._ended.values())),
            "shards_scored": self._num_shards,
            "examples_scored": self._num_examples,
            "examples_per_second": self._num_examples / seconds if seconds else None,
            "actors_lost": self._num_lost,
            "doing": self._doing,
            "seconds": seconds,
            "seconds_left": self._seconds_left() if self._state == "running" else None,
        }

    def _line(self) -> str:
        state = self.as_dict()
        left = state["seconds_left"]
        rate = f", {state['examples_per_second']:.0f} examples/s" if state["shards_scored"] else ""
        return f"{state['trials_done']}/{state['trials']} trials{rate}" + (
            f", about {duration(left)} left" if left else ""
        )

    def _words(self, at: AtWork) -> str:
        """`minilm-full on bbc-100, seed 0: epoch 1 of 2, step 12 of 26`."""
        match at.work:
            case Fit(trial_ids=(first, *others)):
                more = f" and {len(others)} more" if others else ""
                return f"{self._names.get(first, first)}{more}: {at.said or 'a fit begins'}"
            case Shard(trial_id=trial_id):
                work = self._todo.get(trial_id)
                planned = self._batches.get(work.data_key) if work is not None else None
                of = f" of {planned}" if planned else ""
                return f"{self._names.get(trial_id, trial_id)}: {self._scored[trial_id]}{of} batches scored"
            case Features():
                return "features of frozen networks"
            case _:
                return "rows are prepared"

    def _table(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        share = self._share()
        width = 30
        grid.add_row("━" * round(share * width) + "╺" + "─" * (width - round(share * width)), self._line())
        for words in self._doing[:_MOST_ROWS]:
            grid.add_row("", Text(words))
        return grid

    def _write(self, state: dict[str, Any], *, quiet: bool = False) -> None:
        """A store that refuses costs the display in `raybench status`, not the run: it is said once."""
        try:
            self._run.write_json("progress.json", state, most_tries=1)
        except StoreError as error:
            if self._is_written and not quiet and not isinstance(error, StoreFullError):  # that one ends the run
                self.say(f"warning: `raybench status` will not show this run: {error}")
            self._is_written = False
        else:
            self._is_written = True


def _name(trial: Trial) -> str:
    rung = f", until epoch {trial.until}" if trial.until else ""
    return f"{trial.candidate} on {trial.dataset.name}, seed {trial.seed}{rung}"
