"""Quality against cost: dtypes, compilation, latency."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.special import expit
from torch import nn

from raybench.core import ModelSpec, Trial
from raybench.core.errors import IncompatibleError, ModelError
from raybench.data.batches import BatchSlice
from raybench.metrics import MetricSet
from raybench.models import variant as variant_module
from raybench.runtime import workspace as workspace_module
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.training import network_fitter
from raybench.runtime.trial import fit_trial, measure_latency, needs_fit, open_predictor, score_shard
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")


def prepared(trial: Trial, make_texts: Callable[..., pa.Table]) -> PreparedData:
    task = get_task(trial.dataset.task)
    return prepare_data(task, {"train": make_texts(40), "test": make_texts(30, seed=1)}, trial.model, trial.dataset)


def scores(trial: Trial, data: PreparedData, where: Workspace | torch.device = CPU) -> np.ndarray:
    task = get_task(trial.dataset.task)
    metrics = MetricSet(task.metrics, task.metric_config(trial.dataset.labels, {}))
    checkpoint = fit_trial(trial, data.train, where) if needs_fit(trial) else None
    predictor = open_predictor(trial, checkpoint, where)
    result = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics)
    return np.array(result.records.column("scores").to_pylist())


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize(("method", "options"), [("none", {}), ("frozen", {}), ("full", {"epochs": 1})])
def test_a_variant_scores_nearly_the_same_and_not_exactly(
    dtype: str,
    method: str,
    options: dict[str, Any],
    tiny_classifier: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
) -> None:
    plain = make_trial(tiny_classifier, method, **options)
    variant = make_trial(ModelSpec(reference=str(tiny_classifier), dtype=dtype), method, **options)
    assert variant.weights_fingerprint != plain.weights_fingerprint
    data = prepared(plain, make_texts)
    exact, near = scores(plain, data), scores(variant, data)
    assert not np.array_equal(exact, near)
    np.testing.assert_allclose(expit(near), expit(exact), atol=0.1)


@pytest.mark.parametrize("method", ["full", "lora", "none"])
def test_weights_cast_once_give_the_bits_of_weights_cast_at_every_pass(
    method: str,
    tiny_classifier: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"epochs": 1, "precision": "bfloat16"} if method != "none" else {}
    if method == "none":  # as on a GPU, where it is what `auto` means
        for module in (network_fitter, workspace_module):
            monkeypatch.setattr(module, "compute_dtype", lambda *_: torch.bfloat16)
    trial = make_trial(tiny_classifier, method, **options)
    data = prepared(trial, make_texts)
    cast: list[nn.Module] = []
    plain = variant_module._cast_products
    monkeypatch.setattr(variant_module, "_cast_products", lambda backbone, dtype: cast.append(plain(backbone, dtype)))
    once = scores(trial, data)
    assert len(cast) == 1
    monkeypatch.setattr(variant_module, "_cast_products", lambda *_: None)
    assert np.array_equal(scores(trial, data), once)


def test_adapters_stay_in_float32_when_their_base_is_quantised(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    plain = make_trial(tiny_bert, "lora", epochs=1)
    int8 = ModelSpec(reference=str(tiny_bert), dtype="int8")
    variant, dora = make_trial(int8, "lora", epochs=1), make_trial(int8, "lora", epochs=1, dora=True)
    data = prepared(plain, make_texts)
    np.testing.assert_allclose(expit(scores(variant, data)), expit(scores(plain, data)), atol=0.1)
    with pytest.raises(IncompatibleError, match="dora"):
        scores(dora, data)


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "prefix"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_scoring_a_variant_leaves_what_later_fits_share_as_it_is(
    dtype: str,
    method: str,
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial(ModelSpec(reference=str(tiny_bert), dtype=dtype), method, epochs=1)
    data = prepared(trial, make_texts)
    workspace = Workspace(CPU)
    base = workspace.network(trial, get_task(trial.dataset.task), own_head=True, for_scoring=False)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    scores(trial, data, workspace)
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
    assert {tensor.dtype for tensor in base.parameters()} == {torch.float32}


def test_an_unknown_dtype_is_refused(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(ModelSpec(reference=str(tiny_bert), dtype="float8"))
    with pytest.raises(ModelError, match="bfloat16"):
        fit_trial(trial, prepared(trial, make_texts).train, CPU)


def test_latency_is_of_single_examples_and_looks_nothing_up(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(tiny_bert)
    data = prepared(trial, make_texts)
    predictor = open_predictor(trial, fit_trial(trial, data.train, CPU), CPU)
    forwards = []
    predictor._network.backbone.register_forward_hook(lambda *_: forwards.append(1))  # type: ignore[attr-defined]
    latency = measure_latency(predictor, data.test, samples=10)
    assert len(forwards) == 13  # three to warm up
    assert 0 < latency.p50_ms <= latency.p95_ms


def test_latency_of_what_a_gpu_records_is_measured_after_each_length_was_recorded(
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = make_trial(tiny_bert)
    data = prepared(trial, make_texts)
    predictor = open_predictor(trial, fit_trial(trial, data.train, CPU), CPU)
    compiled = dataclasses.replace(trial, model=dataclasses.replace(trial.model, compile=True))
    seen: list[int] = []
    read = predictor.read(data.test)
    forward = predictor.outputs

    def outputs(read: object, batch: BatchSlice, *, fresh: bool = False) -> object:
        seen.append(batch.padded)
        return forward(read, batch, fresh=fresh)

    stood_in = SimpleNamespace(
        device=torch.device("cuda"), trial=compiled, read=lambda rows: read, outputs=outputs
    )  # of whose passes only the lengths count
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    measure_latency(cast(Predictor, stood_in), data.test, samples=10)
    lengths = len(set(seen))
    assert lengths > 1
    assert sorted(seen[: 3 * lengths]) == sorted(3 * list(set(seen)))


def test_an_int8_variant_costs_as_many_parameters_and_operations_as_it_has(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    plain = make_trial(tiny_bert)
    variant = make_trial(ModelSpec(reference=str(tiny_bert), dtype="int8"))
    data = prepared(plain, make_texts)
    exact, quantised = fit_trial(plain, data.train, CPU), fit_trial(variant, data.train, CPU)
    for name in ("params_total", "params_trained", "flops"):
        assert quantised.meta[name] == exact.meta[name]
    assert open_predictor(variant, quantised, CPU).cost == open_predictor(plain, exact, CPU).cost
