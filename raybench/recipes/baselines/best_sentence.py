"""`best-sentence`: the sentence of the context that shares most with the question, by TF-IDF of words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.sentences import best_sentence, sentences
from raybench.recipes.baselines.tfidf import ALL_WORDS, fit_tfidf, open_tfidf
from raybench.tasks.answer_spans import NO_ANSWER, Span

__all__ = ["BestSentence"]


class BestSentence:
    """scikit-learn's TfidfVectorizer over sentences. No answer is the less likely the more is shared."""

    tasks = ("question-answering",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        contexts = dict.fromkeys(rows.column("context").to_pylist())
        parts = [text[start:stop] for text in contexts for start, stop in sentences(text)]
        return fit_tfidf(parts, "best-sentence", ALL_WORDS)[1]

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[Span]:
        vectorizer = open_tfidf(arrays, ALL_WORDS)
        pairs = zip(rows.column("question").to_pylist(), rows.column("context").to_pylist(), strict=True)
        found = [best_sentence(vectorizer, question, context) for question, context in pairs]
        return [NO_ANSWER if best is None else Span(*best[0], -best[1]) for best in found]
