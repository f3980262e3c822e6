"""Handwritten digits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core.pictures import image_array

__all__ = ["digits"]


def digits() -> dict[str, pa.Table]:
    """Handwritten digits, 8 × 8 grey: 1,438 to train on, 359 (every fifth) to test.

    From scikit-learn's `load_digits` (BSD; 1.6 and later hold the same file): E. Alpaydin, C. Kaynak, Optical
    Recognition of Handwritten Digits, UCI 1998. Its 17 grey levels are spread over 0–255.
    """
    from sklearn.datasets import load_digits

    loaded = load_digits()
    images = image_array(np.rint(loaded.images * (255 / 16)).astype(np.uint8))
    labels = pa.array(loaded.target.astype(np.int32))
    rows = np.arange(len(labels))
    table = pa.table({"image": images, "label": labels})
    return {"train": table.take(pa.array(rows[rows % 5 != 4])), "test": table.take(pa.array(rows[rows % 5 == 4]))}
