"""From a run in its store to what its report says.

report = make_report(run, skipped)                      # StoredRun, of results/stored.py
report = make_report(run, skipped, job=job)             # the user named the job file: code beside it may give rows
report = make_report(run, skipped, why=20, tell=print)  # 20 hard examples explained, by two candidates fitted again

Tables come from the run's Parquet files; what they do not hold (pairs, curves, examples) from the records of each
dataset's best configurations alone, so that a report of hundreds of trials takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError, JobError, MetricError, StoreError
from raybench.job import Job
from raybench.report.page.answers import answers_of
from raybench.report.page.best import Scored, by_class_of, curves_of, pairs_of, slices_of
from raybench.report.page.examples import EACH, examples_of
from raybench.report.page.failures import failures_of
from raybench.report.page.lines import lines_of
from raybench.report.page.model import DatasetPart, Examples, Ranking, Report
from raybench.report.page.provenance import provenance_of
from raybench.report.page.rankings import drops_of, ranking_of
from raybench.report.page.secrets import without_secrets
from raybench.report.page.why import explained
from raybench.results.entry import Configuration
from raybench.results.raw_rows import datasets_of, of_job, source_of
from raybench.results.stored import StoredRun, StoredTrial, read_whole_records
from raybench.results.tables import OVERALL
from raybench.store.parquet import Skipped
from raybench.store.runs import NOTES
from raybench.tasks.catalog import task_of

__all__ = ["make_report"]

_BEST = 12  # configurations of a dataset whose records are read
_WORK = 100_000.0  # rows drawn for permutation tests, over all datasets: some seconds
_DETAILED = 12  # datasets of which more than the ranking is said
_EXPLAINED = 2  # configurations of a dataset that are fitted again for it


def make_report(
    run: StoredRun,
    skipped: Skipped,
    *,
    job: Job | None = None,
    examples: bool = True,
    why: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """What is to be said of a finished run; StoreError where its tables cannot be read.

    `why`: of so many of the hardest examples of each dataset, what the best two answers hang on; `tell` hears of it.
    """
    ranking, scores = run.directory.read_table("ranking"), run.directory.read_table("scores")
    metrics = [name.removesuffix("_low") for name in ranking.column_names if name.endswith("_low")]
    metrics.remove("rank")
    by_dataset: dict[str, list[dict[str, Any]]] = {}
    for row in ranking.to_pylist():
        by_dataset.setdefault(row["dataset"], []).append(row)
    rankings = {name: ranking_of(rows, metrics, _directions(scores)) for name, rows in by_dataset.items()}
    overall = rankings.pop(OVERALL, None)
    by_dataset.pop(OVERALL, None)
    tried = {name: rankings.pop(name) for name, rows in by_dataset.items() if rows[0].get("split") == "validation"}
    drops: dict[str, list[dict[str, Any]]] = {}
    for row in _drops(run):
        drops.setdefault(row["dataset"], []).append(row)
    work = _WORK / min(max(1, len(rankings)), _DETAILED)
    details = _Details(run, scores, skipped, job, examples=examples, work=work, why=why, tell=tell)
    parts = tuple(
        details.part(name, by_dataset[name], of_dataset, drops.get(name, ()), is_detailed=place < _DETAILED)
        for place, (name, of_dataset) in enumerate(rankings.items())
    )
    specs = job.datasets if job is not None else datasets_of(run.directory)
    environment = run.directory.read_json("environment.json") or {}
    return Report(
        title=run.run_id.rpartition("-")[0] or run.run_id,
        answers=answers_of(overall, parts),
        overall=overall,
        datasets=parts,
        tried=tried,
        lines=lines_of(parts, specs),
        failures=failures_of([row for rows in by_dataset.values() for row in rows]),
        notes=tuple(without_secrets(str(note)) for note in environment.get(NOTES) or ()),
        provenance=provenance_of(run, specs),
    )


def _drops(run: StoredRun) -> list[dict[str, Any]]:
    """What perturbing changed; nothing where no dataset is perturbed."""
    try:
        return run.directory.read_table("drops").to_pylist()
    except FileNotFoundError:
        return []


def _directions(scores: pa.Table) -> dict[str, bool]:
    """Whether higher is better, by metric."""
    pairs = scores.select(["metric", "higher_is_better"]).group_by(["metric", "higher_is_better"]).aggregate([])
    return {row["metric"]: row["higher_is_better"] is not False for row in pairs.to_pylist()}


class _Details:
    """What is said of a dataset beside its ranking."""

    def __init__(
        self,
        run: StoredRun,
        scores: pa.Table,
        skipped: Skipped,
        job: Job | None,
        *,
        examples: bool,
        work: float,
        why: int,
        tell: Callable[[str], None],
    ) -> None:
        self._run, self._skipped, self._job, self._examples, self._work = run, skipped, job, examples, work
        self._why, self._tell = why, tell
        self._of_slices = scores.filter(pc.and_(pc.is_valid(scores["slice"]), pc.is_null(scores["class"])))
        self._trials: dict[str, dict[Configuration, list[StoredTrial]]] = {}
        for one in run.trials:
            self._trials.setdefault(one.trial.dataset.name, {}).setdefault(one.configuration, []).append(one)

    def part(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        ranking: Ranking,
        drops: Sequence[Mapping[str, Any]],
        *,
        is_detailed: bool,
    ) -> DatasetPart:
        """All of one dataset; `rows` are the ranking's, in its order."""
        of_dataset = self._trials.get(name, {})
        trials = [trial for several in of_dataset.values() for trial in several]
        remarks: list[str] = []
        best = self._best(of_dataset, rows, ranking, remarks) if is_detailed else []
        if not is_detailed:
            remarks.append(f"details are shown of the first {_DETAILED} datasets")
        key = trials[0].trial.dataset if trials else None
        labels = key.labels if key is not None else ()
        try:
            config = task_of(key).metric_config(labels, key.task_config) if key is not None else {}
        except JobError as error:  # a task of the user's own, which only the job file itself brings
            remarks.append(f"not compared in detail: {without_secrets(str(error))}")
            best, config = [], {}
        metric = next(iter(ranking.metrics), "")
        return DatasetPart(
            name=name,
            task=key.task if key is not None else "",
            num_examples=max((row["num_examples"] or 0 for row in rows), default=0),
            num_labels=len(labels),
            ranking=ranking,
            pairs=pairs_of(best, metric, config, self._work),
            original=rows[0].get("original"),
            drops=drops_of(rows, drops),
            by_class=by_class_of(best, config, labels),
            curves=curves_of(best, labels),
            slices=slices_of(best, self._of_slices.filter(pc.equal(self._of_slices["dataset"], name)), metric, config),
            examples=self._examples_of(best, labels, self._rows(name, key.fingerprint)) if key is not None else None,
            remarks=tuple(remarks),
        )

    def _best(
        self,
        of_dataset: Mapping[Configuration, Sequence[StoredTrial]],
        rows: Sequence[Mapping[str, Any]],
        ranking: Ranking,
        remarks: list[str],
    ) -> list[Scored]:
        """The best configurations with their records; what has none that are whole is left out and said."""
        found: list[Scored] = []
        for row, ranked in zip(rows, ranking.rows, strict=True):
            trials = of_dataset.get(Configuration(*(row[name] for name in Configuration._fields)), ())
            if ranked.rank is None or not trials or len(found) == _BEST:
                continue
            try:
                records = tuple(read_whole_records(self._run.store, one.row, self._skipped) for one in trials)
            except StoreError as error:
                remarks.append(f"{ranked.name} is not compared in detail: {without_secrets(str(error))}")
                continue
            found.append(Scored(name=ranked.name, trial_ids=tuple(t.trial.trial_id for t in trials), records=records))
        return found

    def _examples_of(
        self, best: Sequence[Scored], labels: Sequence[str], rows: pa.Table | DataError | None
    ) -> Examples | None:
        found = examples_of(best, labels, rows, num_hardest=max(EACH, self._why))
        if found is None or not self._why:
            return found
        return explained(self._run, found, best[:_EXPLAINED], job=self._job, most=self._why, tell=self._tell)

    def _rows(self, dataset: str, fingerprint: str) -> pa.Table | DataError | None:
        """The raw test rows, or why there are none; None: they were not asked for."""
        if not self._examples:
            return None
        try:
            source = of_job(self._job, dataset) if self._job is not None else source_of(self._run.directory, dataset)
            return source.rows(fingerprint)
        except (DataError, MetricError) as error:
            return DataError(without_secrets(str(error)))
