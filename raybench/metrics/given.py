"""Whatever a caller has its records in, as an Arrow table: Arrow, pandas, a Hugging Face Dataset, columns, rows.

    table_of({"target": ["cat", "dog"], "prediction": torch.tensor([0, 1])})
    table_of([{"id": "a", "nll": 0.5}, {"id": "b", "nll": 0.25}])

A column is a sequence, an array or a tensor with one entry a row; of two dimensions it is a column of lists. Nothing is
interpreted here: NaN stays NaN, a missing value stays null, and names of classes stay names (classes.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError, summary

__all__ = ["Given", "column_from", "table_of"]

_TABLES = "an Arrow table, a pandas DataFrame, a Hugging Face Dataset, a dict of columns or a list of dicts"
_ARROW = (pa.ArrowException, TypeError, ValueError, OverflowError)


class Given(NamedTuple):
    """The records, and the class names that came with them, if any did."""

    table: pa.Table
    labels: list[Any] | None = None


def table_of(records: Any) -> Given:
    """The table that `records` is; MetricError where it is none, or where its columns differ in length."""
    if isinstance(records, pa.Table):
        return Given(_distinct(records))
    if isinstance(records, pa.RecordBatch):
        return Given(_distinct(pa.Table.from_batches([records])))
    kind, home = type(records).__name__, type(records).__module__.partition(".")[0]
    if home == "datasets" and hasattr(records, "with_format"):
        return _of_dataset(records)
    if isinstance(records, Mapping) and home != "datasets":
        return Given(_of_columns(records))
    if home == "pandas" and hasattr(records, "columns"):
        repeated = records.columns[records.columns.duplicated()]
        if len(repeated):
            raise MetricError(f"column {str(repeated[0])!r} is there twice; expected each once")
        return Given(_of_columns({str(name): records[name] for name in records.columns}))
    if isinstance(records, np.ndarray) and records.dtype.names:
        return Given(_of_columns({name: records[name] for name in records.dtype.names}))
    if isinstance(records, Sequence) and not isinstance(records, str | bytes) and len(records):
        return Given(_of_rows(records))
    if isinstance(records, Sequence) and not isinstance(records, str | bytes):
        raise MetricError("records are an empty list, which has no columns; give an empty column for each")
    if hasattr(records, "__arrow_c_stream__") and not hasattr(records, "__array__"):
        return Given(_distinct(pa.table(records)))
    splits = f" of {', '.join(map(str, records))}: give one of them" if isinstance(records, Mapping) else ""
    raise MetricError(f"records are a {kind}{splits}; expected {_TABLES}, or columns by name: target=…, prediction=…")


def column_from(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """A column with one entry a row; MetricError where `values` is one value, or mixes kinds."""
    try:
        return _column(name, values)
    except MetricError:
        raise
    except _ARROW as error:
        raise MetricError(f"column {name!r} cannot be read: {summary(error)}") from error


def _column(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = _of_tensor(values)
    if type(values).__module__.partition(".")[0] == "pandas":
        values = _of_pandas(name, values)
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return values
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.filled(values.fill_value), mask=np.ma.getmaskarray(values))
    if hasattr(values, "__array__") and not isinstance(values, np.ndarray):
        values = np.asarray(values)
    if isinstance(values, np.ndarray):
        return _of_array(name, values)
    if isinstance(values, str | bytes | Mapping | set | frozenset) or not isinstance(values, Iterable):
        raise MetricError(
            f"column {name!r} is {_shown(values)}; expected one entry a row: a list, an array, a Series or a tensor"
        )
    return _of_list(name, list(values))


def _of_columns(columns: Mapping[Any, Any]) -> pa.Table:
    made = {str(name): column_from(str(name), values) for name, values in columns.items()}
    if not made:
        raise MetricError(f"there are no columns; expected {_TABLES}, or columns by name: target=…, prediction=…")
    lengths = {name: len(column) for name, column in made.items()}
    if len(set(lengths.values())) > 1:
        first = next(iter(lengths))
        other = next(name for name in lengths if lengths[name] != lengths[first])
        raise MetricError(
            f"column {other!r} has {lengths[other]} rows and column {first!r} has {lengths[first]}; "
            "expected one entry a row in each"
        )
    return pa.table(made)


def _of_rows(rows: Sequence[Any]) -> pa.Table:
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise MetricError(
                f"row {place} of the records is {_shown(row)}; expected a dict of a value a column, "
                "or columns by name: target=…, prediction=…"
            )
        if row.keys() != rows[0].keys():
            odd = sorted(map(str, row.keys() ^ rows[0].keys()))[0]
            side = "lacks" if odd in rows[0] else "has, unlike the first,"
            raise MetricError(f"row {place} of the records {side} {odd!r}; expected the same columns in every row")
    return _of_columns({name: [row[name] for row in rows] for name in rows[0]})


def _of_dataset(dataset: Any) -> Given:
    """Its rows in their order, and the names of the classes of `target`, if its features have some."""
    if isinstance(dataset, Mapping):
        raise MetricError(f"records are a DatasetDict of {', '.join(dataset)}; expected one split of it")
    if not hasattr(dataset, "num_rows"):  # streamed
        return Given(_of_rows(list(dataset)))
    names = getattr((dataset.features or {}).get("target"), "names", None)
    return Given(_distinct(dataset.with_format("arrow")[:]), list(names) if names else None)


def _distinct(table: pa.Table) -> pa.Table:
    for name in table.column_names:
        if table.column_names.count(name) > 1:
            raise MetricError(f"column {name!r} is there twice; expected each once")
    return table


def _of_tensor(tensor: Any) -> np.ndarray:
    """A tensor of any device and precision; half precisions, which numpy or Arrow lack, as float32."""
    tensor = tensor.detach()
    if getattr(tensor, "is_sparse", False):
        tensor = tensor.to_dense()
    if tensor.is_floating_point() and tensor.element_size() < 4:
        tensor = tensor.float()
    return np.asarray(tensor.cpu().resolve_conj().resolve_neg().numpy())


def _of_pandas(name: str, values: Any) -> Any:
    """Numbers as they are, so that NaN stays a number; all else by Arrow, so that what is missing is null."""
    if getattr(values, "ndim", 1) != 1:
        raise MetricError(f"column {name!r} is a table of {values.shape[1]} columns; expected one, or a list a row")
    kind = values.dtype
    if isinstance(kind, np.dtype) and kind.kind in "biuf":
        return values.to_numpy()
    if isinstance(kind, np.dtype) and kind.kind == "O":
        missing = values.isna()
        return _of_list(name, [None if gone else value for value, gone in zip(values, missing, strict=True)])
    return pa.array(values, from_pandas=True)


def _of_array(name: str, values: np.ndarray) -> pa.Array:
    if values.ndim == 0:
        raise MetricError(f"column {name!r} is one value, {values.item()!r}; expected one entry a row")
    if values.dtype.kind == "c" or values.dtype.kind == "V":
        raise MetricError(f"column {name!r} holds {values.dtype}; expected numbers or strings")
    if values.ndim > 2:
        raise MetricError(f"column {name!r} has shape {list(values.shape)}; expected a value or a flat list a row")
    if values.dtype == object or values.dtype.kind in "SU":
        return _of_list(name, values.tolist())
    if values.dtype.kind == "f" and values.dtype.itemsize not in (2, 4, 8):
        values = values.astype(np.float64)
    values = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 2 and values.shape[1]:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    return pa.array(values) if values.ndim == 1 else _of_list(name, values.tolist())


def _of_list(name: str, values: list[Any]) -> pa.Array:
    plain = [value.detach().cpu() if hasattr(value, "detach") else value for value in values]
    plain = [value.tolist() if hasattr(value, "tolist") else value for value in plain]
    try:
        return pa.array(plain)
    except _ARROW as error:
        row, value, expected = _misfit(plain)
        raise MetricError(f"column {name!r} has {_shown(value)} in row {row}; expected {expected}") from error


def _misfit(values: list[Any]) -> tuple[int, Any, str]:
    """The first entry that does not go with those before it, and what would."""
    first = next((value for value in values if value is not None), None)
    for row, value in enumerate(values):
        if _is_array([first, value]):
            continue
        inside = value if isinstance(value, list | tuple) else []
        place = next((place for place in range(len(inside)) if not _is_array([*inside[:1], inside[place]])), None)
        odd = value if place is None else inside[place]
        if isinstance(odd, int) and odd.bit_length() > 63:
            return row, odd, "at most 2**63 - 1"
        return row, odd, f"{_kind(first)}, as before it" if row else "a number, a string, or a list of one of these"
    return 0, first, "values of one kind"


def _is_array(values: list[Any]) -> bool:
    try:
        pa.array(values)
    except _ARROW:
        return False
    return True


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a number", str: "a string", list: "a list of one kind"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _shown(value: Any) -> str:
    """A value in a few words: its type, and what it is if that is short."""
    if isinstance(value, str | bytes):
        short = value if len(value) <= 40 else value[:40]
        return f"the {'string' if isinstance(value, str) else 'bytes'} {short!r}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return str(value)
    return f"a {type(value).__name__}"
