"""A report as text: Markdown, CSV, LaTeX, JSON. What each form reads as markup is escaped.

    as_markdown(report), as_csv(report), as_latex(report), as_json(report)

Markdown and LaTeX have the answers, the rankings and what failed; CSV a row a configuration and dataset with all its
scores and costs; JSON everything that the page says.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from raybench.report.numbers import interval, number, p_value, rate, seconds, share, signed, span
from raybench.report.page.model import Drop, Ranked, Ranking, Report

__all__ = ["as_csv", "as_json", "as_latex", "as_markdown"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--", "\u00a0": "~",
}  # fmt: skip
_NAME, _OTHER = "l", "r"  # how a column is set
_Head = list[tuple[str, str]]


def as_markdown(report: Report) -> str:
    """Tables as GitHub reads them."""
    lines = [f"# {_md(report.title)}", ""]
    for answer in report.answers:
        where = f"On {_md(answer.dataset)}" if answer.dataset else "Over all datasets"
        lines += [f"- {where}: **{_md(answer.best)}**. {_md(answer.sentence)}"]
    for title, head, rows in _tables(report):
        lines += ["", f"## {_md(title)}", ""]
        lines += [_md_row([name for name, _ in head])]
        lines += [_md_row([":--" if kind == _NAME else "--:" for _, kind in head], raw=True)]
        lines += [_md_row(row) for row in rows]
    if report.failures:
        lines += ["", "## What failed", ""]
        lines += [
            f"- {len(one.where)} × {one.status}: {_md(one.reason)} ({_md('; '.join(one.where[:5]))})"
            for one in report.failures
        ]
    if report.notes:
        lines += ["", "## To keep in mind", "", *(f"- {_md(note)}" for note in report.notes)]
    return "\n".join([*lines, "", f"Run {_md(report.provenance.run_id)}.", ""])


def as_latex(report: Report) -> str:
    """One table a ranking, for \\usepackage{booktabs}."""
    parts = [f"% run {_line(report.provenance.run_id)}; needs \\usepackage{{booktabs}}"]
    for title, head, rows in _tables(report):
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    rf"\caption{{{_latex(title)}}}",
                    rf"\begin{{tabular}}{{{''.join(kind for _, kind in head)}}}",
                    r"\toprule",
                    " & ".join(_latex(name) for name, _ in head) + r" \\",
                    r"\midrule",
                    *(" & ".join(map(_latex, row)) + r" \\" for row in rows),
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def as_csv(report: Report) -> str:
    """A row a configuration and dataset; over all datasets the dataset is `*`."""
    out = io.StringIO()
    rows = [
        {"dataset": part, "rank_by": ranking.rank_by, **_flat(row)}
        for part, ranking in [
            *([("*", report.overall)] if report.overall is not None else []),
            *((part.name, part.ranking) for part in report.datasets),
        ]
        for row in ranking.rows
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _inert(value) for name, value in row.items()})
    return out.getvalue()


def as_json(report: Report) -> str:
    """Everything that the page says; numbers that are not finite are null."""
    return json.dumps(_plain(dataclasses.asdict(report)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _tables(report: Report) -> Iterator[tuple[str, _Head, list[list[str]]]]:
    if report.overall is not None:
        yield "Over all datasets, by mean rank", *_table(report.overall)
    for part in report.datasets:
        yield f"{part.name}, {part.num_examples:,} examples, by {part.ranking.told}", *_table(part.ranking)
        if part.drops:
            yield f"{part.name} against {part.original}, on the same examples", *_drops(part.drops)


def _drops(drops: Sequence[Drop]) -> tuple[_Head, list[list[str]]]:
    names = ("before", "after", "change", "95 % interval", "adj. p")
    head = [("candidate", _NAME), ("metric", _NAME), *((name, _OTHER) for name in names)]
    values = (
        [number(one.before), number(one.after), signed(one.change), interval(one.low, one.high), p_value(one.p_value)]
        for one in drops
    )
    return head, [[one.name, one.metric, *cells] for one, cells in zip(drops, values, strict=True)]


def _table(ranking: Ranking) -> tuple[_Head, list[list[str]]]:
    """Head, each with how its column is set, and cells."""
    by_mean_rank = ranking.by_mean_rank
    head = [("rank", _OTHER), ("95 %", _OTHER), ("candidate", _NAME)]
    head += [("mean rank", _OTHER)] if by_mean_rank else []
    head += [(metric, _OTHER) for metric in ranking.metrics]
    head += [] if by_mean_rank else [("95 % interval", _OTHER)]
    head += [("P(best)", _OTHER), ("fit s", _OTHER), ("examples/s", _OTHER)]
    rows = []
    for row in ranking.rows:
        cells = [str(row.rank or "–"), span(row.rank_low, row.rank_high), row.name]
        cells += [f"{row.mean_rank:.2f}" if row.mean_rank is not None else "–"] if by_mean_rank else []
        for metric in ranking.metrics:
            score = row.scores[metric]
            cells.append(number(score.value) if row.status == "ok" else row.status)
            cells += [] if by_mean_rank else [interval(score.low, score.high)]
        cells += [share(row.p_best), seconds(row.costs["fit_seconds"]), rate(row.costs["examples_per_second"])]
        rows.append(cells)
    return head, rows


def _flat(row: Ranked) -> dict[str, Any]:
    scores = {
        f"{metric}{suffix}": getattr(value, field)
        for metric, value in row.scores.items()
        for suffix, field in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    own = ("rank", "rank_low", "rank_high", "p_best", "pareto", "mean_rank", "name", "model", "method", "num_seeds")
    return {**{name: getattr(row, name) for name in (*own, "status", "reason")}, **scores, **row.costs}


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _md(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$@])", r"\\\1", _line(text))


def _md_row(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cell if raw else _md(cell) for cell in cells)} |"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _line(text))


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
