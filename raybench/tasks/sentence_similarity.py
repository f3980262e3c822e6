"""sentence-similarity: how alike two texts are, by the cosine of their embeddings.

Shapes: B pairs, H features. A pair makes two model rows, which a batch holds as all first texts and all second ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.tasks.embeddings import EmbeddingTask
from raybench.tasks.rows import input_keys, key_column, single_chunk, target_tensor
from raybench.tasks.task import Batch, LossOptions
from raybench.tasks.text import plain_rows
from raybench.tasks.text_inputs import TextExamples, tokenize

if TYPE_CHECKING:
    import torch

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["SentenceSimilarity"]


class SentenceSimilarity(EmbeddingTask):
    """Two texts → one number.

    Fine-tuning is least squares between the cosine and the value, brought to 0–1 by the least and the largest value of
    the training rows (Reimers and Gurevych 2019, doi:10.18653/v1/D19-1410); predictions are on the values' scale.
    """

    name = "sentence-similarity"
    columns = (Column("text", "text"), Column("text_pair", "text"), Column("value", "value", role="target"))
    metrics = ("spearman", "pearson")
    primary = "spearman"

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        return pa.schema({"id": pa.string(), "target": pa.float64(), "prediction": pa.float64()})

    def statistics(self, train: pa.Table) -> dict[str, float]:
        values = train.column("value").to_numpy()
        low, high = float(values.min()), float(values.max())
        return {"low": low, "range": (high - low) or 1.0}

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is not None:
            return plain_rows(rows, ("text", "text_pair"))
        first, second = (_side(rows, name, model, max_length) for name in ("text", "text_pair"))
        lengths = np.maximum(first.column("length").to_numpy(), second.column("length").to_numpy())
        pairs = zip(first.column("key").to_pylist(), second.column("key").to_pylist(), strict=True)
        kept = {name: rows.column(name) for name in rows.column_names if name not in ("text", "text_pair")}
        sides = {
            f"{side}_{name}": table.column(name)
            for side, table in (("first", first), ("second", second))
            for name in ("input_ids", "length", "key")
        }
        return pa.table(
            {
                **kept,
                **sides,
                "length": pa.array(lengths),
                "key": key_column(a + b for a, b in pairs),
                "rows": pa.array(np.full(rows.num_rows, 2, dtype=np.int32)),
            }
        )

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        low, width = _scale(dataset)
        values = ((single_chunk(prepared, "value").to_numpy() - low) / width).astype(np.float32)
        return _Pairs(prepared, model, values)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        return (_cosines(outputs) - batch.targets).square().sum()

    def predict(self, network: Network, batch: Batch) -> torch.Tensor:
        return _cosines(network(batch.inputs))

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        low, width = _scale(dataset)
        values = predictions.double().cpu().numpy() * width + low
        target = rows.column("value").combine_chunks()
        return pa.table({"id": rows.column("id").combine_chunks(), "target": target, "prediction": pa.array(values)})


class _Pairs:
    """Both texts of each pair, tokenised apart."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, targets: np.ndarray) -> None:
        self.sides = [
            TextExamples(prepared.select(names).rename_columns(["input_ids", "length", "key"]), model, targets)
            for names in (["first_input_ids", "first_length", "first_key"],
                          ["second_input_ids", "second_length", "second_key"])
        ]  # fmt: skip
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.keys = input_keys(prepared)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids and attention_mask int64 [2 B, padded], targets float32 [B]."""
        import torch

        first, second = (side.batch(indices, padded, device).inputs for side in self.sides)
        inputs = {name: torch.cat([first[name], second[name]]) for name in first}
        return Batch(inputs, target_tensor(self.targets[indices], device), np.full(len(indices), 2))


def _side(rows: pa.Table, name: str, model: ModelSpec, max_length: int) -> pa.Table:
    return tokenize(rows.select([name]).rename_columns(["text"]), model, max_length)


def _cosines(embeddings: torch.Tensor) -> torch.Tensor:
    """[2 B, H] → float32 [B]."""
    from torch.nn.functional import normalize

    first, second = normalize(embeddings.float(), dim=1).chunk(2)
    return (first * second).sum(dim=1)


def _scale(dataset: DatasetKey) -> tuple[float, float]:
    """The least value of the training rows, and how far the largest is from it; 0 and 1 where there are none."""
    return dataset.statistics.get("low", 0.0), dataset.statistics.get("range", 1.0)
