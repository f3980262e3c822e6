"""The pictures themselves: a ranking with its intervals, quality against cost, curves, lines along an axis.

Each function draws values of the report's model in a theme's colours and returns a matplotlib figure. They are as wide
as a phone's screen and grow with the page, so that their text can be read on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from raybench.report.numbers import number
from raybench.report.page.model import Line, Ranked, Ranking
from raybench.report.page.theme import MARKERS, Theme, lay_out, legible, new_figure
from raybench.results.curves import Curve, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FEWEST_IN_BIN",
    "MOST_RANKED",
    "draw_costs",
    "draw_curves",
    "draw_lines",
    "draw_ranking",
    "draw_reliability",
    "is_outside",
]

MOST_RANKED = 25  # rows of a picture of a ranking
FEWEST_IN_BIN = 10  # examples of a point of a reliability curve: of fewer, accuracy is a matter of chance
_WIDTH = 3.8  # inches
_CALIBRATED = 3  # lines of a reliability curve, whose bins scatter
_NAMED = 8  # points of a scatter that are named
_TICKS = 8  # places of an axis that are all named
_FEW_POWERS = 100.0  # of an axis from one end to the other: with 1, 2 and 5 times each power named
_BANDS = 3  # lines that have intervals; of more they would cover each other
_REACH = 3.0  # how far below the best a picture reaches, in distances of the better half
_LETTER, _LINE, _BESIDE = 4.0, 9.0, 6.0  # points: a letter's width, a line's height, how far a name is from its point


class _Point(NamedTuple):
    row: Ranked
    value: float
    low: float | None
    high: float | None


def draw_ranking(ranking: Ranking, theme: Theme) -> Figure:
    """Each configuration's value with its 95 % interval, the best on top; those whose rank may be 1 stand out.

    What is far worse than the better half stands at the edge as an arrow, so that those can be told apart.
    """
    points = _points(ranking)[:MOST_RANKED]
    figure = new_figure(_WIDTH, 0.62 + 0.24 * len(points))
    axes = figure.subplots()
    start, stop = _window(ranking)
    for place, (row, value, low, high) in enumerate(points):
        color = theme.series[0] if (row.rank_low or row.rank or 0) <= 1 else theme.muted
        at = min(max(value, start), stop)
        if at != value:
            axes.plot([at], [place], "<" if value < start else ">", color=color, markersize=5, clip_on=False)
        else:
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=color, linewidth=2.4, solid_capstyle="round", alpha=0.5)
            face = theme.paper if _is_baseline(row) else color
            axes.plot([value], [place], "o", color=color, markersize=6, markerfacecolor=face, markeredgewidth=1.4)
        axes.annotate(
            number(value), (1.0, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", ha="left", fontsize=7.5, color=theme.ink,
        )  # fmt: skip
    axes.set_xlim(start, stop)
    axes.set_yticks(range(len(points)), [legible(point.row.name) for point in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(_titled(ranking))
    return figure


def is_outside(ranking: Ranking) -> bool:
    """Whether a picture of the ranking shows some values as arrows at its edge."""
    start, stop = _window(ranking)
    return any(not start <= point.value <= stop for point in _points(ranking)[:MOST_RANKED])


def draw_costs(ranking: Ranking, theme: Theme) -> Figure:
    """The metric against seconds to fit and milliseconds an example, each on a scale of powers of ten."""
    figure = new_figure(_WIDTH, 4.6)
    panels = list(zip(figure.subplots(2, 1), _COSTS.items(), strict=True))
    start, stop = _window(ranking)
    for axes, (title, cost) in panels:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.minorticks_off()
        axes.set_xlabel(title)
        axes.set_ylabel(_titled(ranking))
        for point, x in _costing(ranking, cost):
            at, color = min(max(point.value, start), stop), theme.series[0] if point.row.pareto else theme.muted
            marker = "o" if at == point.value else "v" if point.value < start else "^"
            face = theme.paper if _is_baseline(point.row) and marker == "o" else color
            axes.plot([x], [at], marker, color=color, markerfacecolor=face, markersize=6, clip_on=False)
        _leave_room(axes)
        axes.set_ylim(start, stop)
    lay_out(figure)  # names are put beside points whose places are known
    for axes, (_, cost) in panels:
        _name_points(axes, [(one, x) for one, x in _costing(ranking, cost) if start <= one.value <= stop], theme)
    return figure


def draw_reliability(names: Sequence[str], found: Sequence[Reliability | None], theme: Theme) -> Figure:
    """Accuracy against confidence; on the diagonal a candidate is as sure as it should be."""
    figure, axes = _square(theme)
    for place, (name, one) in enumerate(zip(names, found, strict=True)):
        if one is not None and place < _CALIBRATED:
            filled = [bin for bin, examples in enumerate(one.examples) if examples >= FEWEST_IN_BIN]
            sure, right = ([of[bin] for bin in filled] for of in (one.confidence, one.accuracy))
            _series(axes, sure, right, name, place, theme)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    _legend(figure, axes)
    return figure


def draw_curves(
    names: Sequence[str], found: Sequence[Curve | None], theme: Theme, *, x: str, y: str, diagonal: bool
) -> Figure:
    """A curve a candidate, with its area in the legend."""
    figure, axes = _square(theme, diagonal=diagonal)
    for place, (name, one) in enumerate(zip(names, found, strict=True)):
        if one is not None:
            label = f"{legible(name)}  {number(one.area)}"
            axes.plot(one.x, one.y, color=theme.series[place], linewidth=1.6, linestyle=_DASHES[place], label=label)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    _legend(figure, axes)
    return figure


def draw_lines(line: Line, theme: Theme) -> Figure:
    """A metric along an axis, a line a candidate, of few with its 95 % interval as a band."""
    figure = new_figure(_WIDTH, 3.0 + 0.1 * len(line.values))
    axes = figure.subplots()
    for place, (name, values) in enumerate(line.values.items()):
        pairs = [(x, one) for x, one in zip(line.places, values, strict=True) if one is not None]
        known = [(x, one.value, one.low, one.high) for x, one in pairs if one.value is not None]
        if not known:
            continue
        _series(axes, [x for x, *_ in known], [y for _, y, *_ in known], name, place, theme)
        bands = [(x, low, high) for x, _, low, high in known if low is not None and high is not None]
        if len(line.values) <= _BANDS and len(bands) == len(known):
            x, low, high = (list(of) for of in zip(*bands, strict=True))
            axes.fill_between(x, low, high, color=theme.series[place], alpha=0.15, linewidth=0)
    if line.places[0] > 0 and line.places[-1] / line.places[0] >= 10:
        axes.set_xscale("log")
    if len(line.places) <= _TICKS:
        axes.set_xticks(line.places, [f"{x:g}" for x in line.places])
    axes.minorticks_off()
    axes.set_xlabel(line.axis)
    axes.set_ylabel(line.metric)
    _legend(figure, axes)
    return figure


_DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), "-", "--", "-.")
_Cost = Callable[[Mapping[str, float | None]], float | None]


def _milliseconds(costs: Mapping[str, float | None]) -> float | None:
    rate = costs.get("examples_per_second")
    return 1000 / rate if rate else None


_COSTS: Mapping[str, _Cost] = {
    "seconds to fit": lambda costs: costs.get("fit_seconds"),
    "milliseconds an example": _milliseconds,
}


def _costing(ranking: Ranking, cost: _Cost) -> list[tuple[_Point, float]]:
    """The ranked ones that have this cost, with it."""
    return [(point, x) for point in _points(ranking) if (x := cost(point.row.costs)) is not None and x > 0]


def _points(ranking: Ranking) -> list[_Point]:
    """What is drawn of each ranked row: its metric, or its mean rank with the ends of its rank."""
    found = []
    for row in ranking.rows:
        value: float | None
        low: float | None
        high: float | None
        if ranking.by_mean_rank or ranking.metric is None:
            value, low, high = row.mean_rank, row.rank_low, row.rank_high
        else:
            score = row.scores[ranking.metric]
            value, low, high = score.value, score.low, score.high
        if row.rank is None or value is None or not isfinite(value):
            continue
        is_known = low is not None and high is not None and isfinite(low) and isfinite(high)
        found.append(_Point(row, value, low if is_known else None, high if is_known else None))
    return found


def _window(ranking: Ranking) -> tuple[float, float]:
    """From where to where values are drawn in place: around the better half, as far as it reaches and more."""
    points = _points(ranking)
    half = points[: max(2, (len(points) + 1) // 2)]
    ends = [end for point in half for end in (point.value, point.low, point.high) if end is not None]
    low, high = min(ends), max(ends)
    reach = _REACH * (high - low) or 0.1 * abs(high) or 1.0
    every = [end for point in points for end in (point.value, point.low, point.high) if end is not None]
    is_low_better = not ranking.higher_is_better or ranking.by_mean_rank
    start = low if is_low_better else max(min(every), high - reach)
    stop = min(max(every), low + reach) if is_low_better else high
    margin = 0.05 * (stop - start) or 0.05
    return start - margin, stop + margin


def _titled(ranking: Ranking) -> str:
    if ranking.by_mean_rank or ranking.metric is None:
        return "mean rank (less is better)"
    return ranking.metric if ranking.higher_is_better else f"{ranking.metric} (less is better)"


def _is_baseline(row: Ranked) -> bool:
    return row.model.startswith("baseline:")


def _leave_room(axes: Axes) -> None:
    """For names, on the right; with more ticks where powers of ten are few."""
    from matplotlib.ticker import LogLocator

    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.3)
    if right / left < _FEW_POWERS:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _name_points(axes: Axes, points: Sequence[tuple[_Point, float]], theme: Theme) -> None:
    """Names of the front's points, or of the first few, each beside its own, where it touches no other."""
    named = [(point, x) for point, x in points if point.row.pareto] or list(points)
    figure = axes.get_figure(root=True)
    assert figure is not None
    frame, scale = axes.get_window_extent(), figure.dpi / 72
    places = [tuple(axes.transData.transform((x, point.value))) for point, x in points]
    taken = [_Box(x - 4 * scale, x + 4 * scale, y - 4 * scale, y + 4 * scale) for x, y in places]
    for point, x in sorted(named[:_NAMED], key=lambda one: -one[0].value):
        across, up = axes.transData.transform((x, point.value))
        name = legible(point.row.name)
        wide, beside = _LETTER * len(name) * scale, _BESIDE * scale
        boxes = [
            _Box(begin, begin + wide, up + shift - _LINE * scale / 2, up + shift + _LINE * scale / 2)
            for shift in (sign * step * scale for step in range(0, 40, 4) for sign in (-1, 1))
            for begin in (across + beside, across - wide - beside)
        ]
        free = [box for box in boxes if box.left >= frame.x0 and box.right <= frame.x1 and box.low >= frame.y0]
        box = next((box for box in free if not any(box.touches(other) for other in taken)), boxes[0])
        taken.append(box)
        offset = (box.left - across) / scale, ((box.low + box.high) / 2 - up) / scale
        axes.annotate(
            name, (x, point.value), xytext=offset, textcoords="offset points", va="center", ha="left", fontsize=7,
            color=theme.ink,
        )  # fmt: skip


class _Box(NamedTuple):
    left: float
    right: float
    low: float
    high: float

    def touches(self, other: _Box) -> bool:
        is_beside = self.right <= other.left or other.right <= self.left
        return not (is_beside or self.high <= other.low or other.high <= self.low)


def _square(theme: Theme, *, diagonal: bool = True) -> tuple[Figure, Axes]:
    figure = new_figure(_WIDTH, 3.9)
    axes = figure.subplots()
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=0.8, linestyle=(0, (2, 3)))
    return figure, axes


def _series(axes: Axes, x: Sequence[float], y: Sequence[float], name: str, place: int, theme: Theme) -> None:
    look = {"color": theme.series[place], "marker": MARKERS[place], "linestyle": _DASHES[place]}
    axes.plot(x, y, markersize=4.5, linewidth=1.5, label=legible(name), **look)  # type: ignore[arg-type]


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, labels), default=0) <= 22 else 1
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, handlelength=3.2)
