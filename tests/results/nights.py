"""Runs written into a store without a model: predictions in, rows, records and tables as a run leaves them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec, Status, Trial
from raybench.core.identity import content_hash
from raybench.metrics import MetricSet
from raybench.results.entry import Entry
from raybench.results.ledger import blank_row
from raybench.results.made_on import made_on
from raybench.results.publish import traits_of, write_tables
from raybench.store import Store
from raybench.store.records import write_records

LABELS = ("a", "b", "c")
METRICS = ("accuracy", "macro_f1")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a candidate predicts; `right` says of each example whether it is right."""

    candidate: str
    right: Any
    dataset: str = "topics"
    seed: int = 0
    weights: str = "w0"
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = LABELS
    first_id: int = 0
    ids: Sequence[str] | None = None  # in place of e000000, e000001, …
    fingerprint: str = "d0"
    scored: str = "test"
    status: Status = Status.OK
    provenance: dict[str, Any] = field(default_factory=dict)


def publish_run(
    url: str, run_id: str, scored: Sequence[Scored], written_at: str = "2026-11-25T03:00:00Z", job: str = ""
) -> None:
    """A finished run of these candidates."""
    store = Store.open(url)
    entries = [_entry(store, one) for one in scored]
    metric_set = MetricSet(METRICS, {"labels": LABELS})
    names = dict.fromkeys(one.dataset for one in scored)
    run = store.run(run_id)
    write_tables(run, entries, METRICS, dict.fromkeys(names, "accuracy"), traits_of(metric_set))
    run.write_text("job.yaml", job)
    run.write_json("environment.json", (run.read_json("environment.json") or {}) | {"written_at": written_at})


def records_of(right: Any, first_id: int = 0) -> pa.Table:
    """Records of a classifier of three classes, by id; targets depend on ids alone."""
    right = np.asarray(right, dtype=bool)
    numbers = np.arange(first_id, first_id + right.size)
    target = numbers % 3
    prediction = np.where(right, target, (target + 1) % 3)
    ids = pa.array([f"e{number:06d}" for number in numbers])
    return pa.table({"id": ids, "target": target.astype(np.int32), "prediction": prediction.astype(np.int32)})


def _entry(store: Store, one: Scored) -> Entry:
    model = ModelSpec(reference=f"models/{one.candidate}")
    key = DatasetKey(
        name=one.dataset,
        task="text-classification",
        labels=one.labels,
        fingerprint=one.fingerprint,
        max_length=32,
        scored=one.scored,
    )
    asked = [one.weights, one.dataset, one.hyperparameters, one.seed, list(one.labels)]
    trial = Trial(
        trial_id=content_hash(asked), candidate=one.candidate, model=model, dataset=key, method="frozen",
        hyperparameters=one.hyperparameters, seed=one.seed, weights_fingerprint=one.weights,
    )  # fmt: skip
    if one.status is not Status.OK:
        return Entry(trial=trial, status=one.status, reason="out of luck")
    records = records_of(one.right, one.first_id)
    if one.ids is not None:
        records = records.set_column(0, "id", pa.array(one.ids)).sort_by("id")
    row = blank_row(trial)
    provenance = json.loads(json.dumps({"basis": "b0", **one.provenance}))
    write_records(store.files, trial.trial_id, "b0", 0, 1, records)
    done = type(row).from_record(
        row.as_record() | {"status": "ok", "num_examples": records.num_rows, "provenance": json.dumps(provenance)}
    )
    store.trials.append(done)
    store.flush()
    metric_set = MetricSet(METRICS, {"labels": list(one.labels)})
    states = metric_set.states(records)
    return Entry(
        trial=trial, status=Status.OK, reason=None, scores=metric_set.compute(states, records=lambda: records),
        num_examples=records.num_rows, made_on=made_on(provenance),
    )  # fmt: skip
