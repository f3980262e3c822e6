"""Images as uint8 pixels of the model's size: resized once into Arrow, normalised on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.models.configuration import open_config
from raybench.models.files import model_directory, read_object
from raybench.tasks.rows import input_keys, key_column, single_chunk, target_tensor
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["ImageExamples", "ImageFormat", "image_format", "pixels", "resize_images"]


_MAX_SIDE = 2**14  # pixels; what is larger is a slip, and would take a GiB a picture


class ImageFormat(NamedTuple):
    """Height and width in pixels (None: the data's own), channels, and what is taken off and divided by."""

    size: tuple[int, int] | None
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    patch: int  # pixels a side that become one position, for the cost of a row


def image_format(model: ModelSpec) -> ImageFormat:
    """What the model was trained on, from preprocessor_config.json and config.json.

    Raises:
        ModelError: one of them is torn or says what no picture can be brought to; the message names file and key.
    """
    config = open_config(model)
    directory = model_directory(model, weights=False)
    place = f"model {model.reference!r}: its configuration"
    saved: dict[str, Any] = {}
    if directory is not None and (directory / "preprocessor_config.json").is_file():
        place = str(directory / "preprocessor_config.json")
        saved = read_object(directory / "preprocessor_config.json")
    channels = getattr(config, "num_channels", 3)
    sizes = {"crop_size": saved.get("crop_size"), "size": saved.get("size")}
    key = next((name for name, value in sizes.items() if value), "image_size")
    patch = getattr(config, "patch_size", 16)
    return ImageFormat(
        size=_size(sizes.get(key, getattr(config, "image_size", None)), f"{place}: {key}"),
        channels=channels,
        mean=_by_channel(saved.get("image_mean"), channels, f"{place}: image_mean"),
        std=_by_channel(saved.get("image_std"), channels, f"{place}: image_std", nonzero=True),
        patch=max(patch) if isinstance(patch, list | tuple) and patch else patch or 1,
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


def _by_channel(value: Any, channels: int, place: str, *, nonzero: bool = False) -> tuple[float, ...]:
    """One number a channel; 0.5 where nothing is said."""
    found = [0.5] if value is None else value if isinstance(value, list | tuple) else [value]
    good = all(isinstance(number, int | float) and (number or not nonzero) for number in found)
    if not good or len(found) not in (1, 3, channels):
        wanted = "a number other than 0" if nonzero else "a number"
        raise ModelError(f"{place}: {value!r} cannot be used; want {wanted} for each of {channels} channels")
    return tuple(map(float, found)) if len(found) == channels else (float(found[0]),) * channels


def pixels(table: pa.Table) -> np.ndarray:
    """Column `image` of equally sized images as one uint8 array [N, height, width, channels], a view."""
    array = single_chunk(table, "image")
    if len(array) == 0:
        return np.zeros((0, 1, 1, 1), dtype=np.uint8)
    height, width, channels = (int(array.field(name)[0].as_py()) for name in _SHAPE)
    data = array.field("data")
    offsets = np.frombuffer(data.buffers()[1], dtype=np.int32)[data.offset :]
    view = np.frombuffer(data.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[len(array)]]
    return view.reshape(len(array), height, width, channels)


_SHAPE = ("height", "width", "channels")


def resize_images(rows: pa.Table, size: tuple[int, int] | None, channels: int | None, patch: int) -> pa.Table:
    """Every image at one size (None: the first image's) and number of channels (None: the most that any has), with
    `length` and `key`.

    Bilinear, as the usual image processors; an image already of that shape is left as it is, byte for byte.
    """
    images = rows.column("image").combine_chunks()
    if channels is None and len(images):
        channels = max(images.field("channels").to_pylist())
    arrays = [_resized(image, size, channels) for image in images.to_pylist()] if len(images) else []
    height, width = arrays[0].shape[:2] if arrays else (size or (1, 1))
    arrays = [a if a.shape[:2] == (height, width) else _scale(a, (height, width)) for a in arrays]
    depth = arrays[0].shape[2] if arrays else 1
    count = len(arrays)
    image = pa.StructArray.from_arrays(
        [
            pa.array(np.full(count, height, dtype=np.int32)),
            pa.array(np.full(count, width, dtype=np.int32)),
            pa.array(np.full(count, depth, dtype=np.int32)),
            pa.array([a.tobytes() for a in arrays], type=pa.binary()),
        ],
        names=[*_SHAPE, "data"],
    )
    shape = bytes([height % 256, width % 256, depth % 256])
    length = max(1, (height // max(1, patch)) * (width // max(1, patch)))
    kept = {name: rows.column(name) for name in rows.column_names if name != "image"}
    return pa.table(
        {
            **kept,
            "image": image,
            "length": pa.array(np.full(count, length, dtype=np.int32)),
            "key": key_column(shape + a.tobytes() for a in arrays),
        }
    )


def _resized(image: dict[str, Any], size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    array = np.frombuffer(image["data"], dtype=np.uint8).reshape(*(image[name] for name in _SHAPE))
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
    """Prepared images; `pixel_values` are float32, channels first, normalised."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, targets: np.ndarray) -> None:
        self.format = image_format(model)
        self.pixels = pixels(prepared)
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """pixel_values float32 [B, channels, height, width], targets [B, …]; `padded` has no meaning here."""
        import torch

        raw = torch.from_numpy(self.pixels[indices]).to(device, non_blocking=True)
        mean = torch.tensor(self.format.mean, device=device)
        std = torch.tensor(self.format.std, device=device)
        values = ((raw.float() / 255.0 - mean) / std).permute(0, 3, 1, 2).contiguous()
        return Batch({"pixel_values": values}, target_tensor(self.targets[indices], device))
