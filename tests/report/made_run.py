"""A run made without a model: a job, its texts as CSV, records, rows and tables as a run leaves them.

    run = make_run(tmp_path, datasets={"topics": rows}, candidates={"good": 3.0, "poor": 1.0})

A candidate is how far its logits stand above noise. Everything is drawn from a seed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from raybench.core import DatasetKey, ModelSpec, Status, Trial
from raybench.core.identity import content_hash
from raybench.data import LoadedDataset, load_dataset
from raybench.job import Job, load_job
from raybench.metrics import MetricSet
from raybench.results.entry import Entry
from raybench.results.ledger import blank_row
from raybench.results.made_on import made_on
from raybench.results.publish import traits_of, write_tables
from raybench.results.slices import slice_scores
from raybench.store import Store
from raybench.store.records import write_records
from raybench.store.runs import RunDirectory
from raybench.store.trials import TrialRow
from raybench.tasks.catalog import get_task

METRICS = ("accuracy", "macro_f1", "log_loss", "ece")
Row = tuple[str, str, str]  # text, label, source


def make_rows(count: int, labels: Sequence[str] = ("money", "sport", "weather"), words: int = 6) -> list[Row]:
    """Rows of made words, each text its own."""
    draw = np.random.default_rng(count)
    every = [f"word{number}" for number in range(200)]
    return [
        (
            f"{number} " + " ".join(draw.choice(every, words)),
            labels[number % len(labels)],
            ("web", "print")[number % 5 == 0],
        )
        for number in range(count)
    ]


def make_run(
    folder: Path,
    *,
    datasets: Mapping[str, Sequence[Row]],
    candidates: Mapping[str, float],
    seeds: Sequence[int] = (0,),
    failed: Mapping[str, str] | None = None,
    sliced: bool = True,
    notes: tuple[str, ...] = (),
    job_name: str = "made",
) -> RunDirectory:
    """A finished run in `folder`/store; `failed` are candidates with the reason why they have no score."""
    job = _write_job(folder, datasets, [*candidates, *(failed or {})], seeds, job_name, sliced=sliced)
    store = Store.open(str(folder / "store"))
    entries: list[Entry] = []
    rows: list[TrialRow] = []
    labels: tuple[str, ...] = ()
    for spec in job.datasets:
        loaded = load_dataset(spec, get_task(spec.task, {}).columns, folder)
        labels = loaded.labels
        for place, (candidate, strength) in enumerate(candidates.items()):
            for seed in seeds:
                trial = _trial(candidate, spec.name, loaded, seed)
                records = make_records(loaded, strength, [place, seed, len(rows)])
                write_records(store.files, trial.trial_id, "b0", 0, 1, records)
                rows.append(_row(trial, records.num_rows))
                entries.append(_entry(trial, records, rows[-1], strength, loaded if sliced else None))
        for candidate, reason in (failed or {}).items():
            trial = _trial(candidate, spec.name, loaded, seeds[0])
            entries.append(Entry(trial=trial, status=Status.FAILED, reason=reason))
    store.trials.write(rows)
    run = store.run(f"{job_name}-0123456789ab")
    run.write_text("job.yaml", job.text)
    write_tables(
        run, entries, METRICS, dict.fromkeys(datasets, "accuracy"), traits_of(MetricSet(METRICS, {"labels": labels})),
        notes=notes, job_directory=str(folder),
    )  # fmt: skip
    return run


def make_records(loaded: LoadedDataset, strength: float, seed: Sequence[int]) -> pa.Table:
    """Records of a classifier, as scoring writes them."""
    test = loaded.splits["test"].sort_by("id")
    target = test.column("label").to_numpy()
    num_classes = len(loaded.labels)
    draw = np.random.default_rng(list(seed))
    hard = np.random.default_rng(len(target)).normal(0, 1, len(target))  # the same for all candidates
    logits = draw.normal(0, 1, (len(target), num_classes))
    logits[np.arange(len(target)), target] += strength + hard
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = np.clip(shifted / shifted.sum(axis=1, keepdims=True), 1e-9, 1 - 1e-9)
    log_odds = np.log(probabilities / (1 - probabilities)).astype(np.float32)
    columns = {
        "id": test.column("id"),
        "target": target.astype(np.int32),
        "prediction": logits.argmax(axis=1).astype(np.int32),
        "confidence": probabilities.max(axis=1).astype(np.float32),
        "nll": -np.log(probabilities[np.arange(len(target)), target]),
        "scores": pa.FixedSizeListArray.from_arrays(pa.array(log_odds.ravel()), num_classes),
    }
    if num_classes == 2:
        columns["score"] = log_odds[:, 1]
    return pa.table(columns)


def _write_job(
    folder: Path, datasets: Mapping[str, Sequence[Row]], candidates: Sequence[str], seeds: Sequence[int], name: str,
    *, sliced: bool,
) -> Job:  # fmt: skip
    specs = []
    for number, (dataset, rows) in enumerate(datasets.items()):
        for split, part in (("train", rows[: max(4, len(rows) // 10)]), ("test", rows)):
            with open(folder / f"{split}{number}.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label", "source"])
                writer.writerows(part)
        specs.append(
            {
                "name": dataset, "source": "csv", "task": "text-classification",
                "data_files": {"train": f"train{number}.csv", "test": f"test{number}.csv"},
                **({"slices": ["source"]} if sliced else {}),
            }
        )  # fmt: skip
    text = yaml.safe_dump(
        {
            "name": name, "store": str(folder / "store"), "seeds": list(seeds), "datasets": specs,
            "candidates": [{"model": "./models/x", "name": candidate, "method": "frozen"} for candidate in candidates],
            "metrics": list(METRICS), "rank_by": "accuracy",
        },
        allow_unicode=True,
    )  # fmt: skip
    (folder / "job.yaml").write_text(text, encoding="utf-8")
    return load_job(folder / "job.yaml")


def _trial(candidate: str, dataset: str, loaded: LoadedDataset, seed: int) -> Trial:
    key = DatasetKey(
        name=dataset, task="text-classification", labels=loaded.labels, fingerprint=loaded.fingerprint, max_length=32
    )
    return Trial(
        trial_id=content_hash([candidate, dataset, seed]), candidate=candidate,
        model=ModelSpec(reference=f"models/{candidate}"), dataset=key, method="frozen",
        hyperparameters={"learning_rate": 0.1}, seed=seed, weights_fingerprint=content_hash(candidate),
    )  # fmt: skip


def _row(trial: Trial, num_examples: int) -> TrialRow:
    provenance = {"basis": "b0", "device": ["cpu"], "dtype": ["float32"], "threads": [1], "versions": {"torch": ["2"]}}
    cost = {
        "fit_seconds": 1.0 + len(trial.candidate), "examples_per_second": 5_000.0 / (1 + len(trial.candidate)),
        "score_seconds": 2.0, "params_total": 22_700_000, "params_trained": 1_900, "flops": 10**12,
        "latency_p50_ms": 3.0, "latency_p95_ms": 9.0, "peak_memory_bytes": 10**9,
    }  # fmt: skip
    return replace(
        blank_row(trial), status=Status.OK, num_examples=num_examples, provenance=json.loads(json.dumps(provenance)),
        cost=cost,
    )  # fmt: skip


def _entry(trial: Trial, records: pa.Table, row: TrialRow, strength: float, sliced: LoadedDataset | None) -> Entry:
    metric_set = MetricSet(METRICS, {"labels": list(trial.dataset.labels)})
    slices = {}
    if sliced is not None:
        sources = sliced.splits["test"].sort_by("id").column("slice_source")
        slices = slice_scores(metric_set, records, {"source": sources})
    draw = np.random.default_rng(7)
    return Entry(
        trial=trial, status=Status.OK, reason=None, slices=slices, num_examples=row.num_examples, cost=row.cost,
        scores=metric_set.compute(metric_set.states(records), records=lambda: records),
        replicates={"accuracy": strength + draw.normal(0, 0.3, 200)}, made_on=made_on(row.provenance),
    )  # fmt: skip
