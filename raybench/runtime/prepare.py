"""A dataset's rows made ready for a model: tokenised once, batches planned once, test rows in the plan's order.

    prepared = prepare_data(task_of(dataset), rows, model, dataset)
    prepared.test, prepared.plan

Every trial whose model has the same tokenizer shares it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.core.column_hashes import framed
from raybench.core.identity import bytes_hash
from raybench.core.large_columns import gather_table
from raybench.data.batches import BatchPlan, batch_tokens, plan_batches, plan_in_rounds
from raybench.metrics.draw_order import draw_keys, looks
from raybench.tasks.rows import KEY_BYTES, input_keys
from raybench.tasks.task import Task

__all__ = ["PreparedData", "prepare_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """Rows as models read them; `test` is in the order of `plan`, so a shard is a slice."""

    train: pa.Table | None
    validation: pa.Table | None
    test: pa.Table
    plan: BatchPlan
    digest: str  # of the plan and of the inputs in it: equal, equal batches

    @property
    def sizes(self) -> tuple[float, float]:
        """Padded tokens of a model row of the test split, and model rows of an example, on average."""
        named = "rows" in self.test.column_names
        rows = self.test.column("rows").to_numpy() if named else np.ones(self.test.num_rows, dtype=np.int64)
        padded = np.repeat(self.plan.padded, np.diff(self.plan.offsets))
        total = int(rows.sum())
        return (float((padded * rows).sum() / total), total / len(rows)) if total else (0.0, 1.0)

    @property
    def num_train_batches(self) -> int:
        """Batches of a forward pass over the training rows."""
        return 0 if self.train is None else _plan(self.train).num_batches

    def forward_batches(self, split: str, start: int, stop: int) -> list[tuple[np.ndarray, int]]:
        """Row numbers and padded length of batches [start, stop) of a forward pass over test or train."""
        if split == "test":
            return [(np.arange(first, last), padded) for first, last, padded in self.plan.batches(start, stop)]
        assert self.train is not None
        plan = _plan(self.train)
        return [(plan.order[first:last], padded) for first, last, padded in plan.batches(start, stop)]


def prepare_data(
    task: Task,
    rows: Mapping[str, pa.Table],
    model: ModelSpec,
    dataset: DatasetKey,
    *,
    tokens: int = batch_tokens("auto", "cpu"),
    draw_seed: int | None = None,
) -> PreparedData:
    """Tokenise every split and fix the batches of the test split, of so many padded tokens.

    With a seed they are in rounds of rows drawn at random.
    """
    task = task.beside(rows.get("train"), dataset.labels)
    splits = {name: task.prepare(table, model, dataset.max_length) for name, table in rows.items()}
    test = splits["test"]
    plan = _plan(test, tokens, None if draw_seed is None else _rounds(test, draw_seed))
    test = gather_table(test, plan.order)
    arrays = [plan.order.tobytes(), plan.offsets.tobytes(), plan.padded.tobytes()]
    return PreparedData(
        train=splits.get("train"),
        validation=splits.get("validation"),
        test=test,
        plan=plan,
        digest=bytes_hash(arrays, framed(input_keys(test).view(np.uint8).reshape(-1, KEY_BYTES))),
    )


def _plan(
    rows: pa.Table, tokens: int = batch_tokens("auto", "cpu"), parts: Sequence[np.ndarray] | None = None
) -> BatchPlan:
    lengths = rows.column("length").to_numpy()
    keys = input_keys(rows).view(">u8").reshape(-1, KEY_BYTES // 8).astype(np.uint64)
    model_rows = rows.column("rows").to_numpy() if "rows" in rows.column_names else None
    if parts is None:
        return plan_batches(lengths, tokens, keys=keys, rows=model_rows)
    return plan_in_rounds(lengths, parts, tokens=tokens, keys=keys, rows=model_rows)


def _rounds(rows: pa.Table, seed: int) -> list[np.ndarray]:
    """The row numbers that are drawn between one look and the next."""
    order = np.argsort(draw_keys(rows.column("id"), seed=seed), kind="stable")
    return np.split(order, looks(rows.num_rows)[:-1])
