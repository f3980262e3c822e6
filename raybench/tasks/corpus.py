"""Which documents there are to find, and which of them answer each query.

The corpus of a split is what its rows name: their documents and, if they have some, their negatives; equal texts are
one document, in the texts' order. Rows of one query share their documents. It travels with the prepared rows as the
dictionary of a column, once for all of them. Shapes: N documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.tasks.rows import Ragged, single_chunk

__all__ = ["Judged", "corpus_column", "corpus_digest", "corpus_of", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Texts of the corpus, and by row indices in it: of what is relevant (with grades), of what is known not to be."""

    texts: list[str]
    documents: list[list[int]]
    grades: list[list[float]]
    negatives: list[list[int]]


def judge(rows: pa.Table) -> Judged:
    """What the rows say.

    Raises:
        DataError: grades that are not one a document.
    """
    queries, named = rows.column("query").to_pylist(), rows.column("document").to_pylist()
    absent: list[list[str]] = [[] for _ in queries]
    others = rows.column("negative").to_pylist() if "negative" in rows.column_names else absent
    given = rows.column("grade").to_pylist() if "grade" in rows.column_names else [[1.0] * len(own) for own in named]
    joined: dict[str, dict[str, float]] = {}
    for place, (query, own, grades) in enumerate(zip(queries, named, given, strict=True)):
        if len(own) != len(grades):
            raise DataError(f"row {place} has {len(own)} documents and {len(grades)} grades; each document has its own")
        for text, grade in zip(own, grades, strict=True):
            known = joined.setdefault(query, {})
            known[text] = max(grade, known.get(text, grade))
    texts = sorted({text for lists in (named, others) for own in lists for text in own})
    where = {text: place for place, text in enumerate(texts)}
    relevant = [joined.get(query, {}) for query in queries]
    return Judged(
        texts=texts,
        documents=[[where[text] for text in known] for known in relevant],
        grades=[list(known.values()) for known in relevant],
        negatives=[
            list(dict.fromkeys(where[text] for text in own if known.get(text, 0.0) <= 0))
            for own, known in zip(others, relevant, strict=True)
        ],
    )


def corpus_column(documents: Sequence[bytes], num_rows: int) -> pa.DictionaryArray:
    """A column whose dictionary is the corpus; what its cells say is nothing."""
    indices = pa.array(np.zeros(num_rows, dtype=np.int32)) if documents else pa.nulls(num_rows, pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(documents, pa.large_binary()))


def corpus_of(prepared: pa.Table) -> Ragged:
    """The bytes of the documents: document n is values[offsets[n]:offsets[n + 1]]."""
    cells = single_chunk(prepared, "corpus").dictionary
    _, offsets, values = cells.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[cells.offset : cells.offset + len(cells) + 1]
    return Ragged(np.frombuffer(values or b"", dtype=np.uint8), bounds)


def corpus_digest(corpus: Ragged) -> bytes:
    """By which a corpus is known again."""
    digest = hashlib.blake2b(np.ascontiguousarray(corpus.offsets).tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(corpus.values).tobytes())
    return digest.digest()
