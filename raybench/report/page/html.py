"""A report as one HTML file that needs nothing else: style, script and pictures inside, everything from data escaped.

    Path("report.html").write_text(html_of(report), encoding="utf-8")

The page's policy lets no script run but its own, known by its hash, and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from raybench.report.numbers import brief, count, interval, number, p_value, rate, share, signed, span
from raybench.report.page.model import DatasetPart, Report
from raybench.report.page.pictures import Picture, pictures_of
from raybench.report.page.theme import PAGE, legible_text, style, svg_of

__all__ = ["html_of"]

_LEVEL = 0.05  # of the tests' adjusted p-values
_WEIGHS = 0.2  # share of the largest change of a score, from which on a piece is marked
_NAMED = 5  # pieces of a cell
_HEAT = 0.5  # opacity of the fullest cell: text on it can still be read


def html_of(report: Report) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("raybench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= {
        "number": number, "interval": lambda value: interval(value.low, value.high), "rate": rate, "brief": brief,
        "count": count, "share": share, "signed": signed, "p": p_value,
    }  # fmt: skip
    environment.globals |= {
        "span": span,
        "level": _LEVEL,
        "weighs": lambda change, largest: abs(change) >= _WEIGHS * largest > 0,
        "weightiest": _weightiest,
        "heat": lambda part, whole: f"{_HEAT * part / (whole or 1):.3f}",
    }
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html.j2").render(
        report=report,
        pictures=_drawn(report),
        sections=[(f"d{place}", part, _tests(part)) for place, part in enumerate(report.datasets, 1)],
        style=Markup(_file("page.css")),
        script=Markup(script),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:",
    )


def _drawn(report: Report) -> Mapping[str, tuple[Picture, Markup]]:
    """Every picture by its key, as an element."""
    with style(PAGE):
        return {
            picture.key: (
                picture,
                Markup(
                    svg_of(picture.draw(PAGE), key=picture.key, title=picture.title, description=picture.description)
                ),
            )
            for picture in pictures_of(report)
        }


def _tests(part: DatasetPart) -> Mapping[tuple[int, int], Any]:
    """Tests by the places of their two."""
    return {(test.first, test.second): test for test in part.pairs.tests} if part.pairs is not None else {}


def _weightiest(pieces: Sequence[tuple[str, float]], largest: float) -> list[tuple[str, float]]:
    """The pieces that change a score most, the most first."""
    found = [one for one in pieces if abs(one[1]) >= _WEIGHS * largest > 0]
    return sorted(found, key=lambda one: -abs(one[1]))[:_NAMED]


def _file(name: str) -> str:
    return (files("raybench.report.page") / "templates" / name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    """What is put into the page, without characters that no page can hold."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else legible_text(value)
