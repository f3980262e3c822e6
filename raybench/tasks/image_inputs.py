"""Images as pixels of the model's size, by its own processor: resized once into Arrow, normalised on the device."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.core.pictures import picture_arrays
from raybench.models.configuration import open_config, pixel_channels
from raybench.models.files import model_directory, read_object
from raybench.models.image_processor import SETTINGS, ImageProcessor, open_image_processor
from raybench.tasks.augmentation import AugmentOptions, drawn, views, warped
from raybench.tasks.prepared_pictures import Again, PreparedPictures, shapes_of, with_pictures
from raybench.tasks.rows import cell_keys, input_keys, single_chunk, target_tensor
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = [
    "ImageExamples",
    "ImageFormat",
    "as_read",
    "image_format",
    "model_images",
    "opened_again",
    "pixels",
    "processed",
    "raw_pictures",
    "resize_images",
]

_MAX_SIDE = 2**14  # pixels; what is larger is a slip, and would take a GiB a picture


class ImageFormat(NamedTuple):
    """Height and width in pixels (None: the data's own), channels, and the settings of the checkpoint's processor."""

    size: tuple[int, int] | None
    channels: int
    patch: int  # pixels a side that become one position, for the cost of a row
    saved: Mapping[str, Any]  # empty where there is no processor


def image_format(model: ModelSpec) -> ImageFormat:
    """What the model was trained on, from preprocessor_config.json and config.json, checked without opening anything.

    Raises:
        ModelError: one of them is torn or says what no picture can be brought to; the message names file and key.
    """
    config = open_config(model)
    seen = getattr(config, "vision_config", config)
    directory = model_directory(model, weights=False)
    place = f"model {model.reference!r}: its configuration"
    saved: dict[str, Any] = {}
    if directory is not None and (directory / SETTINGS).is_file():
        place = str(directory / SETTINGS)
        saved = read_object(directory / SETTINGS)
    channels = pixel_channels(config)
    sizes = {"crop_size": saved.get("crop_size"), "size": saved.get("size")}
    key = next((name for name, value in sizes.items() if value), "image_size")
    patch = getattr(seen, "patch_size", 16)
    _check_by_channel(saved.get("image_mean"), channels, f"{place}: image_mean")
    _check_by_channel(saved.get("image_std"), channels, f"{place}: image_std", nonzero=True)
    return ImageFormat(
        size=_size(sizes.get(key, getattr(seen, "image_size", None)), f"{place}: {key}"),
        channels=channels,
        patch=max(patch) if isinstance(patch, list | tuple) and patch else patch or 1,
        saved=saved,
    )


def _size(value: Any, place: str) -> tuple[int, int] | None:
    """Height and width of {height, width}, {shortest_edge}, a pair or one number; None where nothing is said."""
    if not value:
        return None
    found = value
    if isinstance(value, dict):
        edge = value.get("shortest_edge")
        found = [edge, edge] if edge else [value.get("height"), value.get("width")]
    elif not isinstance(value, list | tuple):
        found = [value, value]
    if len(found) != 2 or not all(type(side) is int and 1 <= side <= _MAX_SIDE for side in found):
        raise ModelError(
            f"{place}: {value!r} cannot be used; want height and width, or shortest_edge, of 1 to {_MAX_SIDE} pixels"
        )
    return found[0], found[1]


def _check_by_channel(value: Any, channels: int, place: str, *, nonzero: bool = False) -> None:
    """One number a channel, or nothing."""
    found = [0.5] if value is None else value if isinstance(value, list | tuple) else [value]
    good = all(isinstance(number, int | float) and (number or not nonzero) for number in found)
    if not good or len(found) not in (1, 3, channels):
        wanted = "a number other than 0" if nonzero else "a number"
        raise ModelError(f"{place}: {value!r} cannot be used; want {wanted} for each of {channels} channels")


def pixels(table: pa.Table) -> np.ndarray:
    """Prepared pictures of one size, one at least, as an array [N, height, width, channels] of uint8 or float32."""
    return PreparedPictures(table, _scaled)[np.arange(table.num_rows)]


_AT_ONCE = 64  # pictures given to a processor together
_PIXELS_AT_ONCE = 8 * 224**2  # forwarded together by a CPU


def resize_images(rows: pa.Table, size: tuple[int, int] | None, channels: int | None, patch: int) -> pa.Table:
    """Every image at one size (None: the first image's) and number of channels (None: the most that any has), with
    `length` and `key`.

    Bilinear, as the usual image processors; an image already of that shape is left as it is, byte for byte.
    """
    arrays: Iterable[np.ndarray] = picture_arrays(rows)
    if channels is None or size is None:  # which hang on the pictures themselves
        arrays = list(arrays)
        channels = channels or max((array.shape[2] for array in arrays), default=1)
        size = size or (arrays[0].shape[:2] if arrays else (1, 1))
    return with_pictures(rows, (as_read(array, size, channels) for array in arrays), patch)


def raw_pictures(rows: pa.Table) -> pa.Table:
    """Rows with their pictures as they are, encoded ones too, `length` and `key`: for a baseline."""
    image = rows.column("image")
    data = pc.struct_field(image, "bytes" if image.type.get_field_index("bytes") >= 0 else "data")
    length = pa.array(np.ones(rows.num_rows, dtype=np.int32))
    return rows.append_column("length", length).append_column("key", cell_keys(pa.table({"data": data}), ["data"]))


def model_images(rows: pa.Table, model: ModelSpec) -> pa.Table:
    """Every image as the model reads it, with `length` and `key`: by its own processor where it has one.

    Raises:
        ModelError: the processor reads no such pictures, or makes them of several sizes.
    """
    wanted = image_format(model)
    processor = open_image_processor(model, wanted.channels)
    if processor is None:
        return resize_images(rows, wanted.size, wanted.channels, wanted.patch)
    table = with_pictures(rows, processed(rows, processor, wanted.channels), wanted.patch)
    sizes = np.unique(shapes_of(table)[:, :2], axis=0).tolist()
    if len(sizes) > 1:
        some = " and ".join(f"{height} × {width}" for height, width in sizes[:2])
        raise ModelError(f"model {model.reference!r}: its processor makes pictures of {some}; want one size for all")
    return table


def processed(rows: pa.Table, processor: ImageProcessor, channels: int) -> Iterator[np.ndarray]:
    """Pictures by a checkpoint's processor, some at a time."""
    pictures = (as_read(array, None, channels) for array in picture_arrays(rows))
    while part := list(itertools.islice(pictures, _AT_ONCE)):
        yield from processor.resized(part)


def opened_again(processor: ImageProcessor | None, channels: int) -> Again:
    """How pictures that were prepared so are made once more."""
    return _scaled if processor is None else lambda rows, _: processed(rows, processor, channels)


def _scaled(rows: pa.Table, shapes: np.ndarray) -> Iterator[np.ndarray]:
    for array, (height, width, channels) in zip(picture_arrays(rows), shapes.tolist(), strict=True):
        yield as_read(array, (height, width), channels)


def as_read(array: np.ndarray, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """A picture in that size [height, width] and number of channels, where they are given."""
    if channels is not None and array.shape[2] != channels:
        array = _recolour(array, channels)
    return array if size is None or array.shape[:2] == size else _scale(array, size)


def _recolour(array: np.ndarray, channels: int) -> np.ndarray:
    if array.shape[2] == 4 and channels != 4:  # the alpha channel has no meaning to a classifier
        array = array[:, :, :3]
    if array.shape[2] == channels:
        return array
    if channels == 1:  # ITU-R 601 luma, as PIL's convert("L")
        luma = array.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
        return np.rint(luma)[:, :, None].astype(np.uint8)
    return np.repeat(array[:, :, :1], channels, axis=2)


def _scale(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(array[:, :, c])).resize(size[::-1], Image.Resampling.BILINEAR))
        for c in range(array.shape[2])
    ]
    return np.stack(planes, axis=2)


class ImageExamples:
    """Prepared images; `pixel_values` are float32, normalised."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, targets: np.ndarray, options: AugmentOptions) -> None:
        self._options, self._ids = options, prepared.column("id")
        self._views: np.ndarray | None = None  # as an epoch of training sees them
        channels = image_format(model).channels
        self._processor = open_image_processor(model, channels)
        self._pictures = PreparedPictures(prepared, opened_again(self._processor, channels))
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def together(self) -> int:
        """How many a CPU forwards at once: of more, what a layer puts out is larger than what an allocator keeps
        (ResNet-18 took 1.08 times as long by 20 as by 8, with twice the page faults)."""
        return max(1, _PIXELS_AT_ONCE // int(self._pictures.shapes[:1, :2].prod()))

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def in_epoch(self, seed: int, epoch: int) -> ImageExamples:
        """The same pictures as this epoch of training sees them."""
        if not self._options.augments:
            return self
        seen = copy.copy(self)
        seen._views = views(drawn(self._ids.to_pylist(), seed, epoch), self._options)
        return seen

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """pixel_values float32 [B, channels, height, width], targets [B, …]; `padded` has no meaning here.

        In memory the channels come last, as pictures have them and convolutions are fastest.
        """
        import torch

        raw = torch.from_numpy(self._pictures[indices]).to(device, non_blocking=True)
        values = (raw.float() / 255.0 - 0.5) / 0.5 if self._processor is None else self._processor.normalized(raw)
        values = values.permute(0, 3, 1, 2)
        inputs = {"pixel_values": values if self._views is None else warped(values, self._views[indices])}
        return Batch(inputs, target_tensor(self.targets[indices], device))
