"""Several heads at once, in groups of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from raybench.core.errors import DivergedError
from raybench.runtime.training.heads.objective import make_objective
from raybench.runtime.training.heads.solve import solve
from raybench.runtime.training.heads.spec import HeadSpec, HeadWeights
from raybench.runtime.training.heads.steps import fit_in_steps

__all__ = ["GROUP", "fit_heads"]

GROUP = 8


def fit_heads(
    features: torch.Tensor,
    targets: np.ndarray,
    specs: Sequence[HeadSpec],
    *,
    num_outputs: int,
    objective: str | None = "softmax",
) -> list[HeadWeights | DivergedError]:
    """Fit every head on float32 features [N, H] and what `make_objective` takes; one that diverged is its error."""
    assert objective is not None, "a task without pooled features has no heads"
    results: list[HeadWeights | DivergedError] = [DivergedError("not fitted")] * len(specs)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, spec in enumerate(specs):
        groups.setdefault(spec.group, []).append(index)
    for kind, members in groups.items():
        fit, dtype = (solve, torch.float64) if kind[0] == "lbfgs" else (fit_in_steps, torch.float32)
        for start in range(0, len(members), GROUP):
            chunk = members[start : start + GROUP]
            filled = [specs[i] for i in chunk] + [specs[chunk[0]]] * (GROUP - len(chunk))
            compared = make_objective(objective, targets, filled, num_outputs, dtype, features.device)
            for index, weights in zip(chunk, fit(features, compared, filled, num_outputs), strict=False):
                finite = all(np.isfinite(array).all() for array in weights.values())
                results[index] = weights if finite else DivergedError("the head's weights became NaN or infinite")
    return results
