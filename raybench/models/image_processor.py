"""A checkpoint's own image processor: its resize rule, resampling, crop, scale and normalisation, and nothing of ours.

    processor = open_image_processor(model)     # None: the checkpoint has none
    pictures = processor.resized(arrays)        # [height, width, channels], uint8 where that loses nothing
    values = processor.normalized(pixels)       # float32, on the pixels' device

Resized pixels are kept as bytes and normalised on the device, a quarter of the memory, where the two steps together
give the processor's own values; where they do not (EfficientNet's offset), its float32 values are kept whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raybench.core import ModelSpec
from raybench.core.errors import ModelError, summary
from raybench.models.files import model_directory
from raybench.models.quiet import quiet

if TYPE_CHECKING:
    import torch

__all__ = ["SETTINGS", "ImageProcessor", "open_image_processor", "saved_image_processor"]

SETTINGS = "preprocessor_config.json"
_EXACT = 1e-5  # of values some units wide: what rounding in another order leaves


class ImageProcessor:
    """transformers' processor of Pillow, in two steps."""

    def __init__(self, processor: Any, channels: int, place: Path, *, whole: bool = False) -> None:
        self._processor, self._place = processor, place
        self._options = _whole(processor) if whole else {}
        self.scale = float(processor.rescale_factor) if getattr(processor, "do_rescale", False) else 1.0
        normalizes = bool(getattr(processor, "do_normalize", False))
        self.mean = _by_channel(processor.image_mean if normalizes else 0.0, channels)
        self.std = _by_channel(processor.image_std if normalizes else 1.0, channels)
        self.in_two_steps = True
        probe = [np.random.default_rng(0).integers(0, 256, (37, 53, channels), dtype=np.uint8)]
        (bytes_,), (values,) = self.resized(probe), self._processed(probe)
        if bytes_.dtype != np.uint8 or np.abs(self._of(bytes_) - values).max() > _EXACT:
            self.in_two_steps = False

    def resized(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """[height, width, channels] each, of uint8 [height, width, channels]; float32 of processors of one step.

        Raises:
            ModelError: the processor cannot read such pictures.
        """
        if not self.in_two_steps:
            return self._processed(arrays)
        return [_bytes(one) for one in self._processed(arrays, do_rescale=False, do_normalize=False)]

    def normalized(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 of `resized` pixels [B, height, width, channels]."""
        if not self.in_two_steps:
            return pixels
        mean, std = (pixels.new_tensor(one, dtype=_float32()) for one in (self.mean, self.std))
        return pixels.float().mul_(self.scale).sub_(mean).div_(std)

    def post_processing(self, name: str) -> Callable[..., Any] | None:
        """A method of the processor that reads what a network puts out, such as post_process_object_detection."""
        found: Callable[..., Any] | None = getattr(self._processor, name, None)
        return found

    def _of(self, pixels: np.ndarray) -> np.ndarray:
        values: np.ndarray = (pixels * self.scale - np.array(self.mean)) / np.array(self.std)
        return values

    def _processed(self, arrays: Sequence[np.ndarray], **options: Any) -> list[np.ndarray]:
        try:
            with quiet():
                given = self._options | options
                found = self._processor(images=list(arrays), input_data_format="channels_last", **given)
            return [np.asarray(one).transpose(1, 2, 0) for one in found["pixel_values"]]
        except Exception as error:
            raise ModelError(f"{self._place}: its processor does not read these pictures: {summary(error)}") from error


def open_image_processor(model: ModelSpec, channels: int, *, whole: bool = False) -> ImageProcessor | None:
    """The processor beside the weights; None where there is no preprocessor_config.json.

    `whole` leaves its crop out and resizes to the crop's size, and pads nothing, for tasks that ask of places.

    Raises:
        ModelError: transformers knows no such processor, or it reads no pictures of so many channels.
    """
    path = saved_image_processor(model)
    return None if path is None else _open(path, path.stat().st_mtime_ns, channels, whole)


def saved_image_processor(model: ModelSpec) -> Path | None:
    """The preprocessor_config.json beside the weights, if there is one."""
    directory = model_directory(model, weights=False)
    return None if directory is None or not (path := Path(directory) / SETTINGS).is_file() else path


@lru_cache(maxsize=8)
def _open(path: Path, modified: int, channels: int, whole: bool) -> ImageProcessor:
    from transformers import AutoImageProcessor

    try:
        with quiet():
            processor = AutoImageProcessor.from_pretrained(path.parent, backend="pil", trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{path}: no image processor of transformers: {summary(error)}") from error
    return ImageProcessor(processor, channels, path, whole=whole)


def _whole(processor: Any) -> dict[str, Any]:
    """What makes it leave crops and padding out."""
    options: dict[str, Any] = {"do_pad": False} if getattr(processor, "do_pad", False) else {}
    crop = getattr(processor, "crop_size", None)
    if getattr(processor, "do_center_crop", False) and crop:
        options |= {"do_center_crop": False, "size": {"height": crop["height"], "width": crop["width"]}}
    return options


def _by_channel(value: Any, channels: int) -> tuple[float, ...]:
    found = tuple(map(float, value)) if isinstance(value, list | tuple) else (float(value),)
    return found if len(found) == channels else (found[0],) * channels


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """uint8 where these are whole numbers of a byte, else as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    rounded = np.rint(pixels)
    return (
        rounded.astype(np.uint8)
        if np.array_equal(rounded, pixels) and 0 <= rounded.min() <= rounded.max() <= 255
        else pixels
    )


def _float32() -> torch.dtype:
    import torch

    return torch.float32
