"""Batches that wait where they were made: tensors on their device, of logits what is read of them, all else as Arrow.

held = hold({"target": target_B, "logits": logits_BC}, fuse=True, ignored=-100, read={"nll"})     # waits for no device
to_host([held, held], {"target", "nll"}, first_row=0)                               # a pa.Table, by one copy
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.from_scores import SCORES
from raybench.metrics.given import column_from
from raybench.metrics.records import Kind, columns_of_fused, fused_records

if TYPE_CHECKING:
    import torch

__all__ = ["Held", "hold", "to_host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A batch of `num_rows` rows; `fused_BW` is what is kept of the scores of `num_classes` classes."""

    num_rows: int
    tensors: Mapping[str, torch.Tensor]
    columns: Mapping[str, pa.ChunkedArray]
    fused_BW: torch.Tensor | None = None
    num_classes: int = 0
    precise: bool = False

    @property
    def num_bytes(self) -> int:
        """On the device."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.on_device().values())

    @property
    def form(self) -> tuple[Any, ...]:
        """What must agree for batches to be joined where they are."""
        tensors = [(name, part.dtype, part.device, part.shape[1:]) for name, part in self.on_device().items()]
        return *tensors, *[(name, part.type) for name, part in self.columns.items()], self.num_classes

    def on_device(self) -> dict[str, torch.Tensor]:
        fused = {} if self.fused_BW is None else {"": self.fused_BW}  # no column is named so
        return {**self.tensors, **fused}


def hold(given: Mapping[str, Any], *, fuse: bool, ignored: int | None, read: Collection[str]) -> Held:
    """A copy of a batch; with `fuse`, of logits or probabilities beside an integer target what is `read` of them."""
    columns: dict[str, Any] = {
        name: values.detach() if hasattr(values, "detach") else _owned(column_from(name, values))
        for name, values in given.items()
    }
    lengths = {name: len(part) if getattr(part, "ndim", 1) else None for name, part in columns.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length is None:
            raise MetricError(f"column {name!r} is one value; expected one entry a row")
        if length != lengths[first]:
            raise MetricError(f"column {name!r} has {length} rows and column {first!r} has {lengths[first]}")
    tensors = {name: part for name, part in columns.items() if hasattr(part, "detach")}
    others = {name: part for name, part in columns.items() if name not in tensors}
    num_rows = lengths[first] or 0
    kind = next((kind for kind in SCORES if fuse and kind in tensors), None)
    if kind is None or not _is_fusible(tensors.get("target"), tensors[kind]):
        copies = {name: part.clone() for name, part in tensors.items()}
        return Held(num_rows=num_rows, tensors=copies, columns=others)
    scores = tensors.pop(kind)
    precise = scores.element_size() == 8
    return Held(
        num_rows=num_rows,
        tensors={name: part.clone() for name, part in tensors.items()},
        columns=others,
        fused_BW=_fused(scores, tensors["target"], kind, ignored, precise=precise, every="scores" in read),
        num_classes=scores.shape[1],
        precise=precise,
    )


def to_host(batches: Sequence[Held], read: Collection[str], *, first_row: int) -> pa.Table:
    """The records of batches of one form, of the scores what is `read`; the bytes of all travel together."""
    host = _copied([batch.on_device() for batch in batches])
    fused_NW = host.pop("", None)
    columns: dict[str, Any] = {name: column_from(name, values) for name, values in host.items()}
    if fused_NW is not None:
        one = batches[0]
        found = columns_of_fused(fused_NW.T, host["target"], one.num_classes, precise=one.precise, first_row=first_row)
        columns |= {name: column_from(name, values) for name, values in found.items() if name in read}
    for name in batches[0].columns:
        columns[name] = pa.chunked_array([chunk for batch in batches for chunk in batch.columns[name].chunks])
    return pa.table(columns)


def _is_fusible(target: torch.Tensor | None, scores: torch.Tensor) -> bool:
    return (
        target is not None
        and target.ndim == 1
        and scores.ndim == 2
        and scores.is_floating_point()
        and not (target.is_floating_point() or target.is_complex())
    )


def _fused(
    scores: torch.Tensor, target: torch.Tensor, kind: Kind, ignored: int | None, *, precise: bool, every: bool
) -> torch.Tensor:
    """What is read of the scores, [B, W], computed where they are."""
    import torch

    if ignored is not None:
        target = torch.where(target == ignored, -1, target.long())
    most = scores.shape[1] if every else 0
    return fused_records(scores, target, kind=kind, precise=precise, max_scores=most).T.contiguous()


def _copied(batches: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, np.ndarray]:
    """The rows of all batches by column, by one copy of their bytes."""
    import torch

    joined = {name: torch.cat([batch[name] for batch in batches]).contiguous() for name in batches[0]}
    if not joined:
        return {}
    for name, tensor in joined.items():
        if tensor.is_floating_point() and tensor.element_size() < 4:
            joined[name] = tensor.float()  # numpy has no bfloat16
    names = sorted(joined, key=lambda name: -joined[name].element_size())  # each begins at a multiple of its size
    host = torch.cat([joined[name].reshape(-1).view(torch.uint8) for name in names]).cpu().numpy()
    columns, start = {}, 0
    for name in names:
        tensor = joined[name]
        stop = start + tensor.numel() * tensor.element_size()
        kind = torch.empty(0, dtype=tensor.dtype).numpy().dtype
        columns[name] = host[start:stop].view(kind).reshape(tensor.shape)
        start = stop
    return columns


def _owned(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """A copy, as the caller may write into an array again; names as they are, since dictionaries differ by batch."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    taken = column.take(pa.array(np.arange(len(column))))
    return taken if isinstance(taken, pa.ChunkedArray) else pa.chunked_array([taken])
