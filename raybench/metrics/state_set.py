"""The states of several measures over the same records, with their coverage: what a shard sends to the driver.

total = StateSet().merge(*(StateSet.from_arrow(batch) for batch in batches))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from raybench.core.errors import MergeError, MetricError
from raybench.metrics.coverage import Coverage
from raybench.metrics.integers import as_exact, decode, encode
from raybench.metrics.state import Cells, State

__all__ = ["SCHEMA", "StateSet"]

SCHEMA = pa.schema(
    [
        ("measure", pa.string()),
        ("config", pa.string()),
        ("field", pa.string()),
        ("size", pa.int64()),  # null: a scalar
        ("is_float", pa.bool_()),  # values are in units of 2**-1074
        ("keys", pa.list_(pa.int64())),
        ("values", pa.list_(pa.int64())),
        ("long_values", pa.list_(pa.binary())),  # little-endian two's complement, where int64 is too short
    ],
    metadata={"raybench.state_version": "1"},
)
_COVERAGE = "(coverage)"
_PRESENT = "(present)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSet:
    """States by "measure:config". The empty set is the identity; otherwise two sets must hold the same measures."""

    states: Mapping[str, State] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)

    def merge(self, *others: StateSet) -> StateSet:
        """The states of all the records together; linear in the number of sets."""
        filled = [other for other in (self, *others) if other.states]
        if not filled:
            return StateSet(coverage=self.coverage.merge(*(other.coverage for other in others)))
        for other in filled:
            if other.states.keys() != filled[0].states.keys():
                odd = sorted(other.states.keys() ^ filled[0].states.keys())
                raise MergeError(f"states were measured differently: only one side has {', '.join(odd)}")
        first, rest = filled[0], filled[1:]
        return StateSet(
            states={key: state.merge(*(other.states[key] for other in rest)) for key, state in first.states.items()},
            coverage=self.coverage.merge(*(other.coverage for other in others)),
        )

    def to_arrow(self) -> pa.RecordBatch:
        """One row a field, in a fixed order."""
        rows = [_coverage_row(self.coverage)]
        for key in sorted(self.states):
            state = self.states[key]
            rows.append(_row(state, _PRESENT, Cells.of(np.zeros(0), np.zeros(0), size=None)))
            rows += [_row(state, name, state.fields[name]) for name in sorted(state.fields)]
        return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)

    def to_bytes(self) -> bytes:
        """`to_arrow` as an Arrow IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_batch(self.to_arrow())
        return sink.getvalue().to_pybytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> StateSet:
        return cls.from_arrow(pa.ipc.open_stream(data).read_next_batch())

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch | pa.Table) -> StateSet:
        if not set(SCHEMA.names) <= set(batch.schema.names):
            raise MetricError(f"not a set of metric states: columns are {batch.schema.names}")
        coverage = Coverage()
        found: dict[tuple[str, str], dict[str, Cells]] = {}
        names = ("measure", "config", "field", "size", "is_float")
        rows = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
        keys, values = (_lists(batch.column(name)) for name in ("keys", "values"))
        long_values = batch.column("long_values").to_pylist()
        for place, (measure, config, name, size, is_float) in enumerate(rows):
            integers, places_of = values[place], keys[place]
            assert places_of is not None
            if measure == _COVERAGE:
                fingerprint, *parts = map(decode, long_values[place])
                # null in states written before hashes were kept
                hashes = np.empty(0, dtype=np.uint64) if integers is None else integers.view(np.uint64)
                n, seen = int(places_of[0]), frozenset(parts)
                coverage = Coverage(n=n, fingerprint=fingerprint, parts=seen, hashes=hashes)
                continue
            fields = found.setdefault((measure, config), {})
            if name != _PRESENT:
                if integers is None:
                    exact = as_exact(decode(data) for data in long_values[place])
                    fields[name] = Cells.of(places_of, exact, size=size, is_float=is_float)
                else:  # nothing to bring into form, or to copy: Arrow's memory is not written to
                    fields[name] = Cells(keys=places_of, values=integers, size=size, is_float=is_float)
        states = {
            f"{measure}:{config}": State(measure=measure, config=config, fields=fields)
            for (measure, config), fields in found.items()
        }
        return cls(states=states, coverage=coverage)


def _lists(column: pa.Array | pa.ChunkedArray) -> list[np.ndarray | None]:
    """Each list of a column of integers."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flat, ends = array.values.to_numpy(), array.offsets.to_numpy().tolist()
    valid = array.is_valid().to_pylist()
    return [flat[ends[n] : ends[n + 1]] if is_there else None for n, is_there in enumerate(valid)]


def _row(state: State, name: str, cells: Cells) -> dict[str, object]:
    is_long = cells.values.dtype == object
    return {
        "measure": state.measure,
        "config": state.config,
        "field": name,
        "size": cells.size,
        "is_float": cells.is_float,
        "keys": cells.keys,
        "values": None if is_long else cells.values,
        "long_values": [encode(value) for value in cells.values] if is_long else None,
    }


def _coverage_row(coverage: Coverage) -> dict[str, object]:
    numbers = [encode(number) for number in (coverage.fingerprint, *sorted(coverage.parts))]
    row = {"measure": _COVERAGE, "config": "", "field": "", "keys": [coverage.n], "long_values": numbers}
    return {**row, "values": coverage.hashes.view(np.int64)}
