"""The README.md of an exported model: what it is of, how it did, how to use it, in the hub's form of a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raybench.core import Score, Trial
from raybench.core.errors import ModelError
from raybench.core.identity import VERSION
from raybench.models.export import HEAD_FILE
from raybench.models.files import model_directory
from raybench.models.reference import HubId, resolve

__all__ = ["model_card"]

_USE = """```python
from transformers import {opened_by}

model = {opened_by}.from_pretrained(".").eval()
```
"""
_USE_OF_TEXTS = """```python
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

model, tokenizer = AutoModel.from_pretrained(".").eval(), AutoTokenizer.from_pretrained(".")
head, labels = load_file("{head}"), {labels}
rows = tokenizer(["a text"], truncation=True, max_length={max_length}, padding=True, return_tensors="pt")
with torch.inference_mode():
    hidden, mask = model(**rows).last_hidden_state, rows["attention_mask"].unsqueeze(-1)
    features = {features}
    scores = features @ head["{weight}"].T + head["{bias}"]
```
"""
_FEATURES = {"mean": "(hidden * mask).sum(1) / mask.sum(1)", "cls": "hidden[:, 0]"}


def model_card(
    trial: Trial, scores: Mapping[str, Score], *, opened_by: str, pooling: str | None, head: list[str], notes: list[str]
) -> str:
    """`head` are the names of our own head's tensors, `pooling` what it reads; `notes` stand as they are."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=trial.dataset.task,
            dataset_type=trial.dataset.name,
            dataset_name=trial.dataset.name,
            metric_type=name,
            metric_value=score.value,
        )
        for name, score in scores.items()
        if score.value is not None
    ]
    base = trial.model.reference
    data = ModelCardData(
        base_model=base if isinstance(resolve(base, Path.cwd()), HubId) else None,
        license=_license(trial),
        library_name="transformers",
        tags=["raybench"],
        model_name=trial.candidate,
        eval_results=results or None,
    )
    rows = [f"| {name} | {_number(score.value)} | {_interval(score)} | {score.n:,} |" for name, score in scores.items()]
    facts = {
        "base": base + (f" at {trial.model.revision}" if trial.model.revision else ""),
        "weights' fingerprint": trial.weights_fingerprint,
        "data": f"{trial.dataset.name}, fingerprint {trial.dataset.fingerprint}",
        "task": trial.dataset.task,
        "method": trial.method,
        "hyperparameters": f"`{json.dumps(dict(trial.hyperparameters), sort_keys=True)}`",
        "seed": trial.seed,
        "licence": _license(trial) + " (of the base, as it says; that of the data is not known here)",
        "trial": trial.trial_id,
        "made with": f"raybench {VERSION}",
    }
    return "\n".join(
        [
            "---",
            data.to_yaml(),
            "---",
            "",
            f"# {trial.candidate} on {trial.dataset.name}",
            "",
            "| metric | value | 95 % interval | examples |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            *(f"- {name}: {value}" for name, value in facts.items()),
            *(f"- {note}" for note in notes),
            "",
            "## Use",
            "",
            _use(trial, opened_by, pooling, head),
        ]
    )


def _use(trial: Trial, opened_by: str, pooling: str | None, head: list[str]) -> str:
    if not head:
        return _USE.format(opened_by=opened_by)
    names = [[name for name in head if name.endswith(end)] for end in ("weight", "bias")]
    is_text = "text" in trial.dataset.task
    if pooling in _FEATURES and is_text and all(len(found) == 1 for found in names):
        return _USE_OF_TEXTS.format(
            head=HEAD_FILE,
            labels=json.dumps(list(trial.dataset.labels)),
            max_length=trial.dataset.max_length,
            features=_FEATURES[pooling],
            weight=names[0][0],
            bias=names[1][0],
        )
    of = f" of {pooling} pooled hidden states" if pooling else ""
    return _USE.format(opened_by=opened_by) + f"\nIts head{of} is in `{HEAD_FILE}` ({', '.join(head)}).\n"


def _license(trial: Trial) -> str:
    """What the base's own card says; unknown where it has none."""
    from huggingface_hub import ModelCard

    try:
        directory = model_directory(trial.model, weights=False)
        data: Any = ModelCard.load(directory / "README.md").data if directory is not None else None
        return str(data.license or "unknown") if data is not None else "unknown"
    except (ModelError, OSError, ValueError, ImportError):
        return "unknown"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f"{score.low:.4g} – {score.high:.4g}"
