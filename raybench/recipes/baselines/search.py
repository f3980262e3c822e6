"""The best documents of a corpus by an index of words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from raybench.core import DatasetKey
from raybench.tasks.catalog import task_of
from raybench.tasks.corpus import corpus_of
from raybench.tasks.ranking import PIECE, Ranked, rank

__all__ = ["search"]

_AT_ONCE = 256  # queries


def search(rows: pa.Table, index: Callable[[tuple[str, ...]], tuple[Any, Any]], dataset: DatasetKey) -> Ranked:
    """`index` gives of the documents a vectorizer of queries and their weights, sparse [words, N]."""
    import torch

    corpus = corpus_of(rows)
    whole, bounds = corpus.values.tobytes(), corpus.offsets.tolist()
    texts = tuple(whole[a:b].decode() for a, b in itertools.pairwise(bounds))
    indices, scores = [], []
    if texts:
        vectorizer, weights = index(texts)
        depth = task_of(dataset).settings.depth
        queries = vectorizer.transform(rows.column("query").to_pylist())
        relevant = [cell.values.to_numpy() for cell in rows.column("documents")]
        for start in range(0, rows.num_rows, _AT_ONCE):
            some = queries[start : start + _AT_ONCE]
            pieces = (
                torch.from_numpy((some @ weights[:, first : first + PIECE]).toarray())
                for first in range(0, len(texts), PIECE)
            )
            found = rank(pieces, relevant[start : start + _AT_ONCE], depth)
            indices += found.indices
            scores += found.scores
    return Ranked(indices, scores)
