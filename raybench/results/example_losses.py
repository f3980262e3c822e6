"""How wrong a candidate is on each example, from the records of any task, and what it said there, in words.

    losses_of(records)          # float64 [N]: 0 is right; None where records tell nothing of single examples
    answers_of(records, labels) # ["sport", …]: what was said
    truths_of(records, labels)  # ["business", …]: what would have been right

| records | loss |
| --- | --- |
| a class, a choice | 0 or 1; among equals the negative log-likelihood orders |
| a number | distance from the truth |
| several labels | share of labels that are wrong |
| tags | share of words with a wrong tag |
| a text | 1 − its likeness to the nearest reference (normalised edit distance) |
| documents | 1 − 1 / rank of the first relevant one |
| likelihood alone | negative log-likelihood a byte, a word or a token |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import integers_of, lists_of, numbers_of, text_lists_of

__all__ = ["answers_of", "losses_of", "truths_of"]

_TIE = 1e-3  # of a likelihood of e⁻¹ beside a wrong class
_MOST_NAMED = 12  # of the labels, tags or documents of one example


def losses_of(records: pa.Table) -> np.ndarray | None:
    """How wrong each record is."""
    for columns, losses in _LOSSES:
        if set(columns) <= set(records.column_names):
            found = losses(records)
            if found is not None:
                return np.nan_to_num(found, nan=np.inf)
    return None


def answers_of(records: pa.Table, labels: Sequence[str]) -> list[str]:
    """What was said of each example."""
    return _said(records, labels, ("prediction", "predictions", "tags", "hypothesis"))


def truths_of(records: pa.Table, labels: Sequence[str]) -> list[str]:
    """What would have been right."""
    return _said(records, labels, ("target", "targets", "target_tags", "references"))


def _said(records: pa.Table, labels: Sequence[str], columns: Sequence[str]) -> list[str]:
    name = next((name for name in columns if name in records.column_names), None)
    if name is None:
        return [""] * records.num_rows
    return [_in_words(value, labels, is_hot=name in ("predictions", "targets")) for value in records[name].to_pylist()]


def _in_words(value: object, labels: Sequence[str], *, is_hot: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        if is_hot and len(value) == len(labels):
            value = [label for label, given in zip(labels, value, strict=True) if given]
        named = [str(one) for one in value[:_MOST_NAMED]]
        return ", ".join(named) + (f", … ({len(value)})" if len(value) > _MOST_NAMED else "") or "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return labels[value] if 0 <= value < len(labels) else "no class" if value < 0 else str(value)
    return f"{value:.4g}"


def _class(records: pa.Table) -> np.ndarray | None:
    kinds = (records.schema.field(name).type for name in ("target", "prediction"))
    if not all(pa.types.is_integer(kind) for kind in kinds):
        return None
    wrong = (integers_of(records, "prediction") != integers_of(records, "target")).astype(float)
    if "nll" not in records.column_names:
        return wrong
    nll = np.nan_to_num(numbers_of(records, "nll"), nan=50.0, posinf=50.0)
    return wrong + _TIE * np.minimum(nll, 50.0)


def _distance(records: pa.Table) -> np.ndarray:
    return np.abs(numbers_of(records, "prediction") - numbers_of(records, "target"))


def _labels(records: pa.Table) -> np.ndarray | None:
    target, prediction = lists_of(records, "targets"), lists_of(records, "predictions")
    if not np.array_equal(target.offsets, prediction.offsets):
        return None
    return _means((target.values != prediction.values).astype(float), target.offsets)


def _tags(records: pa.Table) -> np.ndarray:
    pairs = zip(text_lists_of(records, "target_tags"), text_lists_of(records, "tags"), strict=True)
    return np.array([np.mean([float(a != b) for a, b in zip(*pair, strict=False)] or [0.0]) for pair in pairs])


def _text(records: pa.Table) -> np.ndarray:
    from rapidfuzz.distance import Levenshtein

    pairs = zip(records["hypothesis"].to_pylist(), text_lists_of(records, "references"), strict=True)
    return np.array(
        [min(Levenshtein.normalized_distance(said, text) for text in references or [""]) for said, references in pairs]
    )


def _documents(records: pa.Table) -> np.ndarray | None:
    relevance, scores = lists_of(records, "relevance"), lists_of(records, "scores")
    if not np.array_equal(relevance.offsets, scores.offsets):
        return None
    losses = np.ones(records.num_rows)
    for row in range(records.num_rows):
        relevant = relevance.row(row)[np.argsort(-scores.row(row), kind="stable")] > 0
        if relevant.any():
            losses[row] = 1 - 1 / (1 + int(relevant.argmax()))
    return losses


def _likelihood(records: pa.Table) -> np.ndarray:
    nll = numbers_of(records, "nll")
    for name in ("num_bytes", "num_words", "num_tokens"):
        if name in records.column_names:
            return nll / np.maximum(1.0, numbers_of(records, name))
    return nll


def _means(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[offsets[1:]] - sums[offsets[:-1]]) / np.maximum(1, np.diff(offsets))


_LOSSES: tuple[tuple[tuple[str, ...], Callable[[pa.Table], np.ndarray | None]], ...] = (
    (("target", "prediction"), _class),
    (("target", "prediction"), _distance),
    (("targets", "predictions"), _labels),
    (("target_tags", "tags"), _tags),
    (("hypothesis", "references"), _text),
    (("relevance", "scores"), _documents),
    (("nll",), _likelihood),
)
