"""What an actor keeps between calls, and what it does with them: prepared rows, the model in use, the store."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import ray
import torch

from raybench.cluster.agreement import check_agreement
from raybench.cluster.context import Held, RunContext
from raybench.cluster.planned_files import PlannedFiles, not_planned
from raybench.core import Trial
from raybench.core.errors import StoreError
from raybench.core.identity import RESULT_VERSION, content_hash
from raybench.core.training_step import TrainingStep
from raybench.metrics import MetricSet
from raybench.results.measure import Measured, Measurer
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.scoring.latency import Latency, measure_latency
from raybench.runtime.training.device import device_of, share_memory
from raybench.runtime.training.memory import with_room
from raybench.runtime.trial import (
    Checkpoint,
    Predictor,
    Saving,
    features_part,
    fit_in_turn,
    needs_fit,
    open_predictor,
    score_shard,
)
from raybench.runtime.workspace import Workspace, network_key
from raybench.schedule.classify import classify
from raybench.schedule.retry import Failure
from raybench.schedule.work import Features, Fit, Missing, Part, Prepare
from raybench.store.basis import basis_of
from raybench.store.checkpoints import is_intact, read_checkpoint, read_metadata, write_checkpoint
from raybench.store.files import Files
from raybench.store.held_records import HeldRecords
from raybench.store.provenance import library_versions, processor_name
from raybench.store.records import write_records
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow
from raybench.store.unfinished import UnfinishedFits
from raybench.tasks.catalog import task_of

__all__ = ["Session"]

_ANY = (Exception, SystemExit)  # a candidate's code that exits ends its trial, not the actor


class Session:
    """One process's part of a run."""

    def __init__(self, context: RunContext) -> None:
        sys.path += [path for path in context.extra_path if path not in sys.path]
        torch.set_num_threads(context.threads)
        self._context = context
        self._files = Files(context.store_url)
        if context.agreement is not None:
            check_agreement(context.agreement, self._files)
        stamps = {trial_id: one.stamp for trial_id, one in context.planned.items()}
        self._planned = PlannedFiles(stamps, Path(context.extra_path[0]) if context.extra_path else Path.cwd())
        self._device = device_of(context.gpus_per_actor, cuda_available=torch.cuda.is_available())
        share_memory(self._device, context.gpus_per_actor)
        self._workspace = Workspace(self._device)
        self._first_fit_at: float | None = None
        self._prepared: dict[str, PreparedData] = {}
        self._held: dict[str, list[tuple[Part, list[ray.ObjectRef[Any]]]]] = {}  # key → where rows and features are
        self._included: dict[str, set[Part]] = {}  # group → its parts that are in this process
        self._networks: dict[str, str] = {}  # group → the key of the network that its features come from
        self._unread: set[str] = set()  # keys of rows and features that no trial reads any more
        self._leaving = Event()
        self._metric_sets: dict[str, MetricSet] = {}
        self._held_records = HeldRecords()  # of trials that are not measured yet
        self._measurers: dict[str, Measurer] = {}  # dataset → what measures its trials, of the one measured last
        self._predictor: tuple[str, Predictor, str] | None = None  # trial, what scores it, the digest of its checkpoint
        self._latencies: dict[tuple[str, str, str, int], Latency] = {}

    @property
    def doing(self) -> TrainingStep | None:
        """How far a fit has got."""
        return self._workspace.doing

    @property
    def moments(self) -> dict[str, float]:
        """When the first fit and the first step of training began, in seconds since 1970."""
        found = {"fit": self._first_fit_at, "step": self._workspace.first_step_at}
        return {name: at for name, at in found.items() if at is not None}

    def prepare(self, data_key: str) -> tuple[PreparedData | None, tuple[int, int, str, tuple[int, ...]] | Failure]:
        """Tokenise and plan; the numbers of batches and their digest go to the driver, the rows stay by reference."""
        try:
            prepared = self._prepare(data_key)
        except _ANY as error:
            return None, classify(error)
        plan = prepared.plan
        return prepared, (plan.num_batches, prepared.num_train_batches, prepared.digest, plan.rounds)

    def features(self, part: Features) -> tuple[pa.Table | None, Failure | Missing | None]:
        """Forward batches of a split through a frozen network; the features stay by reference."""
        try:
            needs = self._context.features[part.group]
            planned = self._context.planned[needs.trial_id]
            prepared = self._data(planned.work.data_key)
            rows = prepared.test if needs.split == "test" else prepared.train
            assert rows is not None
            self._planned.check(planned.trial)
            batches = prepared.forward_batches(needs.split, part.start, part.stop)
            features = with_room(
                lambda: features_part(planned.trial, rows, batches, self._workspace, for_scoring=needs.for_scoring),
                self._let_go,
            )
            self._included.setdefault(part.group, set()).add(part)
            return features, None
        except _ANY as error:
            return None, _answer(error)

    def held_are_at(self, held: Held) -> None:
        """Rows and features that others have made, fetched when they are read."""
        self._held |= held

    def release(self, keys: list[str]) -> None:
        """Let go of rows and features that no trial reads any more; called beside the work, so only entries go."""
        for key in keys:
            self._prepared.pop(key, None)
            self._held.pop(key, None)
            self._included.pop(key, None)
        self._unread.update(keys)
        features = self._context.features
        gone = {self._network(key) for key in keys if key in features}
        if gone:
            gone -= {self._network(group) for group in features if group not in self._unread}
        for network in gone:
            self._workspace.caches.drop(network)

    def _network(self, group: str) -> str:
        """The network whose features a group is a part of."""
        if group not in self._networks:
            needs = self._context.features[group]
            trial = self._context.planned[needs.trial_id].trial
            self._networks[group] = network_key(trial, self._device, own_head=False, for_scoring=needs.for_scoring)
        return self._networks[group]

    def _include(self, trial_id: str, group: str | None, first: int = 0, last: int | None = None) -> None:
        """Take the features of batches [first, last) that a trial reads from whoever computed them."""
        missing: list[Part] = []
        for part, (ref,) in self._held.get(group, ()) if group is not None else ():
            assert isinstance(part, Features)
            included = self._included.setdefault(part.group, set())
            if part not in included and part.stop > first and (last is None or part.start < last):
                for_scoring = self._context.features[part.group].for_scoring
                cache = self._workspace.features(self._context.planned[trial_id].trial, for_scoring=for_scoring)
                try:
                    cache.include(ray.get(ref))
                    included.add(part)
                except ray.exceptions.ObjectLostError:  # with its node
                    missing.append(part)
        if missing:
            raise _MissingError(*missing)

    def fit(self, trial_ids: tuple[str, ...]) -> dict[str, Failure | str] | Failure | Missing:
        """Fit a bundle; each trial's checkpoint is in the store before the JSON beside its arrays is returned."""
        try:
            # an actor that died in the middle of a bundle has left whole checkpoints
            bundle = trial_ids
            left = [trial_id for trial_id in trial_ids if is_intact(self._files, trial_id)]
            outcomes: dict[str, Failure | str] = {
                one: read_metadata(self._files, one).get("raybench", "{}") for one in left
            }
            trial_ids = tuple(trial_id for trial_id in trial_ids if trial_id not in outcomes)
            if not trial_ids:
                return outcomes
            trials = [self._context.planned[trial_id].trial for trial_id in trial_ids]
            for trial in trials:
                self._planned.check(trial)
            prepared = self._data(self._context.planned[trial_ids[0]].work.data_key)
            self._predictor = None  # its memory is needed
            for trial_id in trial_ids:
                self._include(trial_id, self._context.planned[trial_id].work.train_features)
            unfinished = UnfinishedFits(self._files)
            saving = Saving(
                shelf=unfinished,
                basis=self._fit_basis(prepared),
                every_seconds=self._context.checkpoint_seconds,
                urgent=self._leaving.is_set,
                goes_on_as={one: self._context.planned[one].goes_on_as for one in trial_ids},
            )
            self._workspace.tell(None)
            self._first_fit_at = self._first_fit_at or time.time()
            fits = fit_in_turn(trials, prepared.train, self._workspace, validation=prepared.validation, saving=saving)
            for place, outcome in fits:  # no more than one checkpoint is held at a time
                if isinstance(outcome, Exception):
                    outcomes[trial_ids[place]] = classify(outcome)
                else:
                    outcomes[trial_ids[place]] = self._keep(trial_ids[place], outcome)
            with suppress(StoreError):  # the driver removes what is left
                unfinished.remove(bundle)
            return outcomes
        except _ANY as error:
            return _answer(error)

    def leave(self) -> None:
        """This process's node is about to go: a fit under way writes where it is after every epoch."""
        self._leaving.set()

    def end(self) -> None:
        """Let go of all that is kept: another session follows in this process."""
        self._let_go()
        self._prepared.clear()
        self._held.clear()
        self._held_records = HeldRecords()
        self._measurers.clear()

    def _fit_basis(self, prepared: PreparedData) -> str:
        """What decides a fit's bits beside its trial."""
        machine = [_device_name(self._device), torch.get_num_threads(), library_versions()]
        return content_hash([RESULT_VERSION, prepared.digest, machine])

    def _keep(self, trial_id: str, checkpoint: Checkpoint) -> str:
        """Write a fit's outcome with what it was made on; the JSON that stands beside its arrays."""
        device = self._device if checkpoint.meta.get("device") == self._device.type else torch.device("cpu")
        made_on = {"device_name": _device_name(device), "versions": library_versions()}
        kept = replace(checkpoint, meta={**checkpoint.meta, **made_on})
        write_checkpoint(self._files, trial_id, kept.to_bytes())
        return kept.meta_json

    def score(self, trial_id: str, start: int, stop: int) -> ShardCommit | Failure | Missing:
        """Score some batches; their records are in the store before their state is returned."""
        try:
            return with_room(lambda: self._score(trial_id, start, stop), self._let_go)
        except _ANY as error:
            return _answer(error)

    def _score(self, trial_id: str, start: int, stop: int) -> ShardCommit:
        planned = self._context.planned[trial_id]
        trial, prepared = planned.trial, self._data(planned.work.data_key)
        self._include(trial_id, planned.work.test_features, start, stop)
        predictor = self._open(trial_id)
        cost = predictor.cost | self._latency(trial_id, predictor, prepared.test) if start == 0 else {}
        began = time.perf_counter()
        metric_set = self._metric_set(trial.dataset.name)
        result = score_shard(predictor, prepared.test, prepared.plan.batches(start, stop), metric_set)
        basis = self._basis(trial, prepared)
        write_records(self._files, trial_id, basis, start, stop, result.records)
        how = self._context.measuring[trial.dataset.name]
        read = how.columns(metric_set)
        self._held_records.add(
            trial_id, basis, start, stop, result.records if read is None else result.records.select(read)
        )
        return ShardCommit(
            trial_id=trial_id,
            start=start,
            stop=stop,
            num_examples=result.records.num_rows,
            states=result.states.to_bytes(),
            score_seconds=result.seconds,
            wall_seconds=time.perf_counter() - began,
            peak_memory_bytes=result.peak_memory_bytes,
            device=predictor.device.type,
            dtype=predictor.dtype if result.deterministic else f"{predictor.dtype}, not deterministic",
            threads=torch.get_num_threads(),
            cost=json.dumps(cost),
            basis=basis,
            device_name=_device_name(predictor.device),
            versions=json.dumps(library_versions()),
            drawn=how.drawn(result.records).to_bytes() if planned.race else b"",
        )

    def measure(self, rows: list[TrialRow]) -> list[Measured | None]:
        """Scores and replicates of trials that ended well; None where that fails, for the driver to do and to tell."""
        datasets = groupby(rows, lambda row: self._context.planned[row.trial_id].trial.dataset.name)
        return [one for dataset, some in datasets for one in self._measured(dataset, list(some))]

    def _measured(self, dataset: str, rows: list[TrialRow]) -> Sequence[Measured | None]:
        try:
            if dataset not in self._measurers:
                how, test = self._context.measuring[dataset], ray.get(self._context.rows[dataset])["test"]
                self._measurers = {dataset: Measurer(how, test, self._files, _untold, self._held_records)}
            return self._measurers[dataset].measure(rows)
        except _ANY:
            return [None] if len(rows) == 1 else [one for row in rows for one in self._measured(dataset, [row])]

    def _basis(self, trial: Trial, prepared: PreparedData) -> str:
        """What the shards of the trial in hand are scored on."""
        assert self._predictor is not None
        measures = self._context.measuring[trial.dataset.name].measures
        return basis_of(plan=prepared.digest, checkpoint=self._predictor[2], measures=measures)

    def _let_go(self) -> None:
        """Free what is kept on the device for trials to come."""
        self._predictor = None
        self._workspace.let_go()
        self._included.clear()  # features may be gone; what is still there is not taken twice

    def _open(self, trial_id: str) -> Predictor:
        if self._predictor is None or self._predictor[0] != trial_id:
            self._predictor = None
            trial = self._context.planned[trial_id].trial
            self._planned.check(trial)
            fitted = self._context.planned[trial_id].work.checkpoint
            checkpoint = self._checkpoint(fitted) if needs_fit(trial) else None
            digest = checkpoint.digest() if checkpoint is not None else ""
            self._predictor = (trial_id, open_predictor(trial, checkpoint, self._workspace), digest)
        return self._predictor[1]

    def _latency(self, trial_id: str, predictor: Predictor, rows: pa.Table) -> dict[str, float]:
        """Of single examples, measured once a size of network and data in this process: training changes no shapes."""
        trial = self._context.planned[trial_id].trial
        size = predictor.cost.get("params_total", 0)  # adapters and prompts differ in it
        key = (trial.weights_fingerprint, trial.method, self._context.planned[trial_id].work.data_key, size)
        if key not in self._latencies:
            self._latencies[key] = measure_latency(predictor, rows)
        p50, p95 = self._latencies[key]
        return {"latency_p50_ms": p50, "latency_p95_ms": p95}

    def _checkpoint(self, trial_id: str) -> Checkpoint:
        try:
            return Checkpoint.from_bytes(read_checkpoint(self._files, trial_id))
        except Exception as error:
            if is_intact(self._files, trial_id):
                raise
            raise _MissingError(Fit(trial_ids=(trial_id,))) from error

    def _data(self, data_key: str) -> PreparedData:
        prepared = self._prepared.get(data_key)
        if prepared is None:
            held = self._held.get(data_key)
            if not held:  # they are being made again, or nobody reads them any more
                raise _MissingError(Prepare(data_key=data_key))
            ((part, (ref,)),) = held
            try:
                prepared = ray.get(ref)
            except ray.exceptions.ObjectLostError as error:  # with its node
                raise _MissingError(part) from error
            self._prepared[data_key] = prepared
        return prepared

    def _prepare(self, data_key: str) -> PreparedData:
        needs = self._context.data[data_key]
        task = task_of(needs.dataset)
        if task.processor_key(needs.model) != needs.processor:
            raise not_planned(needs.model)
        rows: dict[str, Any] = ray.get(self._context.rows[needs.dataset.name])
        tokens = self._context.batch_tokens
        return prepare_data(task, rows, needs.model, needs.dataset, tokens=tokens, draw_seed=needs.draw_seed)

    def _metric_set(self, dataset: str) -> MetricSet:
        if dataset not in self._metric_sets:
            self._metric_sets[dataset] = self._context.measuring[dataset].metric_set()
        return self._metric_sets[dataset]


class _MissingError(Exception):
    """Parts of artefacts that this process needs are nowhere any more; `args` are these."""


def _answer(error: BaseException) -> Failure | Missing:
    return Missing(parts=error.args) if isinstance(error, _MissingError) else classify(error)


def _untold(path: str, reason: str) -> None:
    """What an actor cannot read it does not measure, and the driver tells it."""


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
