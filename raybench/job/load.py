"""A job file read, checked and made whole; all that is wrong in it is told at once, one line each.

    job = load_job("jobs/x.yaml")                       # JobError: every line with file, line, path, given, wanted
    job = parse_job("name: x\n…", "jobs/x.yaml")        # the same for text at hand

Checks what the file alone can show, and names against the catalogues; opens no model and no data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import ValidationError

from raybench.core.errors import JobError
from raybench.job.catalogs import check_names
from raybench.job.completion import complete_candidates, complete_dataset
from raybench.job.explain import explain
from raybench.job.halving import check_halving
from raybench.job.likeness import with_originals
from raybench.job.overrides import with_settings
from raybench.job.paths import expand_variables
from raybench.job.rank_by import weights_of
from raybench.job.source_map import Path, SourceMap, read_yaml
from raybench.job.spec import CandidateSpec, DatasetSpec, Job, first_repeated

__all__ = ["job_schema", "load_job", "parse_job"]

Problem = tuple[Path, str]
_MAX_TRIALS = 100_000  # a plan holds each of them, with its hashes and its rows in the tables


def load_job(path: str | FilePath, settings: Sequence[str] = ()) -> Job:
    """The job of a file; JobError for a file that cannot be read or does not say what it must.

    `settings` are values in place of the file's, such as "seeds=[0, 1]"; see `overrides.with_settings`.
    """
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JobError(f"{path}: no such job file") from None
    except UnicodeDecodeError as error:
        raise JobError(f"{path}: cannot be read: {error}; save it as UTF-8") from None
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {error.strerror}") from None
    directory = str(FilePath(path).absolute().parent)
    if directory not in sys.path:  # `module:attribute` may name a module beside the job file
        sys.path.append(directory)
    return parse_job(text, str(path), settings)


def parse_job(text: str, filename: str = "job.yaml", settings: Sequence[str] = ()) -> Job:
    """The job of a text; `filename` is named in errors and its directory is where relative paths start."""
    data, source_map = read_yaml(text, filename)
    if settings:  # what a run keeps of its job is what it did
        data = with_settings(data, settings)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if not isinstance(data, dict):
        given = "an empty file" if data is None else "a list" if isinstance(data, list) else "a single value"
        raise JobError(f"{filename}:1: want a mapping with name, candidates and datasets, got {given}")
    try:
        job = Job.model_validate(data)
    except ValidationError as error:
        raise _failure(explain(error, data, job_schema()), source_map) from None
    problems: list[Problem] = []
    directory = FilePath(filename).absolute().parent
    candidates = _each(job.candidates, "candidates", lambda spec: complete_candidates(spec, directory), problems)
    datasets = _each(job.datasets, "datasets", lambda spec: [complete_dataset(spec, directory)], problems)
    try:
        whole = with_originals(datasets) if len(datasets) == len(job.datasets) else None
    except JobError as error:
        problems.append((("datasets", *error.key), str(error)))
        whole = None
    datasets = whole if whole is not None else [one for one in datasets if one.like is None]
    problems += _repeated(candidates, "candidate", source_map) + _repeated(datasets, "dataset", source_map)
    problems += [
        ((key, index), f"{values[index]} stands here twice")
        for key, values in (("seeds", job.seeds), ("metrics", job.metrics))
        if (index := first_repeated(values)) is not None
    ]
    too_many = list(_too_many_trials(job, candidates, datasets))
    update: dict[str, Any] = {"candidates": tuple(candidates), "datasets": tuple(datasets)}
    if job.metrics and job.rank_by:
        update["metrics"] = tuple(dict.fromkeys((*job.metrics, *weights_of(job.rank_by))))
    try:
        update["store"] = expand_variables(job.store)
    except JobError as error:
        problems.append((("store",), str(error)))
    job = job.model_copy(update=update)
    job._source_map, job._text, job._directory = source_map, text, directory
    problems += too_many or [*check_halving(job), *check_names(job)]
    if problems:
        raise _failure(problems, source_map)
    return job


def job_schema() -> dict[str, Any]:
    """The job file's JSON schema, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Job.model_json_schema()}


def _each(specs: Iterable[Any], key: str, make: Callable[[Any], list[Any]], problems: list[Problem]) -> list[Any]:
    """What is made of each spec, each noting where it stands in the file."""
    made = []
    for index, spec in enumerate(specs):
        try:
            results = make(spec)
        except JobError as error:
            problems.append(((key, index, *error.key), str(error)))
            continue
        for result in results:
            result._path = (key, index)
        made += results
    return made


def _too_many_trials(
    job: Job, candidates: Sequence[CandidateSpec], datasets: Sequence[DatasetSpec]
) -> Iterator[Problem]:
    """More trials than a plan can hold, counted without making them, placed at the candidate that has the most."""
    counts = [one.num_configurations * len(one.seeds or job.seeds) * len(datasets) for one in candidates]
    if sum(counts) > _MAX_TRIALS:
        largest = max(zip(counts, candidates, strict=True), key=lambda one: one[0])
        yield (
            (*largest[1]._path, "grid"),
            f"{largest[0]:,} trials ({largest[1].num_configurations:,} configurations × {len(datasets)} datasets × "
            f"seeds), {sum(counts):,} in all; at most {_MAX_TRIALS:,} would do: try fewer values",
        )


def _repeated(specs: Iterable[Any], noun: str, source_map: SourceMap) -> list[Problem]:
    first: dict[str, Path] = {}
    problems: list[Problem] = []
    for spec in specs:
        if spec.name not in first:
            first[spec.name] = spec._path
            continue
        line = source_map.line(first[spec.name])
        message = f"two {noun}s are named {spec.name!r}, the first on line {line}; give one of them another name"
        problems.append(((*spec._path, "name"), message))
    return problems


def _failure(problems: Iterable[Problem], source_map: SourceMap) -> JobError:
    lines = sorted({(source_map.line(path), f"{source_map.where(path)}: {message}") for path, message in problems})
    return JobError("\n".join(line for _, line in lines))
