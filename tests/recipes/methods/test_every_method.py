"""Every method of the catalog on texts, on pairs of texts and on images."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import IncompatibleError
from raybench.data import packaged
from raybench.metrics import MetricSet
from raybench.recipes.methods.catalog import METHODS, get_method
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.trial import Checkpoint, fit_trial, needs_fit, open_predictor, score_shard
from raybench.schedule.classify import classify
from raybench.schedule.retry import FailureKind
from raybench.tasks.catalog import get_task
from raybench.tasks.rows import key_column

CPU = torch.device("cpu")
VIT = ModelSpec(
    reference="arch:vit",
    config={
        "image_size": 8, "patch_size": 4, "num_channels": 1, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 3, "num_attention_heads": 4,
    },
)  # fmt: skip
RESNET = ModelSpec(
    reference="arch:resnet",
    config={"num_channels": 1, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
)
QUICK: dict[str, dict[str, Any]] = {
    "full": {"epochs": 1}, "top_layers": {"epochs": 1}, "gradual_unfreeze": {"epochs": 2}, "lora": {"epochs": 1},
    "prompt_tuning": {"epochs": 1}, "prefix": {"epochs": 1}, "gradient_boosting": {"rounds": 3},
}  # fmt: skip
FITTED = [name for name in METHODS if get_method(name).needs_fit]
STEPPED = [name for name in FITTED if not get_method(name).on_features]
# what of a BERT or ViT of 3 blocks and 32 features a method trains beside the head (pairs have no more than texts)
BLOCK = 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32
LORA = 3 * 8 * (4 * (32 + 32) + 2 * (32 + 64))
BESIDE = {
    "text": {"top_layers": 2 * BLOCK, "gradual_unfreeze": BLOCK, "lora": LORA, "prompt_tuning": 8 * 32,
             "prefix": 8 * 3 * 2 * 32, "frozen": 0},
    "images": {"top_layers": 2 * BLOCK + 64, "gradual_unfreeze": BLOCK + 64, "lora": LORA, "prompt_tuning": 8 * 32,
               "prefix": 8 * 3 * 32, "frozen": 0},
}  # fmt: skip


@pytest.fixture
def make(
    tiny_bert: Path, tiny_classifier: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> Callable[..., tuple[Trial, PreparedData]]:
    """A trial of a method on a kind of rows, and the rows prepared."""

    def run(kind: str, method: str, **options: Any) -> tuple[Trial, PreparedData]:
        h = {**QUICK.get(method, {}), **options}
        if kind == "images":
            trial = make_trial(
                VIT, method, task="image-classification", labels=tuple(str(label) for label in range(10)), **h
            )
            rows = packaged.digits()["train"].slice(0, 70).append_column("id", pa.array([str(i) for i in range(70)]))
        else:
            trial = make_trial(tiny_bert if get_method(method).needs_fit else tiny_classifier, method, **h)
            rows = make_texts(70)
            if kind == "pairs":
                rows = rows.append_column("text_pair", make_texts(70, seed=5).column("text"))
        splits = {"train": rows.slice(0, 50), "test": rows.slice(50)}
        return trial, prepare_data(get_task(trial.dataset.task), splits, trial.model, trial.dataset)

    return run


def records(trial: Trial, checkpoint: Checkpoint | None, data: PreparedData) -> pa.Table:
    task = get_task(trial.dataset.task)
    metrics = MetricSet(task.metrics, task.metric_config(trial.dataset.labels, {}))
    predictor = open_predictor(trial, checkpoint, CPU)
    return score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records


@pytest.mark.parametrize("kind", ["text", "pairs", "images"])
@pytest.mark.parametrize("method", FITTED)
def test_a_checkpoint_gives_another_process_the_same_predictions(
    method: str, kind: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    trial, data = make(kind, method)
    checkpoint = fit_trial(trial, data.train, CPU)
    first = records(trial, checkpoint, data)
    assert np.isfinite(first.column("nll").to_numpy()).all()
    assert records(trial, Checkpoint.from_bytes(checkpoint.to_bytes()), data).equals(first)


@pytest.mark.parametrize("kind", ["text", "pairs", "images"])
@pytest.mark.parametrize("method", [*BESIDE["text"], "full"])
def test_a_method_trains_and_keeps_what_it_says(
    method: str, kind: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    trial, data = make(kind, method)
    checkpoint = fit_trial(trial, data.train, CPU)
    labels = len(trial.dataset.labels)
    trained = checkpoint.meta["params_trained"]
    if method == "full":
        assert trained == checkpoint.meta["params_total"]
    else:
        assert trained == BESIDE["images" if kind == "images" else "text"][method] + 32 * labels + labels
    assert sum(array.size for array in checkpoint.arrays.values()) == trained


@pytest.mark.parametrize("method", [*STEPPED, "frozen"])
def test_which_text_of_a_pair_a_word_is_of_reaches_the_network(
    method: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    trial, data = make("pairs", method)
    checkpoint = fit_trial(trial, data.train, CPU)
    types = data.test.column("token_type_ids").combine_chunks()
    zeros = pa.array(np.zeros(len(types.values), dtype=np.int32)).cast(types.type.value_type)
    one_text = data.test.drop_columns(["token_type_ids", "key"])
    one_text = one_text.append_column("token_type_ids", type(types).from_arrays(types.offsets, zeros))
    one_text = one_text.append_column("key", key_column(f"row {row}".encode() for row in range(len(one_text))))
    scored = records(trial, checkpoint, data), records(trial, checkpoint, dataclasses.replace(data, test=one_text))
    assert not scored[0].column("nll").equals(scored[1].column("nll"))


@pytest.mark.parametrize("kind", ["text", "pairs"])
@pytest.mark.parametrize("method", ["none", "instruction"])
def test_a_checkpoint_with_a_head_of_its_own_is_scored_without_a_fit(
    method: str, kind: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    trial, data = make(kind, method)
    assert not needs_fit(trial)
    first = records(trial, None, data)
    assert records(trial, None, data).equals(first)


def refusal(run: Callable[[], object]) -> str:
    """The one line of an error that ends the trial as incompatible."""
    with pytest.raises(IncompatibleError) as error:
        run()
    failure = classify(error.value)
    assert failure.kind is FailureKind.INCOMPATIBLE
    assert "\n" not in failure.message
    return failure.message


@pytest.mark.parametrize("method", ["none", "instruction"])
def test_images_without_a_trained_head_cannot_be_scored_as_they_are(
    method: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    assert "arch:vit" in refusal(lambda: records(*_between(make("images", method))))


def _between(made: tuple[Trial, PreparedData]) -> tuple[Trial, None, PreparedData]:
    return made[0], None, made[1]


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix"])
def test_a_network_without_attention_takes_no_learned_positions(
    method: str, make: Callable[..., tuple[Trial, PreparedData]], make_trial: Callable[..., Trial]
) -> None:
    _, data = make("images", "frozen")
    trial = make_trial(RESNET, method, task="image-classification", labels=tuple(str(i) for i in range(10)), epochs=1)
    assert "ResNetModel" in refusal(lambda: fit_trial(trial, data.train, CPU))


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix"])
def test_learned_positions_that_leave_no_place_for_the_text_are_refused(
    method: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    trial, data = make("text", method, num_tokens=40)
    assert "max_length: 24" in refusal(lambda: fit_trial(trial, data.train, CPU))


@pytest.mark.parametrize("method", ["top_layers", "gradual_unfreeze", "lora", "prompt_tuning", "prefix"])
def test_word_embeddings_alone_have_no_blocks_to_adapt(
    method: str, tiny_bert: Path, make: Callable[..., tuple[Trial, PreparedData]], make_trial: Callable[..., Trial]
) -> None:
    _, data = make("text", "frozen")
    trial = make_trial(ModelSpec(reference=str(tiny_bert), pooling="static"), method, epochs=1)
    assert "StaticEmbeddings" in refusal(lambda: fit_trial(trial, data.train, CPU))


@pytest.mark.parametrize("method", [name for name in STEPPED if name not in ("prompt_tuning", "prefix")])
def test_a_convolutional_network_is_trained_too(
    method: str, make: Callable[..., tuple[Trial, PreparedData]], make_trial: Callable[..., Trial]
) -> None:
    _, data = make("images", "frozen")
    labels = tuple(str(i) for i in range(10))
    trial = make_trial(RESNET, method, task="image-classification", labels=labels, **QUICK[method])
    checkpoint = fit_trial(trial, data.train, CPU)
    first = records(trial, checkpoint, data)
    assert records(trial, Checkpoint.from_bytes(checkpoint.to_bytes()), data).equals(first)


HEADS: list[dict[str, Any]] = [
    {"learning_rate": 0.01, "hidden": 16},
    {"learning_rate": 0.01, "hidden": 16, "optimizer": "sgd"},
    {"learning_rate": 0.1, "optimizer": "sgd"},
    {"label_smoothing": 0.2},
    {"learning_rate": 0.01, "label_smoothing": 0.2},
    {"class_weights": "balanced"},
    {"learning_rate": 0.01, "class_weights": "balanced", "hidden": 16},
]


@pytest.mark.parametrize("kind", ["text", "images"])
@pytest.mark.parametrize("options", HEADS, ids=lambda options: "-".join(options))
def test_every_kind_of_head_is_fitted_scored_and_counted(
    options: dict[str, Any], kind: str, make: Callable[..., tuple[Trial, PreparedData]]
) -> None:
    stepped = {"epochs": 30} if "learning_rate" in options else {}
    trial, data = make(kind, "frozen", **options, **stepped)
    plain, _ = make(kind, "frozen", **{k: v for k, v in options.items() if k == "learning_rate"}, **stepped)
    checkpoint = fit_trial(trial, data.train, CPU)
    labels, hidden = len(trial.dataset.labels), options.get("hidden", 0)
    size = 32 * hidden + hidden + hidden * labels + labels if hidden else 32 * labels + labels
    assert checkpoint.meta["params_trained"] == size
    scored = records(trial, checkpoint, data)
    assert np.mean(scored.column("prediction").to_numpy() == scored.column("target").to_numpy()) > 1.3 / labels
    assert not scored.equals(records(plain, fit_trial(plain, data.train, CPU), data))
    assert records(trial, Checkpoint.from_bytes(checkpoint.to_bytes()), data).equals(scored)
