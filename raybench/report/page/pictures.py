"""The pictures of a report: what each shows in words, and how it is drawn.

for picture in pictures_of(report): picture.key, picture.title, picture.draw(PRINT)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raybench.report.numbers import interval, number
from raybench.report.page.drawings import (
    MOST_RANKED,
    draw_costs,
    draw_curves,
    draw_lines,
    draw_ranking,
    draw_reliability,
    is_outside,
)
from raybench.report.page.model import DatasetPart, Line, Ranking, Report
from raybench.report.page.theme import Theme, legible
from raybench.results.curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "pictures_of"]

_TOLD = 5  # values in a description; all of them stand in a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """`key` is short, plain and unique; `dataset` is where it belongs, "" for all together."""

    key: str
    kind: str
    dataset: str
    title: str
    description: str
    draw: Callable[[Theme], Figure]


def pictures_of(report: Report) -> Iterator[Picture]:
    """In the order of the page."""
    if report.overall is not None and _num_ranked(report.overall):
        yield _ranking("all", "", "over all datasets", report.overall)
    for place, line in enumerate(report.lines, 1):
        yield Picture(
            key=f"line{place}",
            kind="line",
            dataset="",
            title=f"{line.metric} by {line.axis}: {line.title}",
            description=_of_line(line),
            draw=partial(draw_lines, line),
        )
    for place, part in enumerate(report.datasets, 1):
        yield from _of_dataset(f"d{place}", part)


def _of_dataset(key: str, part: DatasetPart) -> Iterator[Picture]:
    if _num_ranked(part.ranking):
        yield _ranking(key, part.name, f"on {part.name}", part.ranking)
        if sum(1 for row in part.ranking.rows if row.costs.get("examples_per_second")) > 1:
            yield Picture(
                key=f"{key}-costs",
                kind="costs",
                dataset=part.name,
                title=f"{part.ranking.metric or 'Mean rank'} against cost on {part.name}",
                description="Two scatter plots of every candidate, by seconds to fit and by milliseconds an example. "
                "Nothing is better and cheaper than "
                + (", ".join(legible(row.name) for row in part.ranking.rows if row.pareto) or "any of them")
                + ".",
                draw=partial(draw_costs, part.ranking),
            )
    curves = part.curves
    if curves is None:
        return
    if any(one is not None for one in curves.reliability):
        yield Picture(
            key=f"{key}-reliability",
            kind="reliability",
            dataset=part.name,
            title=f"Reliability on {part.name}",
            description="How often the best candidates are right, by how sure they are, in 15 bins of confidence; on "
            "the diagonal they are as sure as they should be.",
            draw=partial(draw_reliability, curves.names, curves.reliability),
        )
    for kind, name, found, axes in (
        ("roc", "ROC", curves.roc, ("false positive rate", "true positive rate")),
        ("precision-recall", "Precision and recall", curves.precision_recall, ("recall", "precision")),
    ):
        if any(one is not None for one in found):
            yield Picture(
                key=f"{key}-{kind}",
                kind=kind,
                dataset=part.name,
                title=f"{name} on {part.name}",
                description=f"{axes[1]} against {axes[0]}, {_averaged(found)}. Areas: {_areas(curves.names, found)}.",
                draw=partial(draw_curves, curves.names, found, x=axes[0], y=axes[1], diagonal=kind == "roc"),
            )


def _ranking(key: str, dataset: str, where: str, ranking: Ranking) -> Picture:
    rows = [row for row in ranking.rows if row.rank is not None]
    told = []
    for row in rows[:_TOLD]:
        if ranking.by_mean_rank or ranking.metric is None:
            told.append(f"{legible(row.name)}, mean rank {number(row.mean_rank)}")
            continue
        score = row.scores[ranking.metric]
        spread = f" ({interval(score.low, score.high)})" if score.low is not None else ""
        told.append(f"{legible(row.name)} {number(score.value)}{spread}")
    more = f"; {len(rows) - _TOLD} more stand in the table" if len(rows) > _TOLD else ""
    outside = " An arrow at the edge: far worse, outside the picture." if is_outside(ranking) else ""
    first = f"The first {MOST_RANKED} of {len(rows)}. " if len(rows) > MOST_RANKED else ""
    return Picture(
        key=f"{key}-ranking",
        kind="ranking",
        dataset=dataset,
        title=f"{'Mean rank' if ranking.by_mean_rank else ranking.metric} {where}, with 95 % intervals",
        description=f"{first}Best first: {'; '.join(told)}{more}.{outside}",
        draw=partial(draw_ranking, ranking),
    )


def _num_ranked(ranking: Ranking) -> int:
    return sum(row.rank is not None for row in ranking.rows)


def _averaged(found: Sequence[Curve | None]) -> str:
    classes = max(one.classes for one in found if one is not None)
    return "of the second class" if classes == 1 else f"each of {classes} classes against the others, averaged"


def _areas(names: Sequence[str], found: Sequence[Curve | None]) -> str:
    pairs = zip(names, found, strict=True)
    return ", ".join(f"{legible(name)} {number(one.area)}" for name, one in pairs if one is not None)


def _of_line(line: Line) -> str:
    told = []
    for name, values in list(line.values.items())[:_TOLD]:
        known = [one.value for one in values if one is not None]
        told.append(f"{legible(name)} from {number(known[0])} to {number(known[-1])}" if known else legible(name))
    return f"From {line.places[0]:g} to {line.places[-1]:g} {line.axis}: {'; '.join(told)}."
