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

__all__ = ["POOLINGS", "pool", "pooling_of", "saved_pooling"]

POOLINGS = ("auto", "mean", "cls", "max", "last", "static")
_SAVED = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}  # sentence-transformers' names


def pooling_of(model: ModelSpec) -> str:
    """The pooling the candidate asks for; `auto` is what a sentence-transformers checkpoint says, else the mean.

    The pooler that BERT carries is not used: untrained it does far worse than the mean (0.40 against 0.65 on
    WordNet nouns after one epoch).
    """
    if model.pooling not in POOLINGS:
        raise ModelError(f"model {model.reference!r}: pooling {model.pooling!r}: {', '.join(POOLINGS)} would do")
    if model.pooling != "auto":
        return model.pooling
    return _SAVED.get(saved_pooling(model), "mean")


def saved_pooling(model: ModelSpec) -> str:
    """What the checkpoint's own 1_Pooling says, in its words, such as mean or weightedmean; "" where nothing."""
    directory = model_directory(model, weights=False)
    path = directory / "1_Pooling" / "config.json" if directory else None
    if path is None or not path.is_file():
        return ""
    saved = read_object(path)
    if "pooling_mode" in saved:
        named = saved["pooling_mode"]
        return "+".join(map(str, named)) if isinstance(named, list) else str(named)
    modes = [name.removeprefix("pooling_mode_") for name, on in saved.items() if on and name.startswith("pooling_mode")]
    return "+".join(mode.removesuffix("_tokens").removesuffix("_token") for mode in modes)


def pool(hidden: torch.Tensor, mask_BT: torch.Tensor | None, how: str) -> torch.Tensor:
    """[B, T, H] or [B, C, Y, X] → float32 [B, H]; only positions with mask 1 count."""
    if hidden.ndim == 4:  # convolutional: channels first
        return hidden.float().mean(dim=(2, 3))
    if how == "cls":
        return hidden[:, 0].float()
    if how == "max":
        closed = hidden.new_zeros(()) if mask_BT is None else (mask_BT.to(hidden.device) == 0)[:, :, None]
        return hidden.float().masked_fill(closed.bool(), float("-inf")).max(dim=1).values
    if how == "last":  # padding is on the right
        if mask_BT is None:
            return hidden[:, -1].float()
        last_B = mask_BT.to(hidden.device).sum(dim=1).clamp(min=1) - 1
        return hidden.gather(1, last_B[:, None, None].expand(-1, 1, hidden.shape[-1]))[:, 0].float()
    if mask_BT is None:
        return hidden.float().mean(dim=1)
    weights_BT1 = mask_BT.to(hidden.device).unsqueeze(-1).float()
    return (hidden.float() * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1)
