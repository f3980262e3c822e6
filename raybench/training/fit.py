"""Fitting trials: baselines, heads on shared features, networks; a bundle shares what its trials have in common."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from raybench.baselines.catalog import get_baseline
from raybench.batches import bucket
from raybench.core import Trial
from raybench.methods.catalog import get_method
from raybench.methods.method import Method
from raybench.methods.on_features import FeatureMethod
from raybench.models.configuration import from_scratch
from raybench.models.network import Network, PooledClassifier
from raybench.tasks.catalog import get_task
from raybench.tasks.task import Examples, Task
from raybench.training.checkpoint import Checkpoint
from raybench.training.cost import count_flops, count_parameters
from raybench.training.features import extract, extract_part
from raybench.training.heads import HeadSpec, HeadWeights, fit_heads
from raybench.training.loop import fine_tune
from raybench.training.memory import peak_memory_bytes, reset_peak_memory
from raybench.training.opened import feature_cache, shared_network, trainable_network
from raybench.training.precision import compute_dtype

__all__ = ["features_part", "fit_bundle", "fit_trial", "needs_fit"]


def needs_fit(trial: Trial) -> bool:
    """Whether there is anything to fit before scoring; False for method `none`."""
    return trial.model.baseline is not None or get_method(trial.method).needs_fit


def features_part(
    trial: Trial,
    rows: pa.Table,
    batches: Sequence[tuple[np.ndarray, int]],
    device: torch.device,
    *,
    for_scoring: bool,
) -> pa.Table:
    """Features of some batches of prepared rows by the trial's frozen network, for `FeatureCache.absorb` elsewhere.

    For scoring (and for heads) it is the variant that the candidate asks for, else the float32 network that
    fine-tuning starts from.
    """
    task = get_task(trial.dataset.task)
    network = shared_network(trial, task, device, own_head=False, for_scoring=for_scoring)
    cache = feature_cache(trial, device, for_scoring=for_scoring)
    return extract_part(network, task.examples(rows, trial.model), batches, cache, device)


def fit_trial(trial: Trial, train: pa.Table, device: torch.device, *, validation: pa.Table | None = None) -> Checkpoint:
    """Fit one trial on prepared rows: a bundle of one.

    Raises:
        RaybenchError: something the user can mend. DivergedError: the loss became NaN or infinite.
    """
    outcome = fit_bundle([trial], train, device, validation=validation)[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def fit_bundle(
    trials: Sequence[Trial], train: pa.Table, device: torch.device, *, validation: pa.Table | None = None
) -> list[Checkpoint | Exception]:
    """Fit trials that share rows, in their order; one that fails is its exception and stops no other.

    Heads on features of the same backbone are fitted together, with the same bits as alone.
    """
    outcomes: list[Checkpoint | Exception | None] = [None] * len(trials)
    together: dict[str, list[int]] = {}
    for index, trial in enumerate(trials):
        if trial.model.baseline is None and get_method(trial.method).on_features:
            seed = trial.seed if from_scratch(trial.model) else ""
            together.setdefault(f"{trial.weights_fingerprint}:{seed}:{trial.method}", []).append(index)
            continue
        try:
            outcomes[index] = _fit_alone(trial, train, device, validation)
        except Exception as error:
            outcomes[index] = error
    for members in together.values():
        try:
            fitted = _fit_heads([trials[i] for i in members], train, device)
        except Exception as error:
            fitted = [error] * len(members)
        for index, outcome in zip(members, fitted, strict=True):
            outcomes[index] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _fit_alone(trial: Trial, train: pa.Table, device: torch.device, validation: pa.Table | None) -> Checkpoint:
    began = time.perf_counter()
    if trial.model.baseline is not None:
        arrays = get_baseline(trial.model.baseline).fit(train, trial.dataset, trial.seed)
        size = sum(array.size for array in arrays.values() if array.dtype != np.uint8)
        meta = _meta(began, device=torch.device("cpu"), dtype="float64", total=size, trained=size, flops=0)
        return Checkpoint(arrays=arrays, meta=meta)
    reset_peak_memory(device)
    task, method = get_task(trial.dataset.task), get_method(trial.method)
    h = method.read(trial.hyperparameters)
    examples = task.examples(train, trial.model)
    network = trainable_network(trial, task, device, method, h)
    if h.head == "probe" and isinstance(network, PooledClassifier) and not from_scratch(trial.model):
        _probe(trial, task, network, examples, device)
    report = fine_tune(
        trial,
        task,
        method,
        network,
        examples,
        device,
        validation=None if validation is None else task.examples(validation, trial.model),
    )
    trained = dict(method.trained(network, h))
    arrays = {name: parameter.detach().float().cpu().numpy() for name, parameter in trained.items()}
    arrays |= {name: buffer.cpu().numpy() for name, buffer in _moving_buffers(network)}
    meta = _meta(
        began,
        device=device,
        dtype=str(compute_dtype(h.precision, device)).removeprefix("torch."),
        total=count_parameters(network.parameters()),
        trained=count_parameters(trained.values()),
        flops=report.flops,
    )
    details = {"steps": report.steps, "loss": report.loss, "best_epoch": report.best_epoch}
    return Checkpoint(arrays=arrays, meta={**meta, **details, "micro_batch_tokens": report.micro_batch_tokens})


def _probe(trial: Trial, task: Task, network: PooledClassifier, examples: Examples, device: torch.device) -> None:
    """Start the head from a logistic regression on the features as they are before training."""
    frozen = shared_network(trial, task, device, own_head=False, for_scoring=False)
    features = extract(frozen, examples, feature_cache(trial, device, for_scoring=False), device)
    spec = HeadSpec(seed=trial.seed, data=trial.dataset.fingerprint)
    labels = torch.from_numpy(_labels(examples)).to(device)
    weights = fit_heads(features, labels, [spec], num_labels=len(trial.dataset.labels))[0]
    if not isinstance(weights, Exception):
        load_head(network, weights)


def load_head(network: Network, weights: HeadWeights) -> None:
    """Put fitted weights into the head, in place."""
    state = {name.removeprefix("head."): torch.from_numpy(array) for name, array in weights.items()}
    network.head.load_state_dict(state)


def _labels(examples: Examples) -> np.ndarray:
    labels: Any = examples.labels  # type: ignore[attr-defined]
    return labels.astype(np.int64)


def _moving_buffers(network: Network) -> list[tuple[str, torch.Tensor]]:
    """What training changes beside parameters: the running statistics of batch norms."""
    return [(n, b) for n, b in network.named_buffers() if n.endswith(("running_mean", "running_var"))]


def _fit_heads(trials: Sequence[Trial], train: pa.Table, device: torch.device) -> list[Checkpoint | Exception]:
    """Heads of one frozen backbone; each trial is charged the features whole, as alone, and its share of the rest."""
    began = time.perf_counter()
    reset_peak_memory(device)
    first = trials[0]
    task, method = get_task(first.dataset.task), get_method(first.method)
    network = shared_network(first, task, device, own_head=False)
    examples = task.examples(train, first.model)
    cache = feature_cache(first, device)
    extracting, saved = time.perf_counter(), cache.saved_seconds
    features = extract(network, examples, cache, device)
    computing = time.perf_counter() - extracting
    features_cost = computing + cache.saved_seconds - saved
    labels, num_labels = _labels(examples), len(first.dataset.labels)
    fitted: Sequence[HeadWeights | Exception]
    if isinstance(method, FeatureMethod):
        host = features.cpu().numpy()
        fitted = [_fit_on_host(trial, method, host, labels, num_labels) for trial in trials]
    else:
        specs = [_spec(trial, method) for trial in trials]
        fitted = fit_heads(features, torch.from_numpy(labels).to(device), specs, num_labels=num_labels)
    padded = bucket(examples.lengths)
    row = examples.batch(np.zeros(1, dtype=np.int64), int(padded[0]), device)
    counted = network  # torch counts no operations of int8 kernels: those of the same network in float32 are given
    if first.model.dtype == "int8":
        counted = shared_network(first, task, device, own_head=False, for_scoring=False)
    with torch.inference_mode():
        flops = count_flops(lambda: counted.features(row.inputs)) * int(padded.sum()) // int(padded[0])
    backbone = network.num_parameters - count_parameters(network.head.parameters())
    outcomes: list[Checkpoint | Exception] = []
    for weights in fitted:
        if isinstance(weights, Exception):
            outcomes.append(weights)
            continue
        trained = sum(array.size for array in weights.values())
        meta = _meta(began, device=device, dtype="float32", total=backbone + trained, trained=trained, flops=flops)
        meta["fit_seconds"] = features_cost + (meta["fit_seconds"] - computing) / len(trials)
        outcomes.append(Checkpoint(arrays=weights, meta=meta))
    return outcomes


def _fit_on_host(
    trial: Trial, method: FeatureMethod, features: np.ndarray, labels: np.ndarray, num_labels: int
) -> HeadWeights | Exception:
    try:
        return method.fit(features, labels, num_labels, method.read(trial.hyperparameters), trial.seed)
    except Exception as error:
        return error


def _spec(trial: Trial, method: Method) -> HeadSpec:
    h = method.read(trial.hyperparameters)
    return HeadSpec(
        seed=trial.seed,
        data=trial.dataset.fingerprint,
        learning_rate=h.learning_rate,
        weight_decay=h.weight_decay,
        hidden=h.hidden,
        epochs=h.epochs,
        batch_size=h.batch_size,
        optimizer=h.optimizer,
        label_smoothing=h.label_smoothing,
        balanced=h.class_weights == "balanced",
    )


def _meta(began: float, *, device: torch.device, dtype: str, total: int, trained: int, flops: int) -> dict[str, Any]:
    return {
        "fit_seconds": time.perf_counter() - began,
        "params_total": total,
        "params_trained": trained,
        "flops": flops,
        "peak_memory_bytes": peak_memory_bytes(device),
        "device": device.type,
        "dtype": dtype,
        "threads": torch.get_num_threads(),
    }
