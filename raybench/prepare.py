"""A dataset's rows made ready for a model: tokenised once, batches planned once, test rows in the plan's order.

    prepared = prepare_data(task, rows, model, max_length=128)
    prepared.test, prepared.plan

Every trial whose model has the same tokenizer shares it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from raybench.batches import BatchPlan, plan_batches
from raybench.core import ModelSpec
from raybench.tasks.task import Task

__all__ = ["PreparedData", "prepare_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """Rows as models read them; `test` is in the order of `plan`, so a shard is a slice."""

    train: pa.Table | None
    validation: pa.Table | None
    test: pa.Table
    plan: BatchPlan


def prepare_data(task: Task, rows: Mapping[str, pa.Table], model: ModelSpec, max_length: int) -> PreparedData:
    """Tokenise every split and fix the batches of the test split."""
    splits = {name: task.prepare(table, model, max_length) for name, table in rows.items()}
    test = splits["test"]
    plan = plan_batches(test.column("length").to_numpy(), keys=test.column("key").to_numpy(zero_copy_only=False))
    return PreparedData(
        train=splits.get("train"),
        validation=splits.get("validation"),
        test=test.take(plan.order).combine_chunks(),
        plan=plan,
    )
