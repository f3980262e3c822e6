"""For jobs/made-digits.yaml: three generators of digits, and the network that looks at what they make.

    python jobs/made_digits.py        # once: trains the network on the training digits and saves it beside this file

A generator gives as many pictures as it is asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from raybench.data.packaged import digits

__all__ = ["by_class", "mixture", "one_gaussian", "train_network"]


def one_gaussian(count: int) -> np.ndarray:
    """Pictures drawn from one Gaussian of all training digits."""
    return _pictures(_gaussian(_training()[0], count, 0))


def by_class(count: int) -> np.ndarray:
    """Pictures drawn from a Gaussian of each digit, the digits in turn."""
    images_ND, labels_N = _training()
    drawn = [_gaussian(images_ND[labels_N == digit], count // 10 + 1, digit) for digit in range(10)]
    return _pictures(np.stack(drawn, axis=1).reshape(-1, images_ND.shape[1])[:count])


def mixture(count: int) -> np.ndarray:
    """Pictures drawn from a mixture of 60 Gaussians over the 20 main directions of the training digits."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    directions = PCA(20, random_state=0)
    fitted = GaussianMixture(60, reg_covar=1.0, random_state=0).fit(directions.fit_transform(_training()[0]))
    drawn = np.random.default_rng(0).permutation(fitted.sample(count)[0])
    return _pictures(directions.inverse_transform(drawn))


def _training() -> tuple[np.ndarray, np.ndarray]:
    """Pixels float64 [N, 64] and labels [N]."""
    return _pixels(digits()["train"])


def _pixels(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    images = [np.frombuffer(one["data"], dtype=np.uint8) for one in table["image"].to_pylist()]
    return np.stack(images).astype(np.float64), table["label"].to_numpy().astype(np.int64)


def _gaussian(images_ND: np.ndarray, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(images_ND.mean(0), np.cov(images_ND, rowvar=False), count)


def _pictures(pixels_ND: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels_ND), 0, 255).astype(np.uint8).reshape(-1, 8, 8)


def train_network(folder: Path) -> float:
    """A small ViT that tells the digits apart, saved with its processor; its accuracy on the test digits."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    config = ViTConfig(image_size=8, patch_size=2, num_channels=1, hidden_size=64, intermediate_size=128,
                       num_hidden_layers=3, num_attention_heads=4, num_labels=10)  # fmt: skip
    model = ViTForImageClassification(config)
    (values, targets), (test_values, test_targets) = (
        (torch.from_numpy(pixels_ND).float().reshape(-1, 1, 8, 8) / 127.5 - 1, torch.from_numpy(labels_N))
        for pixels_ND, labels_N in map(_pixels, (digits()["train"], digits()["test"]))
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    for _ in range(30):
        for rows in torch.randperm(len(values)).split(64):
            optimizer.zero_grad()
            model(pixel_values=values[rows], labels=targets[rows]).loss.backward()
            optimizer.step()
    model.eval().save_pretrained(folder)
    size = {"height": 8, "width": 8}
    ViTImageProcessorPil(size=size, image_mean=[0.5], image_std=[0.5]).save_pretrained(folder)
    with torch.inference_mode():
        found = model(pixel_values=test_values).logits.argmax(1)
    return float((found == test_targets).double().mean())


if __name__ == "__main__":
    place = Path(__file__).with_name("digit-network")
    print(f"saved to {place}; {train_network(place):.1%} of the test digits are told apart")
