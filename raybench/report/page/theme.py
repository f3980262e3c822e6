"""How pictures look, and a picture as SVG for a page or as a file.

    figure, axes = new_figure(PRINT, width=4.0, height=2.5)
    svg_of(figure, key="f1", title="…", description="…")       # for a page: its colours are the page's own
    file_of(figure, "png")                                      # bytes

Drawn with matplotlib, whose SVG holds text as text. For a page, colours are placeholders that become CSS variables, so
one picture serves light and dark; ids are made unique, and a title and a description are put inside.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PAGE", "PRINT", "Theme", "file_of", "legible", "legible_text", "new_figure", "style", "svg_of"]

SERIES = 8
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_SVG = "http://www.w3.org/2000/svg"
_UNWANTED = (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style")  # a style inside a page would be of the whole page
_WIDEST = 24.0  # small letters of a name in a picture; its table has the whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours: of text, of what matters less, of lines behind, of what lies behind all, and of series."""

    ink: str
    muted: str
    grid: str
    paper: str
    series: tuple[str, ...]


PRINT = Theme(
    ink="#1b1f24",
    muted="#59636e",
    grid="#d8dee4",
    paper="#ffffff",
    series=("#0b62c4", "#b3460b", "#1a7f37", "#8250df", "#9a6700", "#0e7f8c", "#bf3989", "#57606a"),
)
PAGE = Theme(  # colours that nothing has: each is replaced by the page's own
    ink="#010203",
    muted="#010204",
    grid="#010205",
    paper="#010206",
    series=tuple(f"#0103{place:02x}" for place in range(SERIES)),
)
_VARIABLES = {
    PAGE.ink: "var(--ink)",
    PAGE.muted: "var(--muted)",
    PAGE.grid: "var(--line)",
    PAGE.paper: "var(--paper)",
    **{color: f"var(--s{place})" for place, color in enumerate(PAGE.series)},
}


@contextmanager
def style(theme: Theme) -> Iterator[None]:
    """matplotlib's settings while a figure is made and written: text stays text, names are never read as formulas."""
    import matplotlib

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "raybench",
        "text.parse_math": False,
        "axes.formatter.use_mathtext": False,
        "font.size": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 8,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.ink,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter that the measuring font lacks is drawn by another
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, whose axes fit themselves in."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def legible(name: str) -> str:
    """A name as it stands in a picture: cut where it is wide, without what XML cannot hold."""
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", name)
    width = 0.0
    for place, letter in enumerate(plain):
        width += 1.8 if east_asian_width(letter) in "WF" else 1.4 if letter.isupper() or letter in "mw@%" else 1.0
        if width > _WIDEST:
            return plain[:place] + "…"
    return plain


def file_of(figure: Figure, form: str, theme: Theme) -> bytes:
    """The picture as "svg" or "png" on its paper."""
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=200, facecolor=theme.paper, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def svg_of(figure: Figure, *, key: str, title: str, description: str) -> str:
    """The picture as an element for a page; `key` is unique on it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(out.getvalue())  # our own text, of matplotlib
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _UNWANTED or (child.tag == f"{{{_SVG}}}defs" and not len(child)):
                parent.remove(child)
    used = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        _make_own(element, key, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-description")
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        made = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{key}-{'title' if tag == 'title' else 'description'}"})
        made.text = legible_text(text)
        root.insert(place, made)
    for element in root.iter():  # what is between elements is room alone
        element.tail = None
        if not (element.text or "").strip():
            element.text = None
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def legible_text(text: str) -> str:
    """A text of any length without what XML cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r" ?font-family: [^;]*;?")  # the page's
_REFERENCE = re.compile(r"#([\w.-]+)")


def _references(element: ElementTree.Element) -> Iterator[str]:
    for name, value in element.attrib.items():
        if name.endswith("href") or "url(#" in value:
            yield from _REFERENCE.findall(value)


def _make_own(element: ElementTree.Element, key: str, used: set[str]) -> None:
    """Ids that are referred to get the page's key before them, others go; colours become the page's; numbers short."""
    for name, value in list(element.attrib.items()):
        if name == "id":
            if value in used:
                element.set(name, f"{key}-{value}")
            else:
                del element.attrib[name]
            continue
        if name.endswith("href"):
            del element.attrib[name]
            element.set("href", value.replace("#", f"#{key}-"))
            continue
        if "url(#" in value:
            value = value.replace("url(#", f"url(#{key}-")
        if name == "style":
            value = _FONT.sub("", value)
            for color, variable in _VARIABLES.items():
                value = value.replace(color, variable)
        if name in ("d", "transform", "x", "y", "points", "width", "height"):
            value = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", " ".join(value.split()))
        element.set(name, value)
