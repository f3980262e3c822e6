"""Names of classes to their places: labels found from the data, or taken from the configuration.

    encoded(table, {}, frozenset({"target", "prediction"}))     # (table with integers, {"labels": ["cat", "dog"]})

Names (strings, also dictionary-encoded and categorical) are classes by themselves; without `labels` the classes are the
sorted union of those that occur. Integers are places in `labels`, unless the labels are integers too: then they are
names. Integers without labels are names as well, and none below 0 is a class. A prediction that is no class is wrong
(but digits as text are an error); a target that is none is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import MetricError
from raybench.metrics.columns import column_of, integer_lists_of, integers_of, is_text, refuse, text_lists_of
from raybench.metrics.confusion import IGNORE_INDEX

__all__ = ["encoded"]

_SINGLE = ("target", "prediction")
_LISTS = ("truth_labels", "labels")  # of boxes
_WIDTHS = ("scores", "probabilities", "logits", "targets", "intersection")  # one entry a class
_NO_CLASS = -1
_MOST = 1 << 16  # classes found in the data: more are numbers that were taken for classes


def encoded(
    table: pa.Table,
    config: Mapping[str, Any],
    needed: Collection[str],
    named: Sequence[str] | None = None,
    *,
    required: bool = True,
) -> tuple[pa.Table, dict[str, Any]]:
    """The table with places of classes in place of names, and the configuration with `labels` if they were found.

    `needed` are the columns that the metrics read, `named` the class names that came with the table. Where labels are
    not `required`, integers stay what they are.
    """
    config = dict(config)
    if named is not None and config.get("labels") is None:
        config["labels"] = list(named)
    columns = [name for name in (*_SINGLE, *_LISTS) if name in needed and name in table.column_names]
    tags = [name for name in ("target_tags", "tags") if name in needed and name in table.column_names]
    if config.get("labels") is None:
        if not required and not any(_is_text(table, name) for name in columns):
            return table, config
        labels = _of_tags(table, tags) if tags else _found(table, columns, config)
        labels = [0, 1] if labels is None and not table.num_rows else labels
        if labels is None:
            return table, config
        config["labels"] = labels
    labels = config["labels"]
    ignored = config.get("ignore_index", IGNORE_INDEX)
    are_names = all(isinstance(label, Integral) for label in labels) and list(labels) != list(range(len(labels)))
    moved = False
    for name in columns:
        if not _is_text(table, name) and not are_names:
            continue
        table, moved = _placed(table, name, labels, ignored), True
    if moved and ignored is not None:
        config["ignore_index"] = IGNORE_INDEX
    return table, config


def _found(table: pa.Table, columns: Sequence[str], config: Mapping[str, Any]) -> list[Any] | None:
    """The classes of the data: what occurs in `columns`, or the entries of a list a row; None without either."""
    texts = [name for name in columns if _is_text(table, name)]
    if texts and len(texts) < len(columns):
        other = next(name for name in columns if name not in texts)
        raise MetricError(
            f"column {texts[0]!r} holds strings and column {other!r} {column_of(table, other).type}; expected names in "
            "both, or the names in the order of their numbers as 'labels' in the configuration"
        )
    width = _width(table)
    if texts:
        names = sorted({name for column in texts for name in _unique(table, column)})
        if width is not None and len(names) != width and set(columns) & set(_SINGLE):
            raise MetricError(
                f"'target' has {len(names)} names of classes and the lists of scores {width} entries; expected the "
                "names in the order of the scores as 'labels' in the configuration"
            )
        return names
    if width is not None:
        return list(range(width))
    if not columns:
        return None
    values = np.unique(np.concatenate([_integers(table, column) for column in columns]))
    values = values[values >= 0]
    if "target" in columns and config.get("ignore_index", IGNORE_INDEX) is not None:
        values = values[values != config.get("ignore_index", IGNORE_INDEX)]
    if values.size > _MOST:
        raise MetricError(
            f"'target' and 'prediction' hold {values.size} different numbers; expected classes, at most {_MOST} of them"
        )
    return list(range(2)) if values.size == 0 or values[-1] <= 1 else values.tolist()


def _of_tags(table: pa.Table, columns: Sequence[str]) -> list[str]:
    return sorted({tag for column in columns for tags in text_lists_of(table, column) for tag in tags}) or ["O"]


def _width(table: pa.Table) -> int | None:
    for name in _WIDTHS:
        if name in table.column_names and table.num_rows:
            kind = table.schema.field(name).type
            if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
                first = table.column(name)[0].as_py()
                return len(first) if first else None
    return None


def _is_text(table: pa.Table, name: str) -> bool:
    kind = column_of(table, name).type
    if name in _LISTS and hasattr(kind, "value_type"):
        kind = kind.value_type
    return is_text(kind) and not pa.types.is_null(kind)


def _unique(table: pa.Table, name: str) -> list[Any]:
    if name in _LISTS:
        return [label for labels in text_lists_of(table, name) for label in labels]
    return pc.unique(column_of(table, name)).to_pylist()


def _integers(table: pa.Table, name: str) -> np.ndarray:
    if name in _LISTS:
        return integer_lists_of(table, name).values
    return pc.unique(pa.chunked_array([integers_of(table, name)])).to_numpy()


def _is_digits(name: str) -> bool:
    """Whether a name is a number as text: then it is meant for a place in `labels`, and is no wrong answer."""
    try:
        float(name)
    except ValueError:
        return False
    return True


def _placed(table: pa.Table, name: str, labels: Sequence[Any], ignored: int | None) -> pa.Table:
    """The table with the place of each class in `labels`; the ignore index stays apart from all of them."""
    column = column_of(table, name)
    if name in _LISTS:
        values = pa.array([label for row in column.to_pylist() for label in row])
    elif _is_text(table, name):
        values = pa.concat_arrays(column.cast(pa.string()).chunks or [pa.array([], pa.string())])
    else:
        values = pa.array(integers_of(table, name))
    known = pa.array([label for label in labels if isinstance(label, str) == _is_text(table, name)])
    places = {label: place for place, label in enumerate(labels)}
    order = np.array([places[label] for label in known.to_pylist()] or [_NO_CLASS])
    if len(known) and len(values):
        at = pc.index_in(values, value_set=known.cast(values.type)).fill_null(_NO_CLASS).to_numpy(zero_copy_only=False)
        codes = np.where(at < 0, _NO_CLASS, order[at])
    else:
        codes = np.full(len(values), _NO_CLASS)
    kept = np.ones(len(values), dtype=bool)
    if name == "target" and ignored is not None and pa.types.is_integer(values.type):
        kept = values.to_numpy(zero_copy_only=False) != ignored
        codes = np.where(kept, codes, IGNORE_INDEX)
    wrong = kept & (codes == _NO_CLASS)
    if name == "prediction" and _is_text(table, name):
        wrong &= np.array([_is_digits(value) for value in values.to_pylist()], dtype=bool) if wrong.any() else False
    if wrong.any() and (name != "prediction" or _is_text(table, name)):
        place = int(np.argmax(wrong))
        offsets = np.cumsum([0, *map(len, column.to_pylist())]) if name in _LISTS else np.arange(len(values) + 1)
        row = int(np.searchsorted(offsets, place, side="right")) - 1
        shown = ", ".join(map(str, labels[:8])) + (", …" if len(labels) > 8 else "")
        refuse(table, name, row, repr(values[place].as_py()), f"one of 'labels': {shown}")
    at = table.column_names.index(name)
    if name in _LISTS:
        offsets = np.cumsum([0, *map(len, column.to_pylist())])
        return table.set_column(at, name, pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(codes)))
    return table.set_column(at, name, pa.array(codes.astype(np.int64)))
