"""Queries, documents and judgements as one table a split: what BEIR, MTEB and TREC keep in three.

    rows = judged_rows(queries, corpus, qrels)      # query, document, grade, negative: as the task retrieval reads them

A module beside a job file calls it with what it has loaded, such as the three configurations of a hub set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from raybench.core.errors import DataError

__all__ = ["judged_rows"]


def judged_rows(
    queries: Mapping[str, str], corpus: Mapping[str, str], qrels: Iterable[tuple[str, str, float]]
) -> pa.Table:
    """A row for each query that has judgements. `qrels` are (query id, document id, grade).

    Documents that no one judged belong to the corpus all the same: they are dealt out to the rows as negatives.

    Raises:
        DataError: a judgement of a query or a document that is not there.
    """
    judged: dict[str, dict[str, float]] = {}
    for query, document, grade in qrels:
        for what, name, known in (("query", query, queries), ("document", document, corpus)):
            if name not in known:
                raise DataError(f"a judgement names {what} {name!r}, which is not among the {len(known)} given")
        judged.setdefault(query, {})[document] = float(grade)
    named = {document for own in judged.values() for document in own}
    rest = [text for name, text in corpus.items() if name not in named]
    names = list(judged)
    return pa.table(
        {
            "id": names,
            "query": [queries[name] for name in names],
            "document": pa.array([[corpus[one] for one in judged[name]] for name in names], pa.list_(pa.string())),
            "grade": pa.array([list(judged[name].values()) for name in names], pa.list_(pa.float64())),
            "negative": pa.array([rest[n :: len(names)] for n in range(len(names))], pa.list_(pa.string())),
        }
    )
