"""Neighbours do not matter: trials in any order and any grouping, alone and together, are equal to the bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from raybench.core import ModelSpec, Trial
from raybench.metrics import MetricSet
from raybench.recipes.methods.catalog import METHODS, get_method
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.trial import Checkpoint, fit_bundle, needs_fit, open_predictor, score_shard
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task
from tests.device import DEVICE

DTYPES = ("float32", "bfloat16", "float16", "int8") if DEVICE.type == "cpu" else ("float32", "bfloat16", "float16")
STEPS = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2}
QUICK: dict[str, list[dict[str, Any]]] = {
    "none": [{}],
    "instruction": [{"instruction": "the "}],
    "frozen": [{}, {"learning_rate": 0.01, "epochs": 3}, {"learning_rate": 0.01, "epochs": 3, "hidden": 8}],
    "nearest_neighbors": [{}],
    "gradient_boosting": [{"rounds": 2, "min_samples_leaf": 2}],
    "top_layers": [{"layers": 1, **STEPS}],
    "lora": [{"rank": 2, "dropout": 0.1, **STEPS}],
    "prompt_tuning": [{"num_tokens": 2, **STEPS}],
    "prefix": [{"num_tokens": 2, **STEPS}],
}


class Outcome(NamedTuple):
    """What a trial leaves behind."""

    arrays: dict[str, np.ndarray]
    records: pa.Table

    def equals(self, other: Outcome) -> bool:
        same = self.arrays.keys() == other.arrays.keys() and self.records.equals(other.records)
        return same and all(np.array_equal(array, other.arrays[name]) for name, array in self.arrays.items())


class Neighbours:
    """Trials on the same rows; each is known by its place."""

    def __init__(self, trials: list[Trial], make_texts: Callable[..., pa.Table]) -> None:
        self.trials = trials
        rows = {"train": make_texts(16), "test": make_texts(8, seed=1)}
        self._rows: dict[str, PreparedData] = {}
        task = get_task("text-classification")
        for trial in trials:
            key = task.processor_key(trial.model)
            if key not in self._rows:
                self._rows[key] = prepare_data(task, rows, trial.model, trial.dataset)
        self.forget()
        self._keys = [task.processor_key(trial.model) for trial in trials]
        self._metrics = MetricSet(task.metrics, task.metric_config(trials[0].dataset.labels, {}))

    def forget(self) -> None:
        """As in a process that has opened and computed nothing."""
        self._workspace = Workspace(DEVICE)

    def fit(self, places: list[int]) -> dict[int, Checkpoint | None]:
        """As one bundle for each kind of prepared rows."""
        fitted: dict[int, Checkpoint | None] = dict.fromkeys(places)
        for key, data in self._rows.items():
            bundle = [place for place in places if self._keys[place] == key and needs_fit(self.trials[place])]
            assert data.train is not None
            for place, outcome in zip(
                bundle, fit_bundle([self.trials[p] for p in bundle], data.train, self._workspace), strict=True
            ):
                assert isinstance(outcome, Checkpoint), (self.trials[place], outcome)
                fitted[place] = outcome
        return fitted

    def score(self, place: int, checkpoint: Checkpoint | None) -> Outcome:
        data = self._rows[self._keys[place]]
        predictor = open_predictor(self.trials[place], checkpoint, self._workspace)
        result = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), self._metrics)
        return Outcome({} if checkpoint is None else dict(checkpoint.arrays), result.records)

    def alone(self, place: int) -> Outcome:
        self.forget()
        checkpoint = self.fit([place])[place]
        self.forget()
        return self.score(place, checkpoint)

    def together(self, draw: np.random.Generator) -> Iterator[tuple[int, Outcome]]:
        """In a random order over a random number of processes, fitted in random bundles, scored at random times."""
        order = draw.permutation(len(self.trials)).tolist()
        cuts = sorted(draw.choice(len(order), size=int(draw.integers(0, 3)), replace=False).tolist())
        for start, stop in itertools.pairwise([0, *cuts, len(order)]):
            self.forget()
            waiting: dict[int, Checkpoint | None] = {}
            while start < stop or waiting:
                if start < stop and (not waiting or draw.random() < 0.4):
                    size = int(draw.integers(1, 9))
                    waiting |= self.fit(order[start : min(start + size, stop)])
                    start += size
                else:
                    place = list(waiting)[int(draw.integers(len(waiting)))]
                    yield place, self.score(place, waiting.pop(place))


def options_of(method: str) -> list[dict[str, Any]]:
    given = QUICK.get(method, [dict(STEPS)])
    if "head" not in get_method(method).hyperparameters.model_fields:
        return given
    return [{**options, "head": head} for options in given for head in ("probe", "random")]


@pytest.mark.parametrize("dtype", DTYPES)
def test_trials_have_the_same_bits_in_any_order_and_grouping(
    dtype: str,
    tiny_bert: Path,
    tiny_classifier: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
) -> None:
    trials = []
    both = (0, 1) if dtype == "float32" else (0,)  # fits are in float32 whatever scores
    for method in METHODS:
        reference = str(tiny_bert if get_method(method).needs_fit else tiny_classifier)
        model = ModelSpec(reference=reference, num_layers=2, dtype=dtype)
        for options in options_of(method):
            seeds = both if options.get("head") == "random" else (0,)
            trials += [make_trial(model, method, seed=seed, **options) for seed in seeds]
    scratch = ModelSpec(reference=str(tiny_bert), num_layers=1, init="scratch", dtype=dtype)
    trials += [
        make_trial(scratch, method, seed=seed, **h) for method, h in (("frozen", {}), ("full", STEPS)) for seed in both
    ]
    own_head = ModelSpec(reference=str(tiny_classifier), num_layers=2, dtype=dtype)
    trials += [make_trial(own_head, method, seed=seed, **STEPS) for method in ("full", "lora") for seed in both]
    neighbours = Neighbours(trials, make_texts)
    alone = [neighbours.alone(place) for place in range(len(trials))]
    for place, outcome in neighbours.together(np.random.default_rng(DTYPES.index(dtype))):
        assert outcome.equals(alone[place]), (trials[place].method, trials[place].hyperparameters, trials[place].seed)
