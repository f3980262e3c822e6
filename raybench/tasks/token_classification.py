"""token-classification: one tag a word of a list of words.

Shapes: R model rows (windows), T positions, K tags.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError
from raybench.metrics.entity import scheme_of
from raybench.models.configuration import open_config
from raybench.models.tokenizer import open_tokenizer, tokenizer_hash
from raybench.tasks.head_labels import order_of_labels
from raybench.tasks.overlapping_windows import WindowExamples, frame_of
from raybench.tasks.rows import key_column, ragged
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions
from raybench.tasks.text import refuse_without_vocabulary
from raybench.tasks.text_inputs import num_positions
from raybench.tasks.words import NOWHERE, tokenize_words

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["TokenClassification", "TokenClassificationOptions"]

_IGNORED = -100


class TokenClassificationOptions(TaskOptions):
    """How a long row is cut into windows."""

    stride: int | None = Field(
        default=None,
        ge=0,
        description="pieces that neighbouring windows of a long row share, at most half of one; left out: a quarter",
    )


class Words(NamedTuple):
    """Tags int64 [R, T] where a word is judged, else -100; and of each example's words their positions in [R · T]."""

    tags: torch.Tensor
    positions: list[np.ndarray]


class TokenClassification(Task):
    """Lists of words → a tag each."""

    name = "token-classification"
    columns = (Column("tokens", "texts"), Column("tags", "tags", role="target"))
    metrics = ("token_macro_f1", "token_accuracy")
    primary = "entity_f1"
    options = TokenClassificationOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        tags = pa.list_(pa.string())
        return pa.schema({"id": pa.string(), "target_tags": tags, "tags": tags})

    def default_metrics(self, labels: Sequence[str], statistics: Mapping[str, float]) -> tuple[str, ...]:
        if scheme_of(labels) is None:
            return self.metrics
        return ("entity_f1", "entity_precision", "entity_recall", "token_accuracy")

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        for split, rows in splits.items():
            words, tags = (pc.list_value_length(rows.column(name)).to_numpy() for name in ("tokens", "tags"))
            if (words != tags).any():
                row = int(np.argmax(words != tags))
                raise DataError(
                    f"split {split!r}: row {rows.column('id')[row].as_py()!r} has {words[row]} tokens and {tags[row]} "
                    "tags; each token needs its own",
                    key=("columns", "tags"),
                )
        scheme = scheme_of(labels)
        if scheme is None:
            return (f"the {len(labels)} tags follow no scheme of entities, so tokens are measured one by one",)
        return (f"the {len(labels)} tags are {scheme}, so whole entities are measured",)

    def check_labels(self, labels: Sequence[str]) -> str | None:
        if len(labels) < 2:
            return f"every token has the tag {labels[0]!r}, so nothing is to be told apart" if labels else "no tags"
        return None

    # --- rows

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        return f"words:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is None:
            return tokenize_words(rows, model, max_length, self.settings.stride)
        keys = key_column("\0".join(words).encode() for words in rows.column("tokens").to_pylist())
        lengths = pa.array(np.ones(rows.num_rows, dtype=np.int32))
        return rows.append_column("length", lengths).append_column("key", keys)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return WordExamples(prepared, model)

    # --- networks

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_vocabulary(model, config, self.name)
        frame_of(open_tokenizer(model), pair=False)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        return order_of_labels(model, labels, "ForTokenClassification")

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.backbone import open_backbone, open_pretrained
        from raybench.models.network import PositionNetwork, TokenNetwork

        if own_head and self.has_own_head(model, dataset.labels):
            from transformers import AutoModelForTokenClassification as Auto

            order = self.check_own_head(model, dataset.labels)
            return PositionNetwork(open_pretrained(Auto, model, open_config(model), seed).eval(), order)
        return TokenNetwork(open_backbone(model, seed), num_outputs=len(dataset.labels), seed=seed)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(
            outputs.float().flatten(0, 1),
            batch.targets.tags.flatten(),
            weight=options.class_weights,
            ignore_index=_IGNORED,
            label_smoothing=options.label_smoothing,
            reduction="sum",
        )

    def predict(self, network: Network, batch: Batch) -> list[np.ndarray]:
        """Of each example the tag of each word, int64; -1 for a word without a piece or whose outputs are NaN."""
        outputs_RTK = network(batch.inputs)
        best = outputs_RTK.argmax(dim=-1).masked_fill(outputs_RTK.isnan().any(dim=-1), -1).flatten().cpu().numpy()
        return [np.where(positions == NOWHERE, -1, best[positions]) for positions in batch.targets.positions]

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        """`predictions` are the tags of each row's words; where it is -1, O, or without an O no tag ("")."""
        none = "O" if "O" in dataset.labels else ""
        names = np.array([*dataset.labels, none], dtype=object)
        tags = ragged(rows, "tags")
        given = [tags.values[start:stop] for start, stop in itertools.pairwise(tags.offsets)]
        kind = pa.list_(pa.string())
        return pa.table(
            {
                "id": rows.column("id").combine_chunks(),
                "target_tags": pa.array([names[row].tolist() for row in given], kind),
                "tags": pa.array([names[row].tolist() for row in predictions], kind),
            }
        )


class WordExamples(WindowExamples):
    """Windows of words with tags."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        super().__init__(prepared, model)
        self.first_pieces, self.tags = ragged(prepared, "first_pieces"), ragged(prepared, "tags")

    def units(self, indices: np.ndarray) -> int:
        """Words that have a piece; at least 1, for a loss is divided by it."""
        return max(1, sum(int((self._of(self.first_pieces, index) != NOWHERE).sum()) for index in indices))

    @staticmethod
    def _of(column: Any, index: int) -> np.ndarray:
        found: np.ndarray = column.values[column.offsets[index] : column.offsets[index + 1]]
        return found

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        import torch

        windows = self.padded(indices, padded)
        tags = np.full(windows.mask.size, _IGNORED, dtype=np.int64)
        positions = []
        for index, first_row in zip(indices, np.cumsum(windows.counts) - windows.counts, strict=True):
            flat = self._of(self.first_pieces, index)
            where = np.where(flat == NOWHERE, NOWHERE, self.flat_positions(index, flat, first_row, padded))
            tags[where[where != NOWHERE]] = self._of(self.tags, index)[where != NOWHERE]
            positions.append(where)
        targets = Words(torch.from_numpy(tags.reshape(windows.mask.shape)).to(device, non_blocking=True), positions)
        return Batch(self.inputs(windows, device), targets, windows.counts)
