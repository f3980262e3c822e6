"""Pictures that need no generator: `pixel-noise`, `training-images`, `blurred-images`; what any generator is held to.

Noise has the colours and nothing else, training images are as good as it gets without being new, blurred ones are them
without detail. A place beyond the training images begins with the first again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.core.identity import seed_from
from raybench.core.pictures import IMAGE, image_array
from raybench.recipes.baselines.baseline import Arrays
from raybench.tasks.catalog import task_of
from raybench.tasks.image_generation import ImageGeneration, Seen, see, shown, with_made
from raybench.tasks.image_inputs import pixels, resize_images

__all__ = ["BlurredImages", "PixelNoise", "TrainingImages"]

_MOST_BYTES = 1 << 28  # of training images that are kept


class _MadeImages(ABC):
    """Training images, all of the first one's size, in the order of their content; pictures made of them by place."""

    tasks = ("image-generation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        first = pixels(resize_images(rows.slice(0, 1), None, None, 1))
        images = pixels(resize_images(rows.slice(0, max(1, _MOST_BYTES // max(1, first.size))), None, None, 1))
        return {"images": np.ascontiguousarray(images)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Seen:
        """Looked at one by one, so that none depends on how rows are cut into shards."""
        import torch

        task = task_of(dataset)
        assert isinstance(task, ImageGeneration)
        network = _network(task.settings.feature_network, task.opened()["feature_network"])
        places = [place for place in rows.column("place").to_pylist() if place >= 0]
        made = [image_array(self.made(arrays["images"], place)[None]) for place in places]
        column = pa.concat_arrays(made) if made else pa.array([], IMAGE)
        examples = shown(with_made(rows, column, task.network_spec), task.network_spec)
        with torch.inference_mode():
            seen = [
                see(network, examples.batch(np.array([row]), 0, torch.device("cpu"))) for row in range(len(examples))
            ]
        told = [one.probabilities for one in seen if one.probabilities is not None]
        return Seen(np.concatenate([one.features for one in seen]), np.concatenate(told) if told else None)

    @abstractmethod
    def made(self, images: np.ndarray, place: int) -> np.ndarray:
        """uint8 [height, width, channels], of training images uint8 [T, height, width, channels]."""


@lru_cache(maxsize=1)
def _network(reference: str, fingerprint: str) -> Any:
    from raybench.models.feature_network import open_feature_network

    return open_feature_network(ModelSpec(reference=reference))


class TrainingImages(_MadeImages):
    """The training pictures as they are."""

    def made(self, images: np.ndarray, place: int) -> np.ndarray:
        return images[place % len(images)]


class BlurredImages(_MadeImages):
    """The training pictures through a Gaussian of a sixteenth of the shorter side."""

    def made(self, images: np.ndarray, place: int) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        sigma = min(images.shape[1:3]) / 16
        smooth = gaussian_filter(images[place % len(images)].astype(np.float32), (sigma, sigma, 0))
        return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


class PixelNoise(_MadeImages):
    """Each pixel that of any training image, drawn for itself."""

    def made(self, images: np.ndarray, place: int) -> np.ndarray:
        draw = np.random.default_rng(seed_from("pixel-noise", place))
        count, height, width, _ = images.shape
        chosen = draw.integers(count, size=(height, width))
        return images[chosen, np.arange(height)[:, None], np.arange(width)[None, :]]
