"""What a candidate is, by content: a model's weights and all that opens them, a baseline's name and code version, made
pictures."""

from __future__ import annotations

from raybench.core import ModelSpec
from raybench.models.fingerprint import weights_fingerprint
from raybench.models.pictures import pictures_fingerprint
from raybench.recipes.baselines.catalog import get_baseline

__all__ = ["candidate_fingerprint"]


def candidate_fingerprint(model: ModelSpec) -> str:
    """Equal for candidates that are the same, wherever their files lie."""
    if model.baseline is not None:
        return f"baseline:{model.baseline}:{get_baseline(model.baseline).version}"
    return weights_fingerprint(model) if model.images is None else pictures_fingerprint(model)
