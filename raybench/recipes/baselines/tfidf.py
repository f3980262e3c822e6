"""scikit-learn's TfidfVectorizer as arrays, its words and their weights: the one that all baselines read texts with.

features, arrays = fit_tfidf(texts, "tfidf-logistic")
features = open_tfidf(arrays).transform(texts)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from raybench.core.errors import IncompatibleError
from raybench.recipes.baselines.baseline import Arrays

__all__ = ["ALL_WORDS", "SUBLINEAR", "Words", "fit_tfidf", "open_tfidf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a word is, and whether its count enters by 1 + ln."""

    pattern: str
    sublinear: bool


SUBLINEAR = Words(pattern=r"(?u)\b\w\w+\b", sublinear=True)  # scikit-learn's own words, of two letters and more
ALL_WORDS = Words(pattern=r"\w+", sublinear=False)


def fit_tfidf(texts: Sequence[str], baseline: str, words: Words = SUBLINEAR) -> tuple[Any, dict[str, np.ndarray]]:
    """The texts' features (sparse, of unit length), and `words` (uint8) and `idf` (float64).

    Raises:
        IncompatibleError: there is no word in any text.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=words.pattern, sublinear_tf=words.sublinear)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise IncompatibleError(f"{baseline}: the training texts hold no words ({error})") from error
    found = "\n".join(vectorizer.get_feature_names_out())
    return features, {"words": np.frombuffer(found.encode(), dtype=np.uint8), "idf": vectorizer.idf_}


def open_tfidf(arrays: Arrays, words: Words = SUBLINEAR) -> Any:
    """The vectorizer that `fit_tfidf` left."""
    return _open(arrays["words"].tobytes(), arrays["idf"].tobytes(), words)


@lru_cache(maxsize=4)
def _open(found: bytes, idf: bytes, words: Words) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vocabulary = {word: index for index, word in enumerate(found.decode().split("\n"))}
    vectorizer = TfidfVectorizer(token_pattern=words.pattern, sublinear_tf=words.sublinear, vocabulary=vocabulary)
    vectorizer.idf_ = np.frombuffer(idf, dtype=np.float64)
    return vectorizer
