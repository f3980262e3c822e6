"""Several heads at once, in groups of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from raybench.core.errors import DivergedError
from raybench.runtime.training.heads.solve import solve
from raybench.runtime.training.heads.spec import HeadSpec, HeadWeights
from raybench.runtime.training.heads.steps import take_steps

__all__ = ["GROUP", "fit_heads"]

GROUP = 8


def fit_heads(
    features: torch.Tensor, labels: torch.Tensor, specs: Sequence[HeadSpec], *, num_labels: int
) -> list[HeadWeights | DivergedError]:
    """Fit every head on float32 features [N, H] and int64 labels [N]; a head that diverged is its error."""
    results: list[HeadWeights | DivergedError] = [DivergedError("not fitted")] * len(specs)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, spec in enumerate(specs):
        groups.setdefault(spec.group, []).append(index)
    for kind, members in groups.items():
        fit = solve if kind[0] == "lbfgs" else take_steps
        for start in range(0, len(members), GROUP):
            chunk = members[start : start + GROUP]
            filled = [specs[i] for i in chunk] + [specs[chunk[0]]] * (GROUP - len(chunk))
            for index, weights in zip(chunk, fit(features, labels, filled, num_labels), strict=False):
                finite = all(np.isfinite(array).all() for array in weights.values())
                results[index] = weights if finite else DivergedError("the head's weights became NaN or infinite")
    return results
