"""From logits to records in one pass: float32 maths, chunks of rows for large vocabularies, one copy off the device.

    columns = classification_records(logits_BC, target_B)       # numpy arrays of length B, by column name

Rows whose logits hold NaN or +inf have no prediction (−1), rank behind all classes, and NaN elsewhere. Of equal
largest logits the lowest index is predicted. Targets that are negative (to be ignored) get NaN for what needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import torch

__all__ = [
    "MAX_SCORES",
    "classification_records",
    "classification_schema",
    "multilabel_records",
    "segmentation_records",
    "token_nll",
]

MAX_SCORES = 64  # log-probabilities of all classes are kept up to so many
_CHUNK_ELEMENTS = 1 << 18  # 1 MiB of float32 a chunk: what is made of it stays in the cache
_TOKEN_ELEMENTS = 1 << 19  # 16 rows of a vocabulary of 32,000: the fastest of 8, 16, 32 and 64 measured

Kind = Literal["logits", "probabilities"]


def classification_records(
    logits_BC: torch.Tensor, targets_B: torch.Tensor, *, kind: Kind = "logits"
) -> dict[str, np.ndarray]:
    """`prediction`, `confidence`, `nll`, `rank`, `brier`, for C = 2 `score` (logit 1 − logit 0), for C ≤ 64 `scores`.

    `kind` says what is given; probabilities are taken to their logarithm, never recognised by their values.
    """
    import torch

    num_rows, num_classes = logits_BC.shape
    keep_scores = num_classes <= MAX_SCORES
    width = 6 + (num_classes if keep_scores else 0)
    out_WB = torch.empty((width, num_rows), dtype=torch.float64, device=logits_BC.device)
    places_C = torch.arange(num_classes, device=logits_BC.device)
    step = max(1, _CHUNK_ELEMENTS // max(1, num_classes))
    for start in range(0, num_rows, step):
        rows = slice(start, start + step)
        logits = logits_BC[rows].float()
        if kind == "probabilities":
            logits = logits.log()
        target = targets_B[rows].to(logits.device, torch.int64)
        known = target >= 0
        lse = torch.logsumexp(logits, dim=1)
        valid = torch.isfinite(lse)
        prediction = logits.argmax(dim=1)
        target_logit = logits.gather(1, target.clamp(min=0)[:, None])
        log_probability_C = logits - lse[:, None]
        probability_C = log_probability_C.exp()
        probability = (target_logit[:, 0] - lse).exp()
        confidence = (logits.gather(1, prediction[:, None])[:, 0] - lse).exp()
        outrank = (logits > target_logit) | ((logits == target_logit) & (places_C < target[:, None]))
        nan = torch.full_like(lse, float("nan"))
        out_WB[0, rows] = torch.where(valid, prediction, -1).double()
        out_WB[1, rows] = torch.where(valid, confidence, nan).double()
        out_WB[2, rows] = torch.where(valid & known, lse - target_logit[:, 0], nan).double()
        out_WB[3, rows] = torch.where(valid & known, outrank.sum(dim=1), num_classes).double()
        squares = probability_C.square().sum(dim=1, dtype=torch.float64)
        out_WB[4, rows] = torch.where(valid & known, squares - 2 * probability.double() + 1, nan.double())
        if num_classes == 2:
            out_WB[5, rows] = torch.where(valid, logits[:, 1] - logits[:, 0], nan).double()
        if keep_scores:
            out_WB[6:, rows] = log_probability_C.T.double()
    host_WB = out_WB.cpu().numpy()
    columns = {
        "prediction": host_WB[0].astype(np.int32),
        "confidence": host_WB[1].astype(np.float32),
        "nll": host_WB[2].copy(),
        "rank": host_WB[3].astype(np.int32),
        "brier": host_WB[4].copy(),
    }
    if num_classes == 2:
        columns["score"] = host_WB[5].astype(np.float32)
    if keep_scores:
        columns["scores"] = np.ascontiguousarray(host_WB[6:].T, dtype=np.float32)
    return columns


def classification_schema(num_classes: int) -> pa.Schema:
    """The columns that `classification_records` makes, with the id and the target."""
    columns = {
        "id": pa.string(),
        "target": pa.int32(),
        "prediction": pa.int32(),
        "confidence": pa.float32(),
        "nll": pa.float64(),
        "rank": pa.int32(),
        "brier": pa.float64(),
    }
    if num_classes == 2:
        columns["score"] = pa.float32()
    if num_classes <= MAX_SCORES:
        columns["scores"] = pa.list_(pa.float32(), num_classes)
    return pa.schema(columns)


def token_nll(logits_BTV: torch.Tensor, targets_BT: torch.Tensor, *, ignore_index: int = -100) -> torch.Tensor:
    """−ln p of each target token, float32 [B, T]; 0 where ignored; a few rows at a time, in little memory."""
    import torch
    from torch.nn.functional import cross_entropy

    logits, targets = logits_BTV.flatten(0, -2), targets_BT.flatten()
    nll = torch.empty(targets.shape, dtype=torch.float32, device=logits.device)
    step = max(1, _TOKEN_ELEMENTS // logits.shape[1])
    for start in range(0, targets.numel(), step):
        rows = slice(start, start + step)
        nll[rows] = cross_entropy(logits[rows].float(), targets[rows], ignore_index=ignore_index, reduction="none")
    return nll.view(targets_BT.shape)


def multilabel_records(
    scores_BL: torch.Tensor, targets_BL: torch.Tensor, *, kind: Kind = "logits", threshold: float = 0.5
) -> dict[str, np.ndarray]:
    """`targets`, `predictions` (1 where the probability is `>=` the threshold) and `scores` as given, each [B, L]."""
    scores_BL = scores_BL.float()
    probability_BL = scores_BL.sigmoid() if kind == "logits" else scores_BL
    return {
        "targets": targets_BL.cpu().numpy().astype(np.int8),
        "predictions": (probability_BL >= threshold).cpu().numpy().astype(np.int8),
        "scores": scores_BL.cpu().numpy(),
    }


def segmentation_records(
    prediction_BHW: torch.Tensor, target_BHW: torch.Tensor, num_classes: int, *, ignore_index: int = 255
) -> dict[str, np.ndarray]:
    """`intersection`, `predicted_pixels` and `target_pixels` of each image, int64 [B, C], without ignored pixels."""
    import torch

    prediction_BP, target_BP = prediction_BHW.flatten(1).long(), target_BHW.flatten(1).long()
    kept_BP = target_BP != ignore_index
    images_BP = torch.arange(len(target_BP), device=target_BP.device)[:, None].expand_as(target_BP)

    def count(classes_BP: torch.Tensor, where_BP: torch.Tensor) -> np.ndarray:
        index = images_BP[where_BP] * num_classes + classes_BP[where_BP]
        return torch.bincount(index, minlength=len(target_BP) * num_classes).view(-1, num_classes).cpu().numpy()

    return {
        "intersection": count(target_BP, kept_BP & (prediction_BP == target_BP)),
        "predicted_pixels": count(prediction_BP, kept_BP),
        "target_pixels": count(target_BP, kept_BP),
    }
