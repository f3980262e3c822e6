"""Every metric by name: one line adds one; a name is resolved to its module only when it is asked for.

A number in a name sets the metric's parameter: `top_5_accuracy` is `top_k_accuracy` with top_k = 5.
A job may name its own metric as `module:attribute`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from raybench.core.catalog import import_place
from raybench.core.errors import JobError, MetricError
from raybench.metrics.metric import Metric, TableMetric

__all__ = ["METRICS", "find"]

METRICS: dict[str, str] = {
    # one class an example
    "accuracy": "raybench.metrics.classification:ACCURACY",
    "balanced_accuracy": "raybench.metrics.classification:BALANCED_ACCURACY",
    "macro_precision": "raybench.metrics.classification:MACRO_PRECISION",
    "macro_recall": "raybench.metrics.classification:MACRO_RECALL",
    "macro_f1": "raybench.metrics.classification:MACRO_F1",
    "macro_specificity": "raybench.metrics.classification:MACRO_SPECIFICITY",
    "micro_precision": "raybench.metrics.classification:MICRO_PRECISION",
    "micro_recall": "raybench.metrics.classification:MICRO_RECALL",
    "micro_f1": "raybench.metrics.classification:MICRO_F1",
    "weighted_precision": "raybench.metrics.classification:WEIGHTED_PRECISION",
    "weighted_recall": "raybench.metrics.classification:WEIGHTED_RECALL",
    "weighted_f1": "raybench.metrics.classification:WEIGHTED_F1",
    "weighted_specificity": "raybench.metrics.classification:WEIGHTED_SPECIFICITY",
    "precision": "raybench.metrics.classification:PRECISION",
    "recall": "raybench.metrics.classification:RECALL",
    "f1": "raybench.metrics.classification:F1",
    "specificity": "raybench.metrics.classification:SPECIFICITY",
    "mcc": "raybench.metrics.classification:MCC",
    "cohen_kappa": "raybench.metrics.classification:COHEN_KAPPA",
    "top_k_accuracy": "raybench.metrics.top_k:TOP_K_ACCURACY",
    "log_loss": "raybench.metrics.likelihood:LOG_LOSS",
    "brier": "raybench.metrics.likelihood:BRIER",
    "ece": "raybench.metrics.calibration:ECE",
    "mce": "raybench.metrics.calibration:MCE",
    "roc_auc": "raybench.metrics.roc:ROC_AUC",
    "weighted_roc_auc": "raybench.metrics.roc:WEIGHTED_ROC_AUC",
    "roc_auc_ovo": "raybench.metrics.roc:ROC_AUC_OVO",
    "average_precision": "raybench.metrics.average_precision:AVERAGE_PRECISION",
    "weighted_average_precision": "raybench.metrics.average_precision:WEIGHTED_AVERAGE_PRECISION",
    # one choice an example, of its own choices
    "choice_accuracy": "raybench.metrics.choices:CHOICE_ACCURACY",
    "choice_accuracy_norm": "raybench.metrics.choices:CHOICE_ACCURACY_NORM",
    # several labels an example
    "multilabel_macro_precision": "raybench.metrics.multilabel:MACRO_PRECISION",
    "multilabel_macro_recall": "raybench.metrics.multilabel:MACRO_RECALL",
    "multilabel_macro_f1": "raybench.metrics.multilabel:MACRO_F1",
    "multilabel_micro_precision": "raybench.metrics.multilabel:MICRO_PRECISION",
    "multilabel_micro_recall": "raybench.metrics.multilabel:MICRO_RECALL",
    "multilabel_micro_f1": "raybench.metrics.multilabel:MICRO_F1",
    "multilabel_weighted_f1": "raybench.metrics.multilabel:WEIGHTED_F1",
    "multilabel_samples_f1": "raybench.metrics.multilabel:SAMPLES_F1",
    "multilabel_exact_match": "raybench.metrics.multilabel:EXACT_MATCH_RATIO",
    "hamming_loss": "raybench.metrics.multilabel:HAMMING_LOSS",
    "multilabel_roc_auc": "raybench.metrics.roc:MULTILABEL_ROC_AUC",
    "multilabel_average_precision": "raybench.metrics.average_precision:MULTILABEL_AVERAGE_PRECISION",
    # numbers
    "mse": "raybench.metrics.regression:MSE",
    "rmse": "raybench.metrics.regression:RMSE",
    "mae": "raybench.metrics.regression:MAE",
    "r2": "raybench.metrics.regression:R2",
    "pearson": "raybench.metrics.regression:PEARSON",
    "spearman": "raybench.metrics.rank_correlation:SPEARMAN",
    "kendall": "raybench.metrics.rank_correlation:KENDALL",
    # texts
    "perplexity": "raybench.metrics.perplexity:PERPLEXITY",
    "word_perplexity": "raybench.metrics.perplexity:WORD_PERPLEXITY",
    "byte_perplexity": "raybench.metrics.perplexity:BYTE_PERPLEXITY",
    "bits_per_byte": "raybench.metrics.perplexity:BITS_PER_BYTE",
    "token_nll": "raybench.metrics.perplexity:TOKEN_NLL",
    "masked_accuracy": "raybench.metrics.masked:MASKED_ACCURACY",
    "bleu": "raybench.metrics.overlap:BLEU",
    "chrf": "raybench.metrics.overlap:CHRF",
    "chrf++": "raybench.metrics.overlap:CHRF_PLUS_PLUS",
    "ter": "raybench.metrics.overlap:TER",
    "rouge1": "raybench.metrics.rouge:ROUGE_1",
    "rouge2": "raybench.metrics.rouge:ROUGE_2",
    "rougeL": "raybench.metrics.rouge:ROUGE_L",
    "exact_match": "raybench.metrics.answers:EXACT_MATCH",
    "qa_f1": "raybench.metrics.answers:QA_F1",
    "answerable_f1": "raybench.metrics.answers:ANSWERABLE_F1",
    "answerable_exact_match": "raybench.metrics.answers:ANSWERABLE_EXACT_MATCH",
    "unanswerable_accuracy": "raybench.metrics.answers:UNANSWERABLE_ACCURACY",
    "wer": "raybench.metrics.word_error:WER",
    "cer": "raybench.metrics.word_error:CER",
    # tags of words
    "token_accuracy": "raybench.metrics.tags:TOKEN_ACCURACY",
    "token_macro_f1": "raybench.metrics.tags:TOKEN_MACRO_F1",
    # entities
    "entity_precision": "raybench.metrics.entity:ENTITY_PRECISION",
    "entity_recall": "raybench.metrics.entity:ENTITY_RECALL",
    "entity_f1": "raybench.metrics.entity:ENTITY_F1",
    "entity_macro_f1": "raybench.metrics.entity:ENTITY_MACRO_F1",
    # images
    "mean_iou": "raybench.metrics.segmentation:MEAN_IOU",
    "dice": "raybench.metrics.segmentation:DICE",
    "pixel_accuracy": "raybench.metrics.segmentation:PIXEL_ACCURACY",
    "coco_ap": "raybench.metrics.detection:COCO_AP",
    "coco_ap_50": "raybench.metrics.detection:COCO_AP_50",
    "coco_ap_75": "raybench.metrics.detection:COCO_AP_75",
    "coco_ap_small": "raybench.metrics.detection:COCO_AP_SMALL",
    "coco_ap_medium": "raybench.metrics.detection:COCO_AP_MEDIUM",
    "coco_ap_large": "raybench.metrics.detection:COCO_AP_LARGE",
    "coco_ar_1": "raybench.metrics.detection:COCO_AR_1",
    "coco_ar_10": "raybench.metrics.detection:COCO_AR_10",
    "coco_ar_100": "raybench.metrics.detection:COCO_AR_100",
    "coco_ar_small": "raybench.metrics.detection:COCO_AR_SMALL",
    "coco_ar_medium": "raybench.metrics.detection:COCO_AR_MEDIUM",
    "coco_ar_large": "raybench.metrics.detection:COCO_AR_LARGE",
    "fid": "raybench.metrics.frechet:FID",
    "kid": "raybench.metrics.frechet:KID",
    "inception_score": "raybench.metrics.frechet:INCEPTION_SCORE",
    # ranked documents
    "ndcg": "raybench.metrics.retrieval:NDCG",
    "ndcg_at_k": "raybench.metrics.retrieval:NDCG",
    "mrr": "raybench.metrics.retrieval:MRR",
    "mrr_at_k": "raybench.metrics.retrieval:MRR",
    "mean_average_precision": "raybench.metrics.retrieval:MEAN_AVERAGE_PRECISION",
    "mean_average_precision_at_k": "raybench.metrics.retrieval:MEAN_AVERAGE_PRECISION",
    "hit_rate_at_k": "raybench.metrics.retrieval:HIT_RATE",
    "recall_at_k": "raybench.metrics.retrieval:RECALL_AT",
    "precision_at_k": "raybench.metrics.retrieval:PRECISION_AT",
}


def find(name: str) -> tuple[Metric | TableMetric, Mapping[str, Any]]:
    """The metric of that name and the options that the name itself sets."""
    if not isinstance(name, str):
        raise MetricError(f"metric {name!r} is a {type(name).__name__}; expected a name such as 'macro_f1'")
    bound: dict[str, Any] = {}
    place = METRICS.get(name)
    if place is None and ":" in name:
        place = name
    if place is None and len(numbers := re.findall(r"(?<=_)\d+(?=_|$)", name)) == 1:
        place = METRICS.get(name.replace(f"_{numbers[0]}", "_k"))
        bound = {"": int(numbers[0])}
    if place is None:
        close = get_close_matches(name, METRICS, n=1)
        raise MetricError(f"unknown metric {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    metric = _load(name, place)
    if not bound:
        return metric, {}
    if metric.parameter is None or bound[""] < 1:
        raise MetricError(f"unknown metric {name!r}: {bound['']} is no parameter of it")
    return metric, {metric.parameter: bound[""]}


def _load(name: str, place: str) -> Metric | TableMetric:
    try:
        metric = import_place(f"metric {name!r}", place)
    except JobError as error:
        raise MetricError(str(error)) from error
    if not isinstance(metric, Metric | TableMetric):
        raise MetricError(f"metric {name!r} is a {type(metric).__name__}; expected a Metric or TableMetric")
    return metric
