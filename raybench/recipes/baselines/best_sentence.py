"""`best-sentence`: the sentence of the context that shares most with the question, by TF-IDF of words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.core.errors import IncompatibleError
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.sentences import best_sentence, idf_arrays, read_vectorizer
from raybench.tasks.answer_spans import NO_ANSWER, Span

__all__ = ["BestSentence"]


class BestSentence:
    """scikit-learn's TfidfVectorizer over sentences. No answer is the less likely the more is shared."""

    tasks = ("question-answering",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        try:
            return idf_arrays(rows.column("context").to_pylist())
        except ValueError as error:
            raise IncompatibleError(f"best-sentence: the training contexts hold no words ({error})") from error

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[Span]:
        vectorizer = read_vectorizer(arrays["words"], arrays["idf"])
        pairs = zip(rows.column("question").to_pylist(), rows.column("context").to_pylist(), strict=True)
        found = [best_sentence(vectorizer, question, context) for question, context in pairs]
        return [NO_ANSWER if best is None else Span(*best[0], -best[1]) for best in found]
