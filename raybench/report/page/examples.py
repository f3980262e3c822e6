"""Examples to look at: those that the better configurations get most wrong, and those that divide them most.

examples_of(best, labels, rows)     # `rows` are the raw ones, or why there are none
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError, MetricError
from raybench.report.page.best import Scored
from raybench.report.page.model import Example, Examples
from raybench.results.example_losses import answers_of, losses_of, truths_of
from raybench.results.raw_rows import by_id

__all__ = ["EACH", "examples_of"]

EACH = 9  # examples of either kind
_MOST = 8  # configurations
_RIGHT_BELOW = 0.5  # of the loss of a class, which is 0 or 1 and a little more
_CHARACTERS = 2_000  # of a cell
_REPEAT = re.compile(r"(?<=^[0-9a-f]{32})-\d+$")  # what tells ids of equal rows apart
_PIXELS = 160  # of a picture's longer side
_NOT_SHOWN = ("label", "labels", "tags", "value", "id")  # what would be right stands in the records


def examples_of(
    best: Sequence[Scored], labels: Sequence[str], rows: pa.Table | DataError | None, *, num_hardest: int = EACH
) -> Examples | None:
    """Of the first seed of the better half of the configurations, at most eight; None where nothing tells how wrong."""
    shown = best[: max(2, min(_MOST, (len(best) + 1) // 2))]
    if not shown:
        return None
    tables = [one.records[0] for one in shown]
    if any(not table.column("id").equals(tables[0].column("id")) for table in tables):
        return None
    try:
        found = [losses_of(table) for table in tables]
    except MetricError:
        return None
    losses = [one for one in found if one is not None]
    if len(losses) < len(tables):
        return None
    losses_KN = np.stack(losses)
    finite_KN = np.where(
        np.isfinite(losses_KN), losses_KN, np.nanmax(np.where(np.isfinite(losses_KN), losses_KN, 0)) + 1
    )
    ids = tables[0].column("id").to_pylist()
    hardest = _largest(finite_KN.mean(axis=0), ids, num_hardest)
    disputed = _largest(finite_KN.std(axis=0), ids, EACH) if len(shown) > 1 else []
    raw, reason = _raw(rows, tables[0], [*hardest, *disputed])
    make = _Maker(tables, labels, losses_KN, raw)
    return Examples(
        names=tuple(one.name for one in shown),
        hardest=tuple(make.example(place) for place in hardest),
        disputed=tuple(make.example(place) for place in disputed),
        right_below=_RIGHT_BELOW if _has_classes(tables[0]) else None,
        reason=reason,
    )


def _has_classes(records: pa.Table) -> bool:
    """Whether an answer is right or wrong, and not more or less so."""
    kinds = [records.schema.field(name).type for name in ("target", "prediction") if name in records.column_names]
    return len(kinds) == 2 and all(map(pa.types.is_integer, kinds))


class _Maker:
    """Examples of the records of several configurations."""

    def __init__(
        self, tables: Sequence[pa.Table], labels: Sequence[str], losses_KN: np.ndarray, raw: dict[str, dict[str, Any]]
    ) -> None:
        self._tables, self._labels, self._losses_KN, self._raw = tables, labels, losses_KN, raw

    def example(self, place: int) -> Example:
        rows = [table.slice(place, 1) for table in self._tables]
        name = rows[0].column("id")[0].as_py()
        return Example(
            id=name,
            cells=tuple((column, _cell(value)) for column, value in self._raw.get(name, {}).items()),
            truth=_cut(truths_of(rows[0], self._labels)[0]),
            answers=tuple(_cut(answers_of(row, self._labels)[0]) for row in rows),
            losses=tuple(float(loss) for loss in self._losses_KN[:, place]),
        )


def _largest(values_N: np.ndarray, ids: Sequence[str], count: int) -> list[int]:
    """Places of the largest values above 0, the largest first, ties by place; of rows with equal content the first."""
    found: dict[str, int] = {}
    for place in np.argsort(-values_N, kind="stable"):
        if len(found) == count or values_N[place] <= 0:
            break
        found.setdefault(_REPEAT.sub("", ids[place]), int(place))
    return list(found.values())


def _raw(
    rows: pa.Table | DataError | None, records: pa.Table, places: Sequence[int]
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """By id what is to be shown of a row, or why there is nothing."""
    if rows is None:
        return {}, "examples were left out"
    if isinstance(rows, DataError):
        return {}, str(rows)
    ids = pc.unique(records.column("id").take(pa.array(places, pa.int64()))).to_pylist()
    columns = [name for name in rows.column_names if name not in _NOT_SHOWN and not name.startswith("slice_")]
    try:
        found = by_id(rows, ids).select(columns).to_pylist()
    except DataError as error:
        return {}, str(error)
    return dict(zip(ids, found, strict=True)), None


def _cell(value: Any) -> str:
    """What a cell of a row holds, as text; a picture as the address of its own bytes."""
    if isinstance(value, dict) and {"height", "width", "channels", "data"} <= value.keys():
        return _picture(value)
    if isinstance(value, dict):
        return _cut(", ".join(f"{key}: {_plain(cell)}" for key, cell in value.items() if cell is not None))
    if isinstance(value, list):
        return _cut(" · ".join(map(_plain, value)))
    return _cut(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "(bytes)" if isinstance(value, bytes) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} … ({len(text):,} characters)"


def _picture(value: dict[str, Any]) -> str:
    from PIL import Image

    shape = (value["height"], value["width"], value["channels"])
    data = value["data"]
    pixels = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data, np.uint8)
    pixels = pixels.reshape(shape)
    image = Image.fromarray(pixels[:, :, 0] if shape[2] == 1 else pixels)
    image.thumbnail((_PIXELS, _PIXELS))
    out = io.BytesIO()
    image.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
