"""Candidates and datasets made whole: names given, paths absolute, a glob or all baselines a candidate each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raybench.core.errors import JobError
from raybench.job.paths import default_name, file_path, finds_files, folders, input_path, is_glob
from raybench.job.spec import ALL_BASELINES, FILE_FORMATS, CandidateSpec, DatasetSpec

_NAMES_A_MODEL = "feature_network"  # an option of a task

__all__ = ["complete_candidates", "complete_dataset"]


def complete_candidates(spec: CandidateSpec, directory: Path) -> list[CandidateSpec]:
    """The candidate, or one for every folder that its glob finds, or for every baseline there is."""
    if spec.baseline == ALL_BASELINES:
        from raybench.recipes.baselines.catalog import BASELINES

        prefix = f"{spec.name}/" if spec.name else ""
        every = [spec.model_copy(update={"baseline": name, "name": prefix + name}) for name in BASELINES]
        for one in every:
            one._where_it_fits = True
        return every
    if spec.baseline is not None:
        return [spec.model_copy(update={"name": spec.name or default_name(spec.baseline)})]
    key, given = ("model", spec.model) if spec.model is not None else ("images", str(spec.images))
    update: dict[str, Any] = {"tokenizer": _input(spec.tokenizer, directory, "tokenizer")}
    if not is_glob(given) or (key == "images" and finds_files(given, directory)):
        name = spec.name or default_name(given)
        whole = file_path(given, directory) if is_glob(given) else _input(given, directory, key)
        update |= {key: whole, "name": name}
        return [spec.model_copy(update=update)]
    try:
        found = folders(given, directory)
    except JobError as error:
        raise JobError(str(error), key=(key,)) from None
    prefix = f"{spec.name}/" if spec.name else ""
    return [
        spec.model_copy(update=update | {key: path, "name": prefix + name})
        for path, name in zip(found, _distinct_names(found), strict=True)
    ]


def complete_dataset(spec: DatasetSpec, directory: Path) -> DatasetSpec:
    """The dataset with absolute paths and a name; what is inside a hub repository stays relative to it."""
    named = (default_name(spec.source), spec.config) if spec.source else (spec.like, *(spec.perturb or ()))
    update: dict[str, Any] = {"name": spec.name or "-".join(filter(None, named))}
    if spec.source and spec.source not in FILE_FORMATS:
        update["source"] = _input(spec.source, directory, "source")
    elif spec.source and spec.data_files:
        try:
            update["data_files"] = {
                split: tuple(file_path(file, directory) for file in files) for split, files in spec.data_files.items()
            }
        except JobError as error:
            raise JobError(str(error), key=("data_files",)) from None
    if isinstance(looks := spec.task_config.get(_NAMES_A_MODEL), str):
        whole = _input(looks, directory, _NAMES_A_MODEL)
        update["task_config"] = {**spec.task_config, _NAMES_A_MODEL: whole}
    return spec.model_copy(update=update)


def _input(reference: str | None, directory: Path, key: str) -> str | None:
    try:
        return None if reference is None else input_path(reference, directory)
    except JobError as error:
        raise JobError(str(error), key=(key,)) from None


def _distinct_names(paths: list[str]) -> list[str]:
    """The last part of each path, with as many parts before it as tell them apart."""
    parts = [Path(path).parts for path in paths]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return paths
