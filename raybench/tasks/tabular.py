"""Rows of numbers and categories: as they are for classic models, written as text for text models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import Column, ModelSpec
from raybench.core.errors import DataError
from raybench.core.identity import canonical_json
from raybench.tasks.rows import key_column
from raybench.tasks.text import TextTask
from raybench.tasks.text_inputs import tokenize

__all__ = ["RECORD_COLUMNS", "TabularTask", "written"]

RECORD_COLUMNS = (Column("features", "record"),)


class TabularTask(TextTask):
    """`features` is a struct: `columns: {features: "distance, carrier"}`, or all columns that nothing else reads."""

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        kinds = {split: rows.schema.field("features").type for split, rows in splits.items()}
        (first, expected), *others = kinds.items()
        for split, kind in others:
            for field in expected:
                if kind.get_field_index(field.name) < 0:
                    raise DataError(f"split {split!r} has no column {field.name!r}, which {first!r} has")
                found = kind.field(field.name).type
                if found != field.type:
                    numbers, names = (first, split) if pa.types.is_floating(field.type) else (split, first)
                    raise DataError(f"column {field.name!r} holds numbers in split {numbers!r} and names in {names!r}")
        return super().review(splits, labels)

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        records = rows.column("features").to_pylist()
        if model.baseline is None:
            texts = rows.drop_columns(["features"]).append_column("text", pa.array(map(written, records), pa.string()))
            return tokenize(texts, model, max_length)
        keys = key_column(canonical_json(record).encode() for record in records)
        lengths = pa.array(np.ones(rows.num_rows, dtype=np.int32))
        return rows.append_column("length", lengths).append_column("key", keys)


def written(record: dict[str, Any]) -> str:
    """A row as a text model reads it: `distance: 229, carrier: EV`; empty cells are left out."""
    return ", ".join(f"{name}: {_said(value)}" for name, value in record.items() if value is not None)


def _said(value: float | str) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
