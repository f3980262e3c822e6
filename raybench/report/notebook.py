"""What a notebook shows: a ranking as tables with their pictures, and how far a run has got.

in_notebooks(ranking)        # a ranking whose value in a cell is shown so
bar = NotebookBar()          # where a kernel of Jupyter runs
bar.show(0.4, ["2/5 trials, about 3 min left", "minilm-full on bbc-100: epoch 1 of 2"])
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from raybench.job.rank_by import weights_of
from raybench.results.ranking import Ranking
from raybench.results.tables import OVERALL

__all__ = ["NotebookBar", "in_notebooks"]


class NotebookRanking(Ranking):
    """A ranking that a notebook shows as tables and pictures."""

    def _repr_html_(self) -> str:
        by_dataset: dict[str, list[dict[str, Any]]] = {}
        for row in self.table.to_pylist():
            if row["split"] == "test":
                by_dataset.setdefault(row["dataset"], []).append(row)
        metrics, higher = (self.scores[name].to_pylist() for name in ("metric", "higher_is_better"))
        directions = dict(zip(metrics, higher, strict=True))
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return "".join(_dataset(name, rows, directions) for name, rows in by_dataset.items()) + notes


def in_notebooks(ranking: Ranking) -> Ranking:
    """The same ranking, shown by notebooks with its pictures."""
    return NotebookRanking(**{field.name: getattr(ranking, field.name) for field in fields(ranking)})


def _dataset(dataset: str, rows: list[dict[str, Any]], higher: dict[str, bool]) -> str:
    import pandas as pd

    title = "over all datasets" if dataset == OVERALL else f"on {dataset}"
    metrics = list(weights_of(rows[0]["rank_by"])) if rows[0]["rank_by"] is not None else []
    values = [f"{name}{end}" for name in metrics if name in rows[0] for end in ("", "_low", "_high")]
    columns = ["rank", "rank_low", "rank_high", "candidate", "mean_rank", *values, "fit_seconds", "status"]
    shown = pd.DataFrame(rows, columns=columns).dropna(axis=1, how="all")
    ranks = ["rank", "rank_low", "rank_high"]
    shown = shown.astype({name: "Int64" for name in ranks if name in shown})
    table = shown.to_html(index=False, na_rep="–", float_format="{:.3f}".format, border=0)
    return f"<h4>{html.escape(title)}</h4>{_picture(rows, metrics, higher, title)}{table}"


def _picture(rows: list[dict[str, Any]], metrics: Sequence[str], higher: dict[str, bool], title: str) -> str:
    """Who stands where with which interval, as an image; "" where nobody is ranked."""
    if not any(row["rank"] is not None for row in rows):
        return ""
    from raybench.report.page.drawings import draw_ranking
    from raybench.report.page.rankings import ranking_of
    from raybench.report.page.theme import PRINT, file_of, style

    with style(PRINT):
        drawn = file_of(draw_ranking(ranking_of(rows, metrics, higher), PRINT), "svg", PRINT)
    data = base64.b64encode(drawn).decode()
    said = html.escape(f"Ranking {title}, with 95 % intervals; the table has the values.")
    return f'<img alt="{said}" style="width: 30em" src="data:image/svg+xml;base64,{data}">'


class NotebookBar:
    """A bar and lines below it, drawn anew in their place."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def show(self, share: float, lines: Sequence[str]) -> None:
        """`share` from 0 to 1 of the work is done."""
        self._handle.update(self._html(bar_html(share, lines)))

    def close(self) -> None:
        """Nothing is left of it: what stays was said in lines."""
        self._handle.update(self._html(""))


def bar_html(share: float, lines: Sequence[str]) -> str:
    """The bar, its first line beside it and the others below."""
    first, *others = [html.escape(line) for line in lines] or [""]
    below = "".join(f"<br>{line}" for line in others)
    return f'<progress max="1" value="{share:.3f}"></progress> {first}<small>{below}</small>'
