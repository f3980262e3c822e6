"""scores.parquet and ranking.parquet, in a canonical order, so that equal results are equal files but for times.

scores = scores_table(run_id, entries, traits)
ranking = ranking_table(entries, metrics, {"topics": "macro_f1"}, traits)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import Score, Status
from raybench.core.costs import COSTS, FLOAT_COSTS, INTEGER_COSTS
from raybench.core.identity import canonical_json
from raybench.job.limits import Limit
from raybench.results.across import mean_interval
from raybench.results.criterion import Criterion
from raybench.results.entry import Configuration, Entry
from raybench.results.made_on import joined
from raybench.results.order import rank, rank_intervals, ranks_of_replicates
from raybench.results.seeds import combine_seeds
from raybench.results.selection import best_shares, front
from raybench.results.settled import is_settled

__all__ = ["OVERALL", "TIMING_COLUMNS", "MetricTrait", "ranking_table", "scores_table"]

OVERALL = "*"  # the dataset of the rows over all datasets

TIMING_COLUMNS = (*FLOAT_COSTS, "peak_memory_bytes", "pareto")  # differ from run to run; all others never do


class MetricTrait(NamedTuple):
    """What the ranking must know of a metric."""

    higher_is_better: bool | None
    range: tuple[float, float]


_Drawn = tuple[int | None, int | None, float | None]


class _Place(NamedTuple):
    """Where a configuration stands: its rank, the interval of it, P(best), and the mean rank if one orders it."""

    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    p_best: float | None = None
    mean_rank: float | None = None


class _Row(NamedTuple):
    configuration: Configuration
    dataset: str
    status: Status
    reason: str | None
    scores: Mapping[str, Score]
    entries: Sequence[Entry]
    replicates: Mapping[str, np.ndarray]
    is_beyond: bool = False  # a limit: it is shown, and not ranked


def scores_table(run_id: str, entries: Sequence[Entry], traits: Mapping[str, MetricTrait]) -> pa.Table:
    """One row a trial, slice (null: all examples), metric and class (null: over all)."""
    rows = []
    for entry in entries:
        trial = entry.trial
        head = {
            "run_id": run_id,
            "trial_id": trial.trial_id,
            **Configuration.of(trial)._asdict(),
            "dataset": trial.dataset.name,
            "split": trial.dataset.scored,
            "task": trial.dataset.task,
            "seed": trial.seed,
        }
        for part, scores in [(None, entry.scores), *entry.slices.items()]:
            for metric, score in scores.items():
                for label, value in [(None, score), *score.per_class.items()]:
                    measured = {"metric": metric, "class": label, "slice": part, **_plain(value)}
                    rows.append(head | measured | {"higher_is_better": traits[metric].higher_is_better})
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("run_id", "trial_id", "candidate", "model", "method")),
            *((name, pa.string()) for name in ("hyperparameters", "dataset", "split", "task")),
            ("seed", pa.int64()),
            *((name, pa.string()) for name in ("metric", "class", "slice")),
            *((name, pa.float64()) for name in ("value", "low", "high")),
            ("n", pa.int64()),
            ("reason", pa.string()),
            ("higher_is_better", pa.bool_()),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def ranking_table(
    entries: Sequence[Entry],
    metrics: Sequence[str],
    rank_by: Mapping[str, str],
    traits: Mapping[str, MetricTrait],
    limits: Sequence[Limit] = (),
) -> pa.Table:
    """One row a configuration and dataset, best first by its metric, and over all datasets when there are several.

    What is beyond one of the `limits` is not ranked, and says so.
    """
    grouped: dict[tuple[str, Configuration], list[Entry]] = defaultdict(list)
    for entry in entries:
        grouped[entry.trial.dataset.name, Configuration.of(entry.trial)].append(entry)
    datasets = list(dict.fromkeys(dataset for dataset, _ in grouped))
    higher = {name: trait.higher_is_better is not False for name, trait in traits.items()}
    ranked_by = {name: Criterion.of(rank_by[name], higher) for name in datasets}
    by_dataset: dict[str, list[_Row]] = {name: [] for name in datasets}
    for (dataset, configuration), group in grouped.items():
        row = _join_seeds(dataset, configuration, group, metrics, ranked_by[dataset], traits)
        by_dataset[dataset].append(_within(row, metrics, limits))
    records: list[dict[str, Any]] = []
    for name in datasets:
        records += _rank_dataset(by_dataset[name], metrics, ranked_by[name])
    keys = {dataset: group[0].trial.dataset for (dataset, _), group in grouped.items()}
    # perturbed rows are the same examples again: no dataset that was drawn beside its original
    on_test = {
        name: rows for name, rows in by_dataset.items() if keys[name].scored == "test" and not keys[name].original
    }
    if len(on_test) > 1:
        records = _rank_overall(on_test, metrics, ranked_by, traits) + records
    return pa.Table.from_pylist(records, _ranking_schema(metrics))


def _join_seeds(
    dataset: str,
    configuration: Configuration,
    group: Sequence[Entry],
    metrics: Sequence[str],
    by: Criterion,
    traits: Mapping[str, MetricTrait],
) -> _Row:
    bad = next((entry for entry in group if entry.status is not Status.OK), None)
    if bad is not None:
        is_of_all = len(group) == 1 or is_settled(bad.status, bad.reason)  # a race stops all seeds together
        reason = bad.reason if is_of_all else f"seed {bad.trial.seed}: {bad.reason}"
        return _Row(configuration, dataset, bad.status, reason, {}, group, {})
    scores = {
        name: combine_seeds([entry.scores[name] for entry in group], traits[name].range)
        for name in metrics
        if all(name in entry.scores for entry in group)
    }
    replicates = {
        name: np.mean([entry.replicates[name] for entry in group], axis=0)
        for name in by.weights
        if all(name in entry.replicates for entry in group)
    }
    undefined = [name for name in by.weights if name in scores and scores[name].value is None]
    reason = (scores[undefined[0]].reason or f"{undefined[0]} is undefined") if undefined else None
    return _Row(configuration, dataset, Status.OK, reason, scores, group, replicates)


def _rank_dataset(rows: Sequence[_Row], metrics: Sequence[str], by: Criterion) -> list[dict[str, Any]]:
    ranked = [row for row in rows if _is_ranked(row, by)]
    values = by.values([_values(row, by) for row in ranked])
    ranks = rank(values, higher_is_better=by.higher_is_better)
    drawn = _drawn(by.draws([row.replicates for row in ranked]), len(ranked), by.higher_is_better)
    mean_ranks = values if by.metric is None else [None] * len(ranked)
    placed = {
        id(row): _Place(place, *more, mean_rank)
        for row, place, more, mean_rank in zip(ranked, ranks, drawn, mean_ranks, strict=True)
    }
    records = [_record(row, metrics, by.rank_by, placed.get(id(row), _Place())) for row in rows]
    return _sorted(_with_front(records, by))


def _rank_overall(
    by_dataset: Mapping[str, Sequence[_Row]],
    metrics: Sequence[str],
    ranked_by: Mapping[str, Criterion],
    traits: Mapping[str, MetricTrait],
) -> list[dict[str, Any]]:
    """By mean rank over the datasets (Borda's count), the mean score beside it; incomplete ones last, unranked."""
    rows_of: dict[Configuration, list[_Row]] = defaultdict(list)
    for rows in by_dataset.values():
        for row in rows:
            rows_of[row.configuration].append(row)
    complete = [
        configuration
        for configuration, rows in rows_of.items()
        if len(rows) == len(by_dataset) and all(_is_ranked(row, ranked_by[row.dataset]) for row in rows)
    ]
    place_in: dict[str, dict[Configuration, int]] = {}
    best, worst = [], []
    for name, rows in by_dataset.items():
        compared = [next(row for row in rows if row.configuration == configuration) for configuration in complete]
        by = ranked_by[name]
        values = by.values([_values(row, by) for row in compared])
        place_in[name] = dict(zip(complete, rank(values, higher_is_better=by.higher_is_better), strict=True))
        if (drawn := by.draws([row.replicates for row in compared])) is not None:
            low, high = ranks_of_replicates(drawn, higher_is_better=by.higher_is_better)
            best.append(low)
            worst.append(high)
    mean_ranks = [
        sum(places[configuration] for places in place_in.values()) / len(place_in) for configuration in complete
    ]
    ranks = dict(zip(complete, rank(mean_ranks, higher_is_better=False), strict=True))
    places = {configuration: _Place(place) for configuration, place in ranks.items()}
    if complete and len(best) == len(by_dataset):
        low, _ = ranks_of_replicates(np.mean(best, axis=0), higher_is_better=False)
        _, high = ranks_of_replicates(np.mean(worst, axis=0), higher_is_better=False)
        shares = best_shares(np.mean([*best, *worst], axis=0), higher_is_better=False)
        for configuration, interval, share in zip(complete, rank_intervals(low, high), shares, strict=True):
            places[configuration] = _Place(ranks[configuration], *interval, share)
    used = {by.rank_by: by for by in ranked_by.values()}
    shared = next(iter(used.values())) if len(used) == 1 else None
    records = []
    for configuration, rows in rows_of.items():
        missing = [name for name in by_dataset if not any(row.dataset == name for row in rows)]
        bad = next((row for row in rows if not _is_ranked(row, ranked_by[row.dataset])), None)
        status = next((row.status for row in rows if row.status is not Status.OK), Status.OK)
        reason = f"{bad.dataset}: {bad.reason}" if bad else f"not run on {', '.join(missing)}" if missing else None
        scores = {}
        for name in metrics:
            values = [value for row in rows if (value := _value(row, name)) is not None]
            if len(values) == len(by_dataset):
                over = mean_interval(values, traits[name].range) or (None, None)
                n = sum(row.scores[name].n for row in rows)
                scores[name] = Score(value=math.fsum(values) / len(values), low=over[0], high=over[1], n=n)
        joined = _Row(configuration, OVERALL, status, reason, scores, [e for row in rows for e in row.entries], {})
        mean_rank = mean_ranks[complete.index(configuration)] if configuration in ranks else None
        place = places.get(configuration, _Place())._replace(mean_rank=mean_rank)
        records.append(_record(joined, metrics, shared.rank_by if shared else None, place))
    return _sorted(_with_front(records, shared) if shared else records)


def _drawn(draws_KR: np.ndarray | None, count: int, higher: bool) -> list[_Drawn]:
    """What the draws say of each: the interval of its rank and P(best)."""
    if draws_KR is None:
        return [(None, None, None)] * count
    shares = best_shares(draws_KR, higher_is_better=higher)
    intervals = rank_intervals(*ranks_of_replicates(draws_KR, higher_is_better=higher))
    return [(*interval, share) for interval, share in zip(intervals, shares, strict=True)]


def _with_front(records: list[dict[str, Any]], by: Criterion) -> list[dict[str, Any]]:
    marks = front(records, by.metric or "mean_rank", higher_is_better=by.higher_is_better)
    return [record | {"pareto": mark} for record, mark in zip(records, marks, strict=True)]


def _within(row: _Row, metrics: Sequence[str], limits: Sequence[Limit]) -> _Row:
    record = _record(row, metrics, None, _Place()) if limits and row.status is Status.OK else {}
    reasons = [reason for limit in limits if record and (reason := limit.exceeded(record)) is not None]
    return row._replace(reason="; ".join(reasons), is_beyond=True) if reasons else row


def _value(row: _Row, metric: str) -> float | None:
    """A metric's value; None: it has none, or is beyond a limit."""
    score = row.scores.get(metric)
    return score.value if score is not None and not row.is_beyond else None


def _values(row: _Row, by: Criterion) -> dict[str, float]:
    """Those there are of the metrics that rank."""
    return {name: value for name in by.weights if (value := _value(row, name)) is not None}


def _is_ranked(row: _Row, by: Criterion) -> bool:
    return len(_values(row, by)) == len(by.weights)


def _record(row: _Row, metrics: Sequence[str], rank_by: str | None, place: _Place) -> dict[str, Any]:
    first = row.entries[0]
    data = {entry.trial.dataset.fingerprint for entry in row.entries}
    record: dict[str, Any] = {
        **place._asdict(),
        **row.configuration._asdict(),
        "dataset": row.dataset,
        "split": first.trial.dataset.scored if row.dataset != OVERALL else "test",
        "original": (first.trial.dataset.original or None) if row.dataset != OVERALL else None,
        "rank_by": rank_by,
        "status": str(row.status),
        "reason": row.reason,
        "num_seeds": len({entry.trial.seed for entry in row.entries}),
        "num_examples": first.num_examples if row.dataset != OVERALL else sum(e.num_examples for e in row.entries),
        "weights_fingerprint": first.trial.weights_fingerprint,
        "data_fingerprint": data.pop() if len(data) == 1 else None,
        "made_on": canonical_json(joined(entry.made_on for entry in row.entries)),
    }
    for name in metrics:
        score = row.scores.get(name)
        record |= {
            name: score.value if score else None,
            f"{name}_low": score.low if score else None,
            f"{name}_high": score.high if score else None,
        }
    for name in COSTS:
        values = [entry.cost[name] for entry in row.entries if entry.cost.get(name) is not None]
        mean = math.fsum(values) / len(values) if values else None
        record[name] = round(mean) if mean is not None and name not in FLOAT_COSTS else mean
    return record


def _sorted(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    unranked = len(records) + 1
    keys = ("candidate", "model", "method", "hyperparameters")
    return sorted(
        records,
        key=lambda record: (
            record["rank"] or unranked,
            not is_settled(record["status"], record["reason"]),  # stopped by a race: before those that ended badly
            *(record[key] for key in keys),
        ),
    )


def _plain(score: Score) -> dict[str, Any]:
    return {"value": score.value, "low": score.low, "high": score.high, "n": score.n, "reason": score.reason}


def _ranking_schema(metrics: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            *((name, pa.int32()) for name in ("rank", "rank_low", "rank_high")),
            ("p_best", pa.float64()),
            ("pareto", pa.bool_()),
            ("mean_rank", pa.float64()),
            *(
                (name, pa.string())
                for name in (*Configuration._fields, "dataset", "split", "original", "rank_by", "status", "reason")
            ),
            ("num_seeds", pa.int32()),
            *((f"{name}{suffix}", pa.float64()) for name in metrics for suffix in ("", "_low", "_high")),
            ("num_examples", pa.int64()),
            *((name, pa.int64()) for name in INTEGER_COSTS),
            *((name, pa.float64()) for name in FLOAT_COSTS),
            ("peak_memory_bytes", pa.int64()),
            ("weights_fingerprint", pa.string()),
            ("data_fingerprint", pa.string()),
            ("made_on", pa.string()),
        ]
    )
