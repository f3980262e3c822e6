"""Word and character error rate from the counts of an optimal alignment: hits, substitutions, deletions, insertions.

Corpus-level: edits of all records over reference units of all records. An empty reference adds its insertions and no
units; if no record has a unit the rate is undefined. With several references the first is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import place_of
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio
from raybench.metrics.text import pairs_of, transform

__all__ = ["CER", "WER", "alignment_counts"]


def alignment_counts(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int, int]:
    """Hits, substitutions, deletions and insertions of a shortest edit script."""
    from rapidfuzz.distance import Levenshtein

    counts = {"replace": 0, "delete": 0, "insert": 0}
    for operation in Levenshtein.editops(reference, hypothesis):
        counts[operation.tag] += 1
    hits = len(reference) - counts["replace"] - counts["delete"]
    return hits, counts["replace"], counts["delete"], counts["insert"]


def _error_rate(name: str, units: Callable[[str], Sequence[str]], unit: str) -> Metric:
    def contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
        counts_N4 = np.zeros((records.num_rows, 4), dtype=np.int64)
        for row, (hypothesis, references) in enumerate(pairs_of(records)):
            if not references:
                raise MetricError(f"{place_of(records, row)} has no reference; {name} needs one, which may be empty")
            truth, heard = (units(transform(text, options["transform"])) for text in (references[0], hypothesis))
            counts_N4[row] = alignment_counts(truth, heard)
        return {"n": np.ones(records.num_rows, dtype=np.int64), "counts": counts_N4}

    return Metric(
        measure=Measure(
            name=name,
            columns=("hypothesis", "references"),
            options={"transform": "none"},
            contributions=contributions,
        ),
        value=lambda sums, options: ratio(sums["counts"][:, 1:].sum(axis=1), sums["counts"][:, :3].sum(axis=1)),
        higher_is_better=False,
        unit=f"edits a reference {unit}",
        range=(0.0, inf),
        whole=1.0,
        source="Levenshtein 1966; counts by rapidfuzz",
        undefined=f"no reference has a {unit}",
    )


WER = _error_rate("wer", str.split, "word")
CER = _error_rate("cer", lambda text: text, "character")
