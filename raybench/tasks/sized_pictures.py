"""Pictures for tasks that ask of places in them: seen whole, each at its own size, forwarded in groups of one size.

    prepared = sized_pictures(rows, model)            # columns as they were, pictures as the model reads them
    pictures = SizedPictures(prepared, model)
    pictures.groups(indices, device)                  # [(places among the indices, pixels float32 [B, C, H, W]), …]

Nothing is padded, so no picture changes what is made of its neighbour. Rows of one size have keys that begin alike,
so the batch plan puts them beside each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.pictures import picture_arrays
from raybench.models.image_processor import open_image_processor
from raybench.tasks.image_inputs import as_read, image_format, opened_again, processed
from raybench.tasks.prepared_pictures import PreparedPictures, with_pictures
from raybench.tasks.rows import input_keys, single_chunk

if TYPE_CHECKING:
    import torch

__all__ = ["Group", "SizedPictures", "sized_pictures"]


class Group(NamedTuple):
    """Pictures of one size: their places in the batch, and float32 [B, C, H, W]."""

    places: np.ndarray
    pixels: torch.Tensor


def sized_pictures(rows: pa.Table, model: ModelSpec) -> pa.Table:
    """Rows with every picture as the model reads it, whole, `length` and `key`: by its own processor where it has one,
    else at the size that its configuration names, else at the picture's own.

    Raises:
        ModelError: the processor reads no such pictures.
    """
    wanted = image_format(model)
    processor = open_image_processor(model, wanted.channels, whole=True)
    if processor is not None:
        arrays = processed(rows, processor, wanted.channels)
    else:
        arrays = (as_read(array, wanted.size, wanted.channels) for array in picture_arrays(rows))
    return with_pictures(rows, arrays, wanted.patch, by_size=True)


class SizedPictures:
    """Prepared pictures for reading by index."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        wanted = image_format(model)
        self._processor = open_image_processor(model, wanted.channels, whole=True)
        self._pictures = PreparedPictures(prepared, opened_again(self._processor, wanted.channels))
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        self.sizes = self._pictures.shapes[:, :2]  # [N, 2], as the model sees them

    def __len__(self) -> int:
        return len(self.lengths)

    def groups(self, indices: np.ndarray, device: torch.device) -> list[Group]:
        """Pictures of one size each, in the order of their sizes."""
        import torch

        groups = []
        _, group_of = np.unique(self.sizes[indices], axis=0, return_inverse=True)
        for group in range(int(group_of.max(initial=-1)) + 1):
            places = np.flatnonzero(group_of.ravel() == group)
            raw = torch.from_numpy(self._pictures[indices[places]])
            raw = raw.to(device, non_blocking=True)
            values = (raw.float() / 255.0 - 0.5) / 0.5 if self._processor is None else self._processor.normalized(raw)
            groups.append(Group(places, values.permute(0, 3, 1, 2)))
        return groups
