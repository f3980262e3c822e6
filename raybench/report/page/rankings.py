"""The rankings of a run as its table has them: one a dataset, one over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raybench.core.costs import COSTS
from raybench.job.rank_by import weights_of
from raybench.report.page.model import Drop, Ranked, Ranking, Value
from raybench.report.page.secrets import without_secrets
from raybench.results.entry import Configuration
from raybench.results.names import names
from raybench.results.tables import OVERALL

__all__ = ["drops_of", "ranking_of"]


_CONFIGURATION = Configuration._fields


def ranking_of(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], higher: Mapping[str, bool]) -> Ranking:
    """The rows of one dataset of ranking.parquet, best first as they stand there."""
    rank_by = rows[0]["rank_by"]
    weights = weights_of(rank_by) if rank_by is not None else {}
    ranked = tuple(sorted(weights, key=lambda name: -weights[name]))
    return Ranking(
        rank_by=rank_by,
        metrics=ranked,
        higher_is_better=len(ranked) != 1 or higher.get(ranked[0], True),
        is_over_all=rows[0]["dataset"] == OVERALL,
        rows=tuple(_ranked(row, name, metrics) for row, name in zip(rows, names(rows), strict=True)),
    )


def drops_of(rows: Sequence[Mapping[str, Any]], drops: Sequence[Mapping[str, Any]]) -> tuple[Drop, ...]:
    """Of the rows of one dataset, in their order, what perturbing changed by each metric that ranks."""
    found = {(drop["metric"], *(drop[name] for name in _CONFIGURATION)): drop for drop in drops}
    return tuple(
        Drop(
            name=name,
            metric=metric,
            before=drop["original_value"],
            after=drop["value"],
            p_value=drop["adjusted"],
            **{key: drop[key] for key in ("change", "low", "high")},
        )
        for metric in weights_of(rows[0]["rank_by"])
        for row, name in zip(rows, names(rows), strict=True)
        if (drop := found.get((metric, *(row[key] for key in _CONFIGURATION)))) is not None
    )


def _ranked(row: Mapping[str, Any], name: str, metrics: Sequence[str]) -> Ranked:
    reason = row["reason"]
    return Ranked(
        name=name,
        **{key: row[key] for key in ("rank", "rank_low", "rank_high", "p_best", "pareto", "mean_rank")},
        status=row["status"],
        reason=without_secrets(reason) if reason else None,
        model=without_secrets(row["model"]),
        method=row["method"],
        num_seeds=row["num_seeds"],
        scores={
            metric: Value(
                value=row[metric], low=row[f"{metric}_low"], high=row[f"{metric}_high"], n=row["num_examples"] or None
            )
            for metric in metrics
        },
        costs={cost: row.get(cost) for cost in COSTS},
    )
