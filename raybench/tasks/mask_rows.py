"""Rows of a masked language model: some positions hold the mask, and what is asked is which tokens stand there.

A prepared row holds all model rows of an example, one after the other (`overlapping_windows`), and `mask_positions`:
the masked ones among the example's pieces, ascending. Shapes: R model rows of a batch, T positions, S masked ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.language import check_words, is_masked
from raybench.tasks.overlapping_windows import WindowExamples
from raybench.tasks.rows import ragged

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

__all__ = ["MASKED_HEADS", "MaskRows", "check_masked"]

MASKED_HEADS = ("ForMaskedLM", "ForPreTraining")


class MaskRows(WindowExamples):
    """Prepared rows with masks."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        super().__init__(prepared, model)
        self.masks = ragged(prepared, "mask_positions")

    def num_masks(self, indices: np.ndarray) -> np.ndarray:
        """Masked positions of each example."""
        return self.masks.offsets[indices + 1] - self.masks.offsets[indices]

    def mask_inputs(
        self, indices: np.ndarray, padded: int, device: torch.device
    ) -> tuple[dict[str, torch.Tensor], np.ndarray]:
        """input_ids, attention_mask int64 [R, padded] and positions [S] of the masks; rows of each example."""
        import torch

        windows = self.padded(indices, padded)
        first = np.cumsum(windows.counts) - windows.counts
        positions = [
            self.flat_positions(index, self.masks.row(index), row, padded)
            for index, row in zip(indices.tolist(), first.tolist(), strict=True)
        ]
        inputs = self.inputs(windows, device)
        flat = np.concatenate([np.zeros(0, np.int64), *positions])
        inputs["positions"] = torch.from_numpy(flat).to(device, non_blocking=True)
        return inputs, windows.counts


def check_masked(task: str, model: ModelSpec, config: PretrainedConfig) -> None:
    """IncompatibleError unless the architecture is masked and its tokenizer has a mask."""
    if not is_masked(config):
        raise IncompatibleError(
            f"model {model.reference!r}: {config.model_type} predicts no masked word; {task} needs a masked language "
            "model, such as bert or roberta"
        )
    check_words(model, config, MASKED_HEADS, tied=False)
    if open_tokenizer(model).mask_token_id is None:
        raise IncompatibleError(f"model {model.reference!r}: its tokenizer has no mask")
