"""What several datasets say of candidates on others like them: intervals and tests that treat datasets as drawn.

    mean_interval([0.9, 0.8, 0.85], (0.0, 1.0))     # (0.726, 0.974): of the mean over all such datasets
    across_notes(rows, {"accuracy": True})          # Friedman's test, and which pairs it is that differ

Friedman's test and, where it can tell anything, signed-rank tests of all pairs corrected by Holm: Demšar (2006),
with the pairs as Benavoli, Corani and Mangili (2016) have them, whose outcome no third candidate changes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from raybench.metrics.permutation import holm
from raybench.results.criterion import quality

__all__ = ["across_notes", "friedman", "mean_interval", "signed_rank"]

_ALPHA = 0.05
_LEAST = 3  # datasets, and candidates
_MOST_SHOWN = 6  # pairs


def mean_interval(values: Sequence[float], bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean over datasets, within the range; None of fewer than three."""
    from scipy.special import stdtrit

    if len(values) < _LEAST:
        return None
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    half = float(stdtrit(len(values) - 1, 0.975)) * spread
    return max(bounds[0], mean - half), min(bounds[1], mean + half)


def friedman(values_DK: np.ndarray) -> float:
    """The p-value of all K candidates being alike on D datasets, by Iman and Davenport's F of Friedman's statistic."""
    from scipy.stats import f, friedmanchisquare

    num_datasets, num_candidates = values_DK.shape
    if (values_DK == values_DK[:, :1]).all():
        return 1.0
    statistic = float(friedmanchisquare(*values_DK.T).statistic)
    most = num_datasets * (num_candidates - 1)
    if statistic >= most:  # all datasets order the candidates alike: F is infinite, and the chance is known
        return float(math.factorial(num_candidates)) ** (1 - num_datasets)
    ratio = (num_datasets - 1) * statistic / (most - statistic)
    return float(f.sf(ratio, num_candidates - 1, (num_candidates - 1) * (num_datasets - 1)))


def signed_rank(a: Sequence[float], b: Sequence[float]) -> float:
    """Wilcoxon's two-sided p-value of pairs by dataset; 1 where all are equal."""
    from scipy.stats import wilcoxon

    differences = np.subtract(a, b)
    differences = differences[differences != 0]
    return float(wilcoxon(differences).pvalue) if len(differences) else 1.0


def across_notes(rows: Sequence[Mapping[str, Any]], higher_is_better: Mapping[str, bool]) -> list[str]:
    """A line on whether candidates differ over datasets, and one on which; nothing of fewer than three datasets.

    `rows` are those of the ranking, of which each has a candidate's value on a dataset by what ranks there.
    """
    values: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    drawn = [row["dataset"] for row in rows if row["split"] == "test" and row.get("original") is None]
    datasets = [name for name in dict.fromkeys(drawn) if name != "*"]
    for row in rows:
        if row["dataset"] in datasets and row["rank"] is not None:
            value = quality(row, higher_is_better)
            if value is not None:
                values[row["candidate"], row["method"], row["hyperparameters"]][row["dataset"]] = value
    whole = {key: [found[name] for name in datasets] for key, found in values.items() if len(found) == len(datasets)}
    if len(datasets) < _LEAST or len(whole) < _LEAST:
        return []
    p_value = friedman(np.array(list(whole.values())).T)
    head = f"over {len(datasets)} datasets as if drawn from others like them: "
    if p_value > _ALPHA:
        return [f"{head}no candidate is told from another (Friedman, p = {p_value:.2g})"]
    names = _names(list(whole))
    pairs = [(a, b) if sum(whole[a]) > sum(whole[b]) else (b, a) for a, b in combinations(whole, 2)]
    corrected = holm([signed_rank(whole[a], whole[b]) for a, b in pairs])
    differ = [(p, f"{names[a]} over {names[b]}") for p, (a, b) in zip(corrected, pairs, strict=True) if p <= _ALPHA]
    shown = [name for _, name in sorted(differ)[:_MOST_SHOWN]]
    more = f" and {len(differ) - len(shown)} more" if len(differ) > len(shown) else ""
    which = f"told apart: {', '.join(shown)}{more}" if shown else "which pairs, so few datasets cannot tell"
    return [f"{head}candidates differ (Friedman, p = {p_value:.2g}); {which} (signed ranks, Holm)"]


def _names(keys: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Candidates by their names, with the hyperparameters where one name has several."""
    count: dict[str, int] = defaultdict(int)
    for key in keys:
        count[key[0]] += 1
    return {key: key[0] if count[key[0]] == 1 else f"{key[0]} {key[2]}" for key in keys}
