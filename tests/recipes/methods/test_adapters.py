"""Methods that train part of a network, or something beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.data import packaged
from raybench.metrics import MetricSet
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.trial import Checkpoint, fit_trial, open_predictor, score_shard
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
VIT = ModelSpec(
    reference="arch:vit",
    config={
        "image_size": 8, "patch_size": 4, "num_channels": 1, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 3, "num_attention_heads": 4,
    },
)  # fmt: skip
H, LABELS, BLOCK = 32, 3, 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32
HEAD = H * LABELS + LABELS
CASES: list[tuple[str, dict[str, Any], int]] = [  # method, hyperparameters, parameters trained (BERT)
    ("top_layers", {"layers": 1}, BLOCK + HEAD),
    ("gradual_unfreeze", {"epochs": 2}, BLOCK + HEAD),
    ("lora", {"rank": 2, "target_modules": "query,value"}, 3 * 2 * 2 * (32 + 32) + HEAD),
    ("lora", {"rank": 2, "target_modules": "query,value", "dora": True}, 3 * 2 * (2 * (32 + 32) + 32) + HEAD),
    ("prompt_tuning", {"num_tokens": 4}, 4 * 32 + HEAD),
    ("prefix", {"num_tokens": 4}, 4 * 3 * 2 * 32 + HEAD),
]
IDS = ["top_layers", "gradual_unfreeze", "lora", "dora", "prompt_tuning", "prefix"]


def prepare(trial: Trial, train: pa.Table, test: pa.Table) -> PreparedData:
    task = get_task(trial.dataset.task)
    return prepare_data(task, {"train": train, "test": test}, trial.model, trial.dataset)


def predictions(trial: Trial, checkpoint: Checkpoint | None, data: PreparedData) -> pa.Table:
    task = get_task(trial.dataset.task)
    metrics = MetricSet(task.metrics, task.metric_config(trial.dataset.labels, {}))
    predictor = open_predictor(trial, checkpoint, CPU)
    return score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records


@pytest.mark.parametrize(("method", "hyperparameters", "trained"), CASES, ids=IDS)
def test_only_what_the_method_names_is_trained_and_it_comes_back(
    method: str,
    hyperparameters: dict[str, Any],
    trained: int,
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial(tiny_bert, method, **{"epochs": 1, **hyperparameters})
    data = prepare(trial, make_texts(40), make_texts(20, seed=1))
    task = get_task(trial.dataset.task)
    workspace = Workspace(CPU)
    opened = workspace.network(trial, task, own_head=True, for_scoring=False)
    before = {name: tensor.clone() for name, tensor in opened.state_dict().items()}
    checkpoint = fit_trial(trial, data.train, workspace)
    assert checkpoint.meta["params_trained"] == trained
    assert sum(array.size for array in checkpoint.arrays.values()) == trained
    after = opened.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # what others share is as it was

    started = workspace.trainable(trial, task, get_method(method), get_method(method).read(trial.hyperparameters))
    start = dict(started.named_parameters())
    changed = [name for name, array in checkpoint.arrays.items() if not np.array_equal(array, start[name].detach())]
    assert {name.split(".")[0] for name in changed} == {"backbone", "head"}

    first = predictions(trial, checkpoint, data)
    assert predictions(trial, Checkpoint.from_bytes(checkpoint.to_bytes()), data).equals(first)


@pytest.mark.parametrize(
    ("method", "hyperparameters"), [(m, h) for m, h, _ in CASES if "dora" not in h], ids=[i for i in IDS if i != "dora"]
)
def test_images_too(method: str, hyperparameters: dict[str, Any], make_trial: Callable[..., Trial]) -> None:
    options = {k: v for k, v in hyperparameters.items() if k != "target_modules"}
    names = tuple(str(i) for i in range(10))
    trial = make_trial(VIT, method, task="image-classification", labels=names, **{"epochs": 1, **options})
    digits = packaged.digits()
    rows = digits["train"].slice(0, 60).append_column("id", pa.array([str(i) for i in range(60)]))
    data = prepare(trial, rows, rows.slice(0, 20))
    checkpoint = fit_trial(trial, data.train, CPU)
    assert checkpoint.meta["params_trained"] < checkpoint.meta["params_total"]
    assert predictions(trial, checkpoint, data).equals(predictions(trial, checkpoint, data))


def test_adapters_are_kilobytes_and_share_their_base(tiny_bert: Path, make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(tiny_bert, "lora")
    task, method = get_task(trial.dataset.task), get_method("lora")
    workspace = Workspace(CPU)
    base = workspace.network(trial, task, own_head=True, for_scoring=False)
    network = workspace.trainable(trial, task, method, method.read(trial.hyperparameters))
    own = {parameter.data_ptr() for parameter in base.backbone.parameters()}
    frozen = [p for n, p in network.backbone.named_parameters() if "lora_" not in n]
    assert {parameter.data_ptr() for parameter in frozen} == own


def test_an_instruction_goes_before_every_text(
    tiny_classifier: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    rows = make_texts(10)
    told = make_trial(tiny_classifier, "instruction", instruction="the ball ")
    prefixed = rows.set_column(1, "text", pa.array(["the ball " + text for text in rows.column("text").to_pylist()]))
    plain = make_trial(tiny_classifier, "none")
    task = get_task("text-classification")
    assert task.processor_key(told.model) != task.processor_key(plain.model)
    assert predictions(told, None, prepare(told, rows, rows)).equals(
        predictions(plain, None, prepare(plain, prefixed, prefixed))
    )
