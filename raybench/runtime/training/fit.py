"""Fitting trials: baselines, heads on shared features, networks; a bundle shares what its trials have in common."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.data.batches import bucket
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.method import Method
from raybench.recipes.methods.on_features import FeatureMethod
from raybench.recipes.methods.shared_steps import beginning
from raybench.runtime.training.attempt import Attempt, first_attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.cost import count_flops, count_parameters, fit_meta
from raybench.runtime.training.determinism import deterministic, deterministic_where_possible
from raybench.runtime.training.features import extract, extract_part
from raybench.runtime.training.fit_network import fit_networks
from raybench.runtime.training.heads import HeadSpec, HeadWeights, fit_heads
from raybench.runtime.training.memory import reset_peak_memory
from raybench.runtime.training.opened import feature_cache, let_go, network_key, shared_network
from raybench.runtime.training.unfinished import Saving
from raybench.tasks.catalog import task_of

__all__ = ["features_part", "fit_bundle", "fit_in_turn", "fit_trial", "needs_fit"]


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
    task = task_of(trial.dataset)
    network = shared_network(trial, task, device, own_head=False, for_scoring=for_scoring)
    cache = feature_cache(trial, device, for_scoring=for_scoring)
    examples = task.examples(rows, trial.model, trial.dataset)
    return deterministic_where_possible(lambda: extract_part(network, examples, batches, cache, device), device)[0]


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
    """Fit trials that share rows, in their order; one that fails is its exception and stops no other."""
    outcomes = dict(fit_in_turn(trials, train, device, validation=validation))
    return [outcomes[place] for place in range(len(trials))]


def fit_in_turn(
    trials: Sequence[Trial],
    train: pa.Table,
    device: torch.device,
    *,
    validation: pa.Table | None = None,
    saving: Saving | None = None,
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    """The same, each by its place as soon as it is done, so that no more than one need be held.

    Heads on features of the same backbone are fitted together, and fine-tuned networks run their shared first steps
    once; the bits are those of each alone. What runs out of memory is tried again as `Attempt.after` says. With
    `saving`, networks go on from where an earlier process was; heads, a matter of seconds, begin anew.
    """
    waiting: dict[tuple[str, Attempt], list[int]] = {}
    for place, trial in enumerate(trials):
        group = _group(trial, train.num_rows, device)
        waiting.setdefault((group, _first_attempt(trial, train, device)), []).append(place)
    while waiting:
        group, attempt = key = next(iter(waiting))
        places = waiting.pop(key)
        if attempt.alone:
            let_go(device)
        with deterministic(device, strict=attempt.deterministic):
            members = [trials[place] for place in places]
            for index, outcome in _fit_group(members, train, device, validation, attempt, saving):
                if not isinstance(outcome, Exception) or (further := attempt.after(outcome)) is None:
                    yield places[index], outcome
                else:
                    outcome.__traceback__ = None  # its frames hold what did fit into memory
                    waiting.setdefault((group, further), []).append(places[index])


def _group(trial: Trial, num_rows: int, device: torch.device) -> str:
    if trial.model.baseline is not None:
        return trial.trial_id
    if get_method(trial.method).on_features:
        return f"{network_key(trial, device, own_head=False, for_scoring=True)}:{trial.method}"
    return beginning(trial, num_rows)


def _first_attempt(trial: Trial, train: pa.Table, device: torch.device) -> Attempt:
    if trial.model.baseline is not None or get_method(trial.method).on_features:
        return Attempt()
    longest_row = int(bucket(train.column("length").to_numpy()).max(initial=1))
    return first_attempt(device, longest_row, int(trial.hyperparameters.get("micro_batch_tokens", 0)))


def _fit_group(
    trials: Sequence[Trial],
    train: pa.Table,
    device: torch.device,
    validation: pa.Table | None,
    attempt: Attempt,
    saving: Saving | None,
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    """Each outcome by its place; what goes wrong for all of them is the outcome of each that has none yet."""
    missing = dict.fromkeys(range(len(trials)))
    try:
        for place, outcome in _outcomes(trials, train, device, validation, attempt, saving):
            del missing[place]
            yield place, outcome
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # they hold what did fit into memory
        yield from ((place, error) for place in missing)


def _outcomes(
    trials: Sequence[Trial],
    train: pa.Table,
    device: torch.device,
    validation: pa.Table | None,
    attempt: Attempt,
    saving: Saving | None,
) -> Iterator[tuple[int, Checkpoint | Exception]]:
    if trials[0].model.baseline is not None:
        fitted = _fit_baseline(trials[0], train)
        yield from ((place, fitted) for place in range(len(trials)))
    elif get_method(trials[0].method).on_features:
        yield from enumerate(_fit_heads(trials, train, device, attempt))
    else:
        yield from fit_networks(trials, train, device, validation, attempt, saving)


def _fit_baseline(trial: Trial, train: pa.Table) -> Checkpoint:
    began = time.perf_counter()
    arrays = get_baseline(str(trial.model.baseline)).fit(train, trial.dataset, trial.seed)
    size = sum(array.size for array in arrays.values() if array.dtype != np.uint8)
    seconds = time.perf_counter() - began
    meta = fit_meta(seconds, device=torch.device("cpu"), dtype="float64", total=size, trained=size, flops=0)
    return Checkpoint(arrays=arrays, meta=meta)


def _fit_heads(
    trials: Sequence[Trial], train: pa.Table, device: torch.device, attempt: Attempt
) -> list[Checkpoint | Exception]:
    """Heads of one frozen backbone; each trial is charged the features whole, as alone, and its share of the rest."""
    began = time.perf_counter()
    reset_peak_memory(device)
    first = trials[0]
    task, method = task_of(first.dataset), get_method(first.method)
    network = shared_network(first, task, device, own_head=False)
    examples = task.examples(train, first.model, first.dataset)
    cache = feature_cache(first, device)
    extracting, saved = time.perf_counter(), cache.saved_seconds
    features = extract(network, examples, cache, device)
    computing = time.perf_counter() - extracting
    features_cost = computing + cache.saved_seconds - saved
    targets, num_outputs = task.head_targets(examples), task.num_outputs(first.dataset)
    fitted: Sequence[HeadWeights | Exception]
    if isinstance(method, FeatureMethod):
        host = features.cpu().numpy()
        fitted = [_fit_on_host(trial, method, host, targets, num_outputs) for trial in trials]
    else:
        specs = [_spec(trial, method) for trial in trials]
        fitted = fit_heads(features, targets, specs, num_outputs=num_outputs, objective=task.objective)
    padded = bucket(examples.lengths)
    row = examples.batch(np.zeros(1, dtype=np.int64), int(padded[0]), device)
    counted = network  # torch counts no operations of int8 kernels: those of the same network in float32 are given
    if first.model.dtype == "int8":
        counted = shared_network(first, task, device, own_head=False, for_scoring=False)
    with torch.inference_mode():
        flops = count_flops(lambda: counted.features(row.inputs))[1] * int(padded.sum()) // int(padded[0])
    backbone = network.num_parameters - count_parameters(network.head.parameters())
    outcomes: list[Checkpoint | Exception] = []
    for weights in fitted:
        if isinstance(weights, Exception):
            outcomes.append(weights)
            continue
        trained = sum(array.size for array in weights.values())
        seconds = features_cost + (time.perf_counter() - began - computing) / len(trials)
        meta = fit_meta(seconds, device=device, dtype="float32", total=backbone + trained, trained=trained, flops=flops)
        outcomes.append(Checkpoint(arrays=weights, meta={**meta, "deterministic": attempt.deterministic}))
    return outcomes


def _fit_on_host(
    trial: Trial, method: FeatureMethod, features: np.ndarray, targets: np.ndarray, num_outputs: int
) -> HeadWeights | Exception:
    try:
        return method.fit(features, targets, num_outputs, method.read(trial.hyperparameters), trial.seed)
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
