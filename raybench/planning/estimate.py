"""What a plan will cost before any of it is done: seconds of actors, the end by a simulated clock, memory, money.

    known = Known(rows={data_key: Rows(...)}, rates=rates, past=rows of the store)
    estimate = foretell(plan, todo, known, num_actors=2)
    estimate.work_seconds, estimate.finish_seconds, estimate.error, estimate.memory

Operations of each trial, divided by what this machine was measured to do, times what the store has seen of such
predictions (`learned.py`). When all ends is what the queue does with these seconds (`schedule/simulate.py`). The error
is a standard deviation of a logarithm: trials of a kind are off together, kinds each for themselves. No torch.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from raybench.core import Status
from raybench.data.batches import batch_tokens
from raybench.planning.learned import Learned, Sample
from raybench.planning.plan import Plan, PlannedTrial
from raybench.planning.rates import Rates
from raybench.planning.trial_memory import memory_bytes
from raybench.planning.trial_seconds import TrialShape, charged_seconds, feature_seconds, forward_seconds, trial_shape
from raybench.schedule.pace import Pace, work_seconds
from raybench.schedule.work import TrialWork
from raybench.store.trials import TrialRow

__all__ = ["Estimate", "Known", "Rows", "foretell"]

_ANSWER_SECONDS = 0.001  # of the driver a piece of work (tests/bench/bench_driver.py)
_PREPARE_SECONDS, _PREPARE_ROW_SECONDS = 1.0, 1e-4  # a tokenizer is opened; a row goes through it
_OPEN_SECONDS = 0.3  # a model or a checkpoint is opened, a result written
_FUSED = 0.27  # of a head's own time, where several are fitted together (tests/bench/bench_levers.py)
_LATENCY_ROWS, _MOST_LATENCY_SECONDS = 33, 1.0  # forwarded one by one, once a network, rows and process
_MEASURED, _GUESSED = 0.4, 0.8  # errors of what the store has not seen, by rates that were measured here or were not


class Rows(NamedTuple):
    """How the test rows of a data key look to a model."""

    num_batches: int
    tokens: float  # padded ones of a model row, on average
    model_rows: float  # an example makes: its windows or choices


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an estimate starts from."""

    rows: Mapping[str, Rows]  # by data key
    rates: Rates
    is_measured: bool  # or the rates are a guess
    past: Sequence[TrialRow]  # whatever ended in the store
    threads: int
    device: str  # "cpu" or "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds of one actor each, `error` of all of them; bytes of the process or device that does a trial."""

    pace: Pace
    trials: Mapping[str, float]  # trial → seconds of its fit and of scoring it, as its row will say
    work_seconds: float
    error: float
    memory: Mapping[str, float]  # trial → bytes at most; on a GPU what one alike was seen to take, where one was
    num_seen: int  # trials of the store that corrected it


def foretell(plan: Plan, todo: Sequence[TrialWork], known: Known) -> Estimate:
    """The cost of the work that is left to do; trials whose rows cannot be read count for nothing."""
    planned = {one.trial.trial_id: one for one in (*plan.offered, *plan.trials)}
    shapes = {
        trial_id: _shape(one, plan, known) for trial_id, one in planned.items() if one.work.data_key in known.rows
    }
    samples = _samples(planned, shapes, known)
    learned = Learned(samples, never_seen=_MEASURED if known.is_measured else _GUESSED)
    works = [work for work in todo if work.trial_id in shapes]
    pace = _pace(plan, works, shapes, learned, known)
    tokens = batch_tokens(plan.job.resources.batch_tokens, known.device)
    of_trials: dict[str, float] = {}
    by_kind: dict[tuple[str, str, float], float] = defaultdict(float)
    for work in works:
        shape = shapes[work.trial_id]
        seconds = 0.0
        for part, alone in zip(("fit", "score"), charged_seconds(shape, known.rates), strict=True):
            factor = learned.factor(part, shape.kind, shape.model)
            seconds += alone * factor.value
            by_kind[part, shape.kind, factor.error] += alone * factor.value
        of_trials[work.trial_id] = seconds
    reckoned = {
        work.trial_id: memory_bytes(shapes[work.trial_id], known.rates, known.device, batch_tokens=tokens)
        for work in works
    }
    return Estimate(
        pace=pace,
        trials=of_trials,
        work_seconds=work_seconds(works, pace),
        error=_error(by_kind),
        memory=reckoned | (_seen_memory(planned, works, known) if known.device == "cuda" else {}),
        num_seen=len({(one.kind, one.model, one.seconds) for one in samples if one.part == "score"}),
    )


def _shape(one: PlannedTrial, plan: Plan, known: Known) -> TrialShape:
    rows = known.rows[one.work.data_key]
    dataset = plan.datasets[one.trial.dataset.name]
    return trial_shape(one, dataset, tokens=rows.tokens, model_rows=rows.model_rows)


class _Alike(NamedTuple):
    """What trials share that are like one another but for seed, hyperparameters and weights."""

    model: str
    method: str
    dataset: str
    max_length: int | None

    @classmethod
    def of_row(cls, row: TrialRow) -> _Alike:
        found: Any = row.identity
        return cls(*(found.get(name) for name in cls._fields))

    @classmethod
    def of_planned(cls, one: PlannedTrial) -> _Alike:
        trial = one.trial
        return cls(trial.model.reference, trial.method, trial.dataset.name, trial.dataset.max_length)


def _seen_memory(planned: Mapping[str, PlannedTrial], works: Sequence[TrialWork], known: Known) -> dict[str, float]:
    """The most that the GPU was seen to hold for a trial like each of these; a CPU's process knows its life's alone."""
    seen: dict[_Alike, float] = {}
    for row in known.past:
        if row.status is Status.OK and "cuda" in row.provenance.get("device", ()):
            key = _Alike.of_row(row)
            seen[key] = max(seen.get(key, 0.0), float(row.cost.get("peak_memory_bytes") or 0))
    found = {work.trial_id: seen.get(_Alike.of_planned(planned[work.trial_id]), 0.0) for work in works}
    return {trial_id: taken for trial_id, taken in found.items() if taken}


def _samples(planned: Mapping[str, PlannedTrial], shapes: Mapping[str, TrialShape], known: Known) -> list[Sample]:
    """Of trials in the store that are this plan's, or like one of its own but for seed, hyperparameters and weights."""
    alike = {_Alike.of_planned(one): trial_id for trial_id, one in planned.items() if trial_id in shapes}
    samples = []
    for row in known.past:
        trial_id = row.trial_id if row.trial_id in shapes else alike.get(_Alike.of_row(row))
        if row.status is not Status.OK or trial_id is None or known.threads not in row.provenance.get("threads", ()):
            continue
        shape = shapes[trial_id]
        if row.trial_id not in shapes:  # of other hyperparameters perhaps
            scored_in = row.provenance.get("dtype", ())
            shape = shape._replace(
                num_test=row.num_examples, scores_in_bfloat16=any(one.startswith("bfloat16") for one in scored_in)
            )
        fit, score = charged_seconds(shape, known.rates)
        samples.append(Sample("score", shape.kind, shape.model, float(row.cost.get("score_seconds") or 0), score))
        if row.trial_id in shapes:
            samples.append(Sample("fit", shape.kind, shape.model, float(row.cost.get("fit_seconds") or 0), fit))
    return samples


def _pace(
    plan: Plan, works: Sequence[TrialWork], shapes: Mapping[str, TrialShape], learned: Learned, known: Known
) -> Pace:
    """The seconds of each piece of the work: of what is shared once, of features apart from who reads them."""
    batches: dict[str, tuple[int, int]] = {}
    prepare: dict[str, float] = {}
    features: dict[str, float] = {}
    steps: dict[str, float] = {}
    fit: dict[str, float] = {}
    opening: dict[str, float] = {}
    score: dict[str, float] = {}
    in_bundle = Counter({work.checkpoint: work.bundle for work in works}.values())
    seen: set[tuple[str, str, str]] = set()
    for work in works:
        shape, rows = shapes[work.trial_id], known.rows[work.data_key]
        fit_factor, score_factor = (learned.factor(part, shape.kind, shape.model).value for part in ("fit", "score"))
        num_train, num_test = shape.num_train, shape.num_test
        train_batches = math.ceil(rows.num_batches * num_train / num_test) if num_test else 0
        batches[work.data_key] = (rows.num_batches, batches.get(work.data_key, (0, 0))[1])
        of_test, before = batches.get(work.fit_rows, (0, 0))
        batches[work.fit_rows] = (of_test, max(train_batches, before))
        every = plan.datasets[_dataset(plan, work)].loaded.num_rows
        tokenizer = 0.0 if shape.is_baseline else _PREPARE_SECONDS
        prepare[work.data_key] = tokenizer + _PREPARE_ROW_SECONDS * sum(every.values())
        prepare.setdefault(work.fit_rows, prepare[work.data_key])  # those of another dataset, about as many
        forward, feature = forward_seconds(shape, known.rates), feature_seconds(shape, known.rates)
        charged = charged_seconds(shape, known.rates)
        if work.train_features and train_batches and work.needs_fit:
            features[work.train_features] = fit_factor * feature * num_train / train_batches
        if work.features_to_score and rows.num_batches:
            features[work.features_to_score] = score_factor * forward * num_test / rows.num_batches
        if work.needs_fit:
            in_steps = charged.fit - (num_train * feature if work.train_features else 0.0)
            passes = sum(cost for _, cost in work.fit_steps)
            if work.is_head:  # in one computation with others
                fit[work.checkpoint] = fit_factor * in_steps * (_FUSED if in_bundle[work.bundle] > 1 else 1.0)
            else:
                fit[work.checkpoint] = 0.0 if shape.is_baseline else _OPEN_SECONDS
                for key, cost in work.fit_steps:
                    share = cost / passes if passes else 1 / len(work.fit_steps)
                    steps[key] = fit_factor * in_steps * share
        own = charged.score - (num_test * forward if work.features_to_score else 0.0)
        score[work.trial_id] = score_factor * own / rows.num_batches if rows.num_batches else 0.0
        opening[work.trial_id] = _OPEN_SECONDS
        measured_once = (shape.model, shape.kind, work.data_key)
        if measured_once not in seen:
            seen.add(measured_once)
            opening[work.trial_id] += min(_MOST_LATENCY_SECONDS, _LATENCY_ROWS * score_factor * forward)
    return Pace(
        start=known.rates.start_seconds,
        answer=_ANSWER_SECONDS,
        batches=batches,
        prepare=prepare,
        features=features,
        steps=steps,
        fit=fit,
        open=opening,
        score=score,
    )


def _dataset(plan: Plan, work: TrialWork) -> str:
    return plan.data[work.data_key].dataset.name


def _error(by_kind: Mapping[tuple[str, str, float], float]) -> float:
    """Of the sum, where each kind is off for itself."""
    total = math.fsum(by_kind.values())
    return math.sqrt(math.fsum((seconds * error) ** 2 for (_, _, error), seconds in by_kind.items())) / (total or 1.0)
