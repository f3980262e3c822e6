"""What a candidate said of single examples: on the terminal, or as CSV or Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text

from raybench.core.errors import DataError, summary
from raybench.report.output import output_console
from raybench.results.examples import Chosen, Examples

__all__ = ["print_examples", "write_examples"]

_SHOWN = 300  # characters of a cell on the terminal
_OUR_OWN = ("id", "truth", "answer", "right", "loss")
_OF_RECORDS = ("target", "prediction", "scores", "rank", "brier", "score")  # on the terminal said by what is ours


def print_examples(chosen: Chosen, found: Examples, *, limit: int, wrong: bool, console: Console | None = None) -> None:
    """A paragraph an example: what is right, what was said, and the row's columns."""
    console = console or output_console()
    trial = chosen.one.trial
    seeds = f", seed {trial.seed} of {', '.join(map(str, chosen.seeds))}" if len(chosen.seeds) > 1 else ""
    kind = "wrong" if wrong else "scored"
    console.print(
        f"{chosen.name} on {trial.dataset.name}{seeds}: "
        f"{found.table.num_rows:,} {kind} of {found.num_scored:,} examples",
        markup=False,
        soft_wrap=True,
    )
    shown = found.table.slice(0, limit)
    for row in shown.to_pylist():
        console.print()
        console.print(Text(_head(row)), soft_wrap=True)
        for name, value in row.items():
            if name not in (*_OUR_OWN, *_OF_RECORDS):
                console.print(Text(f"  {name}: {_cell(value)}"), soft_wrap=False)
    if shown.num_rows < found.table.num_rows:
        console.print(f"\n{found.table.num_rows - shown.num_rows:,} more; --limit shows them, --output writes them all")
    if found.missing:
        console.print(f"note: without the rows themselves: {found.missing}", markup=False, soft_wrap=True)


def write_examples(found: Examples, path: str) -> None:
    """All of them as Parquet, or as CSV with JSON in cells that hold lists; DataError for another ending."""
    kind = Path(path).suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise DataError(f"{path}: want a name that ends in .csv or .parquet")
    try:
        if kind == ".parquet":
            pq.write_table(found.table, path)
        else:
            pa_csv.write_csv(_flat(found.table), path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or summary(error)}") from error


def _head(row: dict[str, Any]) -> str:
    right = "" if row.get("right") is None else "right: " if row["right"] else "wrong: "
    is_told = row.get("loss") is not None and "nll" not in row
    loss = f" (loss {row['loss']:.3g})" if is_told else ""
    return f"{row['id']}  {right}{_cell(row['answer'])}, truth {_cell(row['truth'])}{loss}"


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else _json(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _flat(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            cells = pa.array([_json(value) for value in table.column(index).to_pylist()], pa.string())
            table = table.set_column(index, field.name, cells)
    return table


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_of_bytes)


def _of_bytes(value: Any) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)
