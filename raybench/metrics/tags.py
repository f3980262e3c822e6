"""Tags of words one by one: accuracy over all words, and F1 of each tag with its mean.

All words count alike, however long their rows are; rows are what is drawn for intervals, as words of one hang together.
A tag that is predicted and is none of `labels` is wrong. The mean takes the tags that occur, as a target or predicted.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.classification import mean_over
from raybench.metrics.columns import place_of, text_lists_of
from raybench.metrics.metric import REQUIRED, Contribution, Measure, Metric, OneHot, Options, ratio, totals_of
from raybench.metrics.state import Cells, Sums

__all__ = ["TOKEN_ACCURACY", "TOKEN_MACRO_F1", "tag_pairs"]

_COLUMNS = ("target_tags", "tags")
_SOURCE = "https://scikit-learn.org/stable/modules/model_evaluation.html#classification-metrics"
_NO_TAG = -1
TagPair = tuple[list[str], list[str]]


def tag_pairs(records: pa.Table) -> list[TagPair]:
    """True and predicted tags of each row, as many of the one as of the other."""
    pairs = list(zip(*(text_lists_of(records, column) for column in _COLUMNS), strict=True))
    for row, (target_tags, tags) in enumerate(pairs):
        if len(target_tags) != len(tags):
            place = place_of(records, row)
            raise MetricError(f"{place} has {len(tags)} tags for {len(target_tags)} words of 'target_tags'")
    return pairs


def _hits(records: pa.Table, options: Options) -> dict[str, Contribution]:
    pairs = tag_pairs(records)
    return {
        "n": np.ones(len(pairs), dtype=np.int64),
        "words": np.array([len(truth) for truth, _ in pairs], dtype=np.int64),
        "hits": np.array([sum(a == b for a, b in zip(*pair, strict=True)) for pair in pairs], dtype=np.int64),
    }


def _codes(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places in `labels` of all true and predicted tags (-1: none of them), and the row that each is of, [words]."""
    places = {str(label): place for place, label in enumerate(options["labels"])}
    pairs = tag_pairs(records)
    truth, tags = (
        np.array([places.get(tag, _NO_TAG) for pair in pairs for tag in pair[side]], dtype=np.int64) for side in (0, 1)
    )
    rows = np.repeat(np.arange(len(pairs)), [len(target_tags) for target_tags, _ in pairs]).astype(np.int64)
    if (truth == _NO_TAG).any():
        row = int(rows[np.argmax(truth == _NO_TAG)])
        tag = next(tag for tag in pairs[row][0] if tag not in places)
        raise MetricError(f"tag {tag!r} in {place_of(records, row)} is none of 'labels'")
    return truth, tags, rows


def _counts(records: pa.Table, options: Options) -> dict[str, Contribution]:
    """Each row's right, predicted and true words of each tag, [N, C]."""
    truth, tags, rows = _codes(records, options)
    size = len(options["labels"])

    def of_rows(codes: np.ndarray, kept: np.ndarray) -> np.ndarray:
        cells = np.bincount(rows[kept] * size + codes[kept], minlength=records.num_rows * size)
        return cells.reshape(records.num_rows, size)

    return {
        "n": np.ones(records.num_rows, dtype=np.int64),
        "tp": of_rows(truth, truth == tags),
        "predicted": of_rows(tags, tags != _NO_TAG),
        "true": of_rows(truth, truth != _NO_TAG),
    }


def _totals(records: pa.Table, options: Options) -> dict[str, Cells]:
    """The same sums, without a table of rows × tags."""
    truth, tags, _ = _codes(records, options)
    size = len(options["labels"])
    return totals_of(
        {
            "n": np.ones(records.num_rows, dtype=np.int64),
            "tp": OneHot(np.where(truth == tags, truth, _NO_TAG), size),
            "predicted": OneHot(tags, size),
            "true": OneHot(truth, size),
        }
    )


def _f1(sums: Sums) -> np.ndarray:
    return ratio(2 * sums["tp"], sums["predicted"] + sums["true"])


def _macro_f1(sums: Sums, options: Options) -> np.ndarray:
    return mean_over(_f1(sums), (sums["predicted"] + sums["true"] > 0).astype(np.float64))


def _influence(records: pa.Table, options: Options) -> np.ndarray:
    """d macro F1 / d weight of each row: the mean over tags of (2 tp − F1 · (predicted + true)) / their total."""
    truth, tags, rows = _codes(records, options)
    size = len(options["labels"])
    known = tags != _NO_TAG
    both_C = np.bincount(truth, minlength=size) + np.bincount(tags[known], minlength=size)
    f1_C = np.where(both_C > 0, 2 * np.bincount(truth[truth == tags], minlength=size) / np.maximum(both_C, 1), 0.0)
    share_C = 1 / np.maximum(both_C, 1) / max(1, int((both_C > 0).sum()))
    of_word = 2 * (truth == tags) * share_C[truth] - f1_C[truth] * share_C[truth]
    of_word -= np.where(known, f1_C[tags] * share_C[tags], 0.0)
    return np.bincount(rows, weights=of_word, minlength=records.num_rows)


TOKEN_ACCURACY = Metric(
    measure=Measure(name="tagged words", columns=_COLUMNS, contributions=_hits),
    value=lambda sums, options: ratio(sums["hits"], sums["words"]),
    higher_is_better=True,
    source=_SOURCE,
    undefined="no row has a word",
)
TOKEN_MACRO_F1 = Metric(
    measure=Measure(
        name="words by tag", columns=_COLUMNS, options={"labels": REQUIRED}, contributions=_counts, totals=_totals
    ),
    value=_macro_f1,
    influence=_influence,
    interval="influence",
    per_class=lambda sums, options: (_f1(sums), sums["true"]),
    higher_is_better=True,
    source=_SOURCE,
    undefined="no row has a word",
    undefined_class="the tag is neither a target nor predicted",
)
