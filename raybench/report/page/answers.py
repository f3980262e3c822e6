"""Which to use, in words: the best of each dataset, whom it cannot be told apart from, and the cheapest of those."""

from __future__ import annotations

from collections.abc import Sequence

from raybench.report.numbers import number, rate, seconds
from raybench.report.page.model import Answer, DatasetPart, Pairs, Ranked, Ranking

__all__ = ["answers_of"]

_LEVEL = 0.05


def answers_of(overall: Ranking | None, datasets: Sequence[DatasetPart]) -> tuple[Answer, ...]:
    """One over all datasets where there are several, then one a dataset."""
    found = [_overall(overall)] if overall is not None else []
    return tuple(answer for answer in [*found, *map(_of_dataset, datasets)] if answer is not None)


def _overall(ranking: Ranking) -> Answer | None:
    rows = [row for row in ranking.rows if row.rank is not None]
    if not rows:
        return None
    best = rows[0]
    rivals = [row for row in rows[1:] if row.rank_low == 1]
    told = f"Best mean rank, {best.mean_rank:.2f}" if best.mean_rank is not None else "Best"
    if ranking.metric is not None:
        told += f", with a mean {ranking.metric} of {number(best.scores[ranking.metric].value)}"
    return Answer(dataset="", best=best.name, sentence=f"{told}. {_told_apart(best, rivals)}")


def _of_dataset(part: DatasetPart) -> Answer | None:
    ranking = part.ranking
    rows = [row for row in ranking.rows if row.rank is not None]
    if not rows or not ranking.metrics:
        return None
    best = rows[0]
    values = []
    for metric in ranking.metrics:
        score = best.scores[metric]
        spread = f" (95 % interval {number(score.low)} – {number(score.high)})" if score.low is not None else ""
        values.append(f"{metric} is {number(score.value)}{spread}")
    pairs = part.pairs if ranking.metric is not None else None  # their tests are of one metric
    told = _told_apart(best, _rivals(rows, pairs))
    sentence = f"Its {', its '.join(values)}. {told}"
    return Answer(dataset=part.name, best=best.name, sentence=sentence)


def _rivals(rows: Sequence[Ranked], pairs: Pairs | None) -> list[Ranked]:
    """Those that a paired test did not tell apart from the best; of those not tested, whose rank may be 1."""
    tested = {}
    if pairs is not None:
        tested = {pairs.names[test.second]: test.adjusted for test in pairs.tests if test.first == 0}
    return [row for row in rows[1:] if (tested[row.name] > _LEVEL if row.name in tested else row.rank_low == 1)]


def _told_apart(best: Ranked, rivals: Sequence[Ranked]) -> str:
    if not rivals:
        return "These data tell it apart from every other candidate."
    named = ", ".join(row.name for row in rivals[:5]) + (f" and {len(rivals) - 5} more" if len(rivals) > 5 else "")
    line = f"These data cannot tell it apart from {named}."
    quick = [row for row in (best, *rivals) if row.costs.get("examples_per_second")]
    if quick:
        cheapest = max(quick, key=lambda row: row.costs["examples_per_second"] or 0.0)
        fit = f", fitted in {seconds(cheapest.costs['fit_seconds'])} s" if cheapest.costs.get("fit_seconds") else ""
        line += (
            f" The fastest of them is {cheapest.name}: {rate(cheapest.costs['examples_per_second'])} examples/s{fit}."
        )
    return line
