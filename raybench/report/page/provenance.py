"""What a run was made of: job, versions, machines, and the hashes of weights and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raybench.job import DatasetSpec
from raybench.report.page.model import Provenance
from raybench.report.page.secrets import without_secrets
from raybench.results.stored import StoredRun

__all__ = ["provenance_of"]

_SHOWN = {"device_name": "processor"}


def provenance_of(run: StoredRun, specs: Sequence[DatasetSpec]) -> Provenance:
    """Of the trials that ended well; the job without what looks like a secret."""
    environment = run.directory.read_json("environment.json") or {}
    try:
        job = run.directory.files.read(run.directory.path("job.yaml")).decode(errors="replace")
    except FileNotFoundError:
        job = ""
    return Provenance(
        run_id=run.run_id,
        store=without_secrets(run.store.files.url),
        written_at=run.written_at,
        job=without_secrets(job),
        versions=_texts(environment.get("versions")),
        machine={
            **{name: str(environment[name]) for name in ("python", "platform") if name in environment},
            **_devices(environment.get("trials")),
        },
        candidates=_candidates(run),
        datasets=_datasets(run, {spec.name: spec for spec in specs}),
    )


def _candidates(run: StoredRun) -> tuple[dict[str, Any], ...]:
    found: dict[str, dict[str, Any]] = {}
    for one in run.trials:
        key = one.configuration
        entry = found.setdefault(
            str(key),
            {
                "candidate": key.candidate,
                "model": without_secrets(key.model),
                "method": key.method,
                "hyperparameters": key.hyperparameters,
                "seeds": [],
                "weights": one.trial.weights_fingerprint,
            },
        )
        if one.trial.seed not in entry["seeds"]:
            entry["seeds"].append(one.trial.seed)
    return tuple({**entry, "seeds": ", ".join(map(str, entry["seeds"]))} for entry in found.values())


def _datasets(run: StoredRun, specs: Mapping[str, DatasetSpec]) -> tuple[dict[str, Any], ...]:
    found: dict[str, dict[str, Any]] = {}
    for one in run.trials:
        key, spec = one.trial.dataset, specs.get(one.trial.dataset.name)
        found.setdefault(
            key.name,
            {
                "dataset": key.name,
                "task": key.task,
                "source": without_secrets(" ".join(filter(None, [spec.source, spec.config]))) if spec else "",
                "training rows at most": (spec.limit.train or "all") if spec else "",
                "examples": one.row.num_examples,
                "labels": len(key.labels),
                "data": key.fingerprint,
            },
        )
    return tuple(found.values())


def _devices(trials: Any) -> dict[str, str]:
    """What the trials ran on, of environment.json's list of what they were made on."""
    found: dict[str, set[str]] = {name: set() for name in ("device", "device_name", "dtype", "threads")}
    for one in trials if isinstance(trials, list) else ():
        for part in ("fit", "score"):
            for name, values in found.items():
                values.update(str(value) for value in one.get(part, {}).get(name, ()) if value != "")
    return {_SHOWN.get(name, name): ", ".join(sorted(values)) for name, values in found.items() if values}


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(one) for key, one in value.items()} if isinstance(value, dict) else {}
