"""One vector a row from a backbone's last hidden state.

Shapes: B rows, T tokens, H features, C channels, Y × X positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.models.files import model_directory, read_object

if TYPE_CHECKING:
    import torch

__all__ = ["POOLINGS", "pool", "pooling_of"]

POOLINGS = ("auto", "mean", "cls", "static")


def pooling_of(model: ModelSpec) -> str:
    """The pooling the candidate asks for; `auto` is what a sentence-transformers checkpoint says, else the mean.

    The pooler that BERT carries is not used: untrained it does far worse than the mean (0.40 against 0.65 on
    WordNet nouns after one epoch).
    """
    if model.pooling not in POOLINGS:
        raise ModelError(f"model {model.reference!r}: pooling {model.pooling!r}: {', '.join(POOLINGS)} would do")
    if model.pooling != "auto":
        return model.pooling
    directory = model_directory(model, weights=False)
    saved = directory / "1_Pooling" / "config.json" if directory else None
    if saved is not None and saved.is_file() and read_object(saved).get("pooling_mode_cls_token"):
        return "cls"
    return "mean"


def pool(hidden: torch.Tensor, mask_BT: torch.Tensor | None, how: str) -> torch.Tensor:
    """[B, T, H] or [B, C, Y, X] → float32 [B, H]; only positions with mask 1 count."""
    if hidden.ndim == 4:  # convolutional: channels first
        return hidden.float().mean(dim=(2, 3))
    if how == "cls":
        return hidden[:, 0].float()
    if mask_BT is None:
        return hidden.float().mean(dim=1)
    weights_BT1 = mask_BT.to(hidden.device).unsqueeze(-1).float()
    return (hidden.float() * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1)
