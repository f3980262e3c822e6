"""From logits to records in one pass: float32 maths, chunks of rows for large vocabularies, one copy off the device.

    columns = classification_records(logits_BC, target_B)       # numpy arrays of length B, by column name

Rows whose logits hold NaN or +inf have no prediction (−1), rank behind all classes, and NaN elsewhere. Of equal
largest logits the lowest index is predicted. Targets that are negative (to be ignored) get NaN for what needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError

if TYPE_CHECKING:
    import torch

__all__ = [
    "MAX_SCORES",
    "Kind",
    "classification_records",
    "classification_schema",
    "columns_of_fused",
    "fused_records",
    "multilabel_records",
    "segmentation_records",
    "token_nll",
]

MAX_SCORES = 64  # log-odds of all classes are kept up to so many
_CHUNK_ELEMENTS = 1 << 18  # 1 MiB of float32 a chunk: what is made of it stays in the cache
_TOKEN_ELEMENTS = 1 << 19  # 16 rows of a vocabulary of 32,000: the fastest of 8, 16, 32 and 64 measured

_ROUNDING = 1e-2  # of a probability in bfloat16
_HALF = 0.5 + 2.0**-10  # what a class that is not the largest can have, with its rounding
_NO_CLASS, _NO_PROBABILITY = 1.0, 2.0  # what is wrong with a row
Kind = Literal["logits", "probabilities"]


def classification_records(
    logits_BC: torch.Tensor,
    targets_B: torch.Tensor,
    *,
    kind: Kind = "logits",
    precise: bool = False,
    max_scores: int = MAX_SCORES,
) -> dict[str, np.ndarray]:
    """`prediction`, `confidence`, `nll`, `rank`, `brier`, for C = 2 `score` (logit 1 − logit 0), for C ≤ `max_scores`
    `scores` (the log-odds of each class, z_c − ln Σ exp of the others).

    `kind` says what is given; probabilities are taken to their logarithm, never recognised by their values. `precise`
    computes and returns float64.
    """
    fused_WB = fused_records(logits_BC, targets_B, kind=kind, precise=precise, max_scores=max_scores)
    return columns_of_fused(fused_WB.cpu().numpy(), targets_B, logits_BC.shape[1], precise=precise)


def fused_records(
    logits_BC: torch.Tensor,
    targets_B: torch.Tensor,
    *,
    kind: Kind = "logits",
    precise: bool = False,
    max_scores: int = MAX_SCORES,
) -> torch.Tensor:
    """The columns of `classification_records` as rows of a float64 tensor on the logits' device; nothing waits."""
    import torch

    _require_kind(kind)
    _require_shapes(logits_BC, targets_B)
    num_rows, num_classes = logits_BC.shape
    keep_scores = num_classes <= max_scores
    width = 7 + (num_classes if keep_scores else 0)
    out_WB = torch.empty((width, num_rows), dtype=torch.float64, device=logits_BC.device)
    places_C = torch.arange(num_classes, device=logits_BC.device)
    step = max(1, _CHUNK_ELEMENTS // max(1, num_classes))
    for start in range(0, num_rows, step):
        rows = slice(start, start + step)
        logits = logits_BC[rows].double() if precise else logits_BC[rows].float()
        target = targets_B[rows].to(logits.device, torch.int64)
        known = target >= 0
        out_WB[6, rows] = torch.where(target < num_classes, 0.0, _NO_CLASS).double()
        target = target.clamp(max=num_classes - 1)
        if kind == "probabilities":
            outside = ((logits < 0) | (logits > 1 + _ROUNDING)).any(dim=1)
            outside |= (logits.sum(dim=1) - 1).abs() > _ROUNDING
            out_WB[6, rows] += torch.where(outside, _NO_PROBABILITY, 0.0).double()
            logits = logits.log()
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
            out_WB[7:, rows] = _margins(logits, lse, prediction).T.double()
    return out_WB


def columns_of_fused(
    host_WB: np.ndarray,
    targets_B: torch.Tensor | np.ndarray,
    num_classes: int,
    *,
    precise: bool = False,
    first_row: int = 0,
) -> dict[str, np.ndarray]:
    """The columns of what `fused_records` made; MetricError for a row whose target or probabilities are none."""
    _require_classes(host_WB[6], targets_B, num_classes, first_row)
    kind = np.float64 if precise else np.float32
    columns = {
        "prediction": host_WB[0].astype(np.int32),
        "confidence": host_WB[1].astype(kind),
        "nll": host_WB[2].copy(),
        "rank": host_WB[3].astype(np.int32),
        "brier": host_WB[4].copy(),
    }
    if num_classes == 2:
        columns["score"] = host_WB[5].astype(kind)
    if len(host_WB) > 7:
        columns["scores"] = np.ascontiguousarray(host_WB[7:].T, dtype=kind)
    return columns


def _margins(logits_BC: torch.Tensor, lse_B: torch.Tensor, prediction_B: torch.Tensor) -> torch.Tensor:
    """z_c − ln Σ exp z of the other classes, [B, C]: the log-odds of each class.

    ln p of a sure prediction rounds to 0 and loses its order; its margin goes on growing. Where p is small the others
    are all: z_c − lse − ln(1 − p). The predicted class is summed without itself.
    """
    import torch

    log_probability_BC = logits_BC - lse_B[:, None]
    margins_BC = log_probability_BC - torch.log1p(-log_probability_BC.exp().clamp(max=_HALF))
    if logits_BC.shape[1] > 1:
        place_B1 = prediction_B[:, None]
        others_B = torch.logsumexp(logits_BC.scatter(1, place_B1, float("-inf")), dim=1)
        largest_B = logits_BC.gather(1, place_B1)[:, 0]
        margins_BC = margins_BC.scatter(1, place_B1, (largest_B - others_B)[:, None])
    return torch.where(torch.isfinite(lse_B)[:, None], margins_BC, float("nan"))


def _require_kind(kind: str) -> None:
    if kind not in get_args(Kind):
        raise MetricError(f"'kind' is {kind!r}; expected one of {', '.join(get_args(Kind))}")


def _require_shapes(logits_BC: torch.Tensor, targets_B: torch.Tensor) -> None:
    if logits_BC.ndim != 2 or targets_B.shape != logits_BC.shape[:1]:
        shapes = f"{list(logits_BC.shape)} and {list(targets_B.shape)}"
        raise MetricError(f"scores and targets have shapes {shapes}; expected [rows, classes] and [rows]")
    if targets_B.is_floating_point() or targets_B.is_complex():
        raise MetricError(f"targets are {targets_B.dtype}; expected integers: numbers of classes")


def _require_classes(
    found_B: np.ndarray, targets_B: torch.Tensor | np.ndarray, num_classes: int, first_row: int
) -> None:
    if not found_B.any():
        return
    row = int(np.argmax(found_B > 0))
    where = f"row {first_row + row}"
    if found_B[row] >= _NO_PROBABILITY:
        raise MetricError(
            f"{where} has a probability outside 0 to 1, or probabilities that do not sum to 1; give logits as 'logits'"
        )
    raise MetricError(f"target {int(targets_B[row])} ({where}) is no class: expected 0 to {num_classes - 1}")


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
    _require_kind(kind)
    if not 0 <= threshold <= 1:
        raise MetricError(f"'threshold' is {threshold!r}; expected a probability from 0 to 1")
    if scores_BL.ndim != 2 or scores_BL.shape != targets_BL.shape:
        shapes = f"{list(scores_BL.shape)} and {list(targets_BL.shape)}"
        raise MetricError(f"scores and targets have shapes {shapes}; expected the same [rows, labels]")
    wrong = ((targets_BL != 0) & (targets_BL != 1)).any(dim=1).cpu().numpy()
    if wrong.any():
        raise MetricError(f"targets of row {int(np.argmax(wrong))} hold something else than 0 and 1")
    scores_BL = scores_BL.float()
    if kind == "probabilities":
        outside = ((scores_BL < 0) | (scores_BL > 1 + _ROUNDING)).any(dim=1).cpu().numpy()
        if outside.any():
            row = int(np.argmax(outside))
            raise MetricError(f"row {row} has a probability outside 0 to 1; give logits as kind='logits'")
    probability_BL = scores_BL.sigmoid() if kind == "logits" else scores_BL
    return {
        "targets": targets_BL.cpu().numpy().astype(np.int8),
        "predictions": (probability_BL >= threshold).cpu().numpy().astype(np.int8),
        "scores": scores_BL.cpu().numpy(),
    }


def segmentation_records(
    prediction_BHW: torch.Tensor, target_BHW: torch.Tensor, num_classes: int, *, ignore_index: int = 255
) -> dict[str, np.ndarray]:
    """`intersection`, `predicted_pixels` and `target_pixels` of each image, int64 [B, C], without ignored pixels.

    A predicted class outside [0, C) is wrong and counts for no class; such a target that is not ignored is an error.
    """
    import torch

    if prediction_BHW.shape != target_BHW.shape or prediction_BHW.ndim < 2:
        shapes = f"{list(prediction_BHW.shape)} and {list(target_BHW.shape)}"
        raise MetricError(f"predictions and targets have shapes {shapes}; expected the same [images, height, width]")
    for name, classes in (("predictions", prediction_BHW), ("targets", target_BHW)):
        if classes.is_floating_point() or classes.is_complex():
            raise MetricError(f"{name} are {classes.dtype}; expected integers: numbers of classes")
    prediction_BP, target_BP = prediction_BHW.flatten(1).long(), target_BHW.flatten(1).long()
    kept_BP = target_BP != ignore_index
    wrong_B = (kept_BP & ((target_BP < 0) | (target_BP >= num_classes))).any(dim=1).cpu().numpy()
    if wrong_B.any():
        image = f"image {int(np.argmax(wrong_B))}"
        raise MetricError(f"a target pixel of {image} is no class: expected 0 to {num_classes - 1}, or {ignore_index}")
    known_BP = kept_BP & (prediction_BP >= 0) & (prediction_BP < num_classes)
    images_BP = torch.arange(len(target_BP), device=target_BP.device)[:, None].expand_as(target_BP)

    def count(classes_BP: torch.Tensor, where_BP: torch.Tensor) -> np.ndarray:
        index = images_BP[where_BP] * num_classes + classes_BP[where_BP]
        return torch.bincount(index, minlength=len(target_BP) * num_classes).view(-1, num_classes).cpu().numpy()

    return {
        "intersection": count(target_BP, kept_BP & (prediction_BP == target_BP)),
        "predicted_pixels": count(prediction_BP, known_BP),
        "target_pixels": count(target_BP, kept_BP),
    }
