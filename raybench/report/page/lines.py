"""Metrics along an axis: training rows or strengths by which datasets differ, the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Sequence

from raybench.job import DatasetSpec
from raybench.report.page.model import DatasetPart, Line, Value
from raybench.results.learning_curves import checkpoint_axes, dataset_axes, strength_axes

__all__ = ["lines_of"]

_MOST = 8  # candidates of a picture


def lines_of(datasets: Sequence[DatasetPart], specs: Sequence[DatasetSpec]) -> tuple[Line, ...]:
    """Of each axis that the job's datasets or the candidates' names give."""
    return (*_over_datasets(datasets, specs), *_over_checkpoints(datasets))


def _over_datasets(datasets: Sequence[DatasetPart], specs: Sequence[DatasetSpec]) -> list[Line]:
    parts = {part.name: part for part in datasets}
    found = []
    known = [spec for spec in specs if spec.name in parts]
    for axis in (*dataset_axes(known), *strength_axes(known)):
        metrics = {next(iter(parts[name].ranking.metrics), None) for name in axis.places}
        metric = metrics.pop()
        if metrics or metric is None:
            continue
        last = parts[list(axis.places)[-1]].ranking
        scores = {name: _values(parts[name], metric) for name in axis.places}
        shown = [row.name for row in last.rows if row.rank is not None][:_MOST]
        found.append(
            Line(
                title=axis.name,
                axis=axis.title,
                metric=metric,
                places=tuple(axis.places.values()),
                values={one: tuple(scores[name].get(one) for name in axis.places) for one in shown},
            )
        )
    return found


def _over_checkpoints(datasets: Sequence[DatasetPart]) -> list[Line]:
    found = []
    for part in datasets:
        metric = next(iter(part.ranking.metrics), None)
        if metric is None:
            continue
        scores = _values(part, metric)
        for axis in checkpoint_axes(list(scores)):
            found.append(
                Line(
                    title=f"{axis.name} on {part.name}",
                    axis=axis.title,
                    metric=metric,
                    places=tuple(axis.places.values()),
                    values={axis.name: tuple(scores[name] for name in axis.places)},
                )
            )
    return found


def _values(part: DatasetPart, metric: str) -> dict[str, Value]:
    return {row.name: row.scores[metric] for row in part.ranking.rows if row.scores[metric].value is not None}
