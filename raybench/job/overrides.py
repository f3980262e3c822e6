"""What a command says in place of a job file: `--set key=value`, and `--only` some candidates or datasets.

data = with_settings(data, ["seeds=[0, 1]", "candidates.minilm.method.epochs=3"])
job = only(job, ["minilm-*", "bbc-100"])
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

from raybench.core.errors import JobError
from raybench.core.suggestion import did_you_mean
from raybench.job.source_map import read_yaml
from raybench.job.spec import Job

__all__ = ["only", "with_settings"]

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]")


def with_settings(data: Any, settings: Sequence[str]) -> Any:
    """The file's values with others in their place; JobError for a setting that leads nowhere.

    A key is dotted as errors write it, `candidates[2].method.epochs`, or by name, `candidates.minilm.method.epochs`;
    its value is YAML. Whether there is such a key is told when the whole job is read.
    """
    data = deepcopy(data)
    for setting in settings:
        key, equals, text = setting.partition("=")
        steps = [name or int(place) for name, place in _STEP.findall(key)]
        if not equals or not steps or _STEP.sub("", key):
            raise JobError(f"--set {setting}: want key=value, such as seeds=[0,1] or candidates[2].method.epochs=3")
        value, _ = read_yaml(text, f"--set {key}")
        _put(data, steps, value, f"--set {key}")
    return data


def only(job: Job, names: Sequence[str]) -> Job:
    """The job with the candidates and the datasets of these names or patterns; all of a kind of which none is named.

    JobError for a name that is neither.
    """
    candidates, datasets = (tuple(one.name for one in specs) for specs in (job.candidates, job.datasets))
    kept: set[str] = set()
    for name in names:
        found = {one for one in (*candidates, *datasets) if one == name or fnmatchcase(one, name)}
        if not found:
            known = did_you_mean(name, (*candidates, *datasets))
            raise JobError(f"--only {name}: no candidate and no dataset of the job{known}")
        kept |= found
    update: dict[str, Any] = {}
    if kept & set(candidates):
        update["candidates"] = tuple(one for one in job.candidates if one.name in kept)
    if kept & set(datasets):
        update["datasets"] = tuple(one for one in job.datasets if one.name in kept)
    return job.model_copy(update=update)


def _put(data: Any, steps: Sequence[str | int], value: Any, what: str) -> None:
    """Set a value in place, making mappings on the way; of a method that is a name alone too."""
    node = data
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(node, list):
            step = _index(node, step, what)
        elif not isinstance(node, dict) or isinstance(step, int):
            raise JobError(f"{what}: nothing stands below {step!r}")
        if following is None:
            node[step] = value
            return
        inner = node.get(step) if isinstance(node, dict) else node[step]
        if inner is None:
            inner = node[step] = {}
        elif step == "method" and isinstance(inner, str):
            inner = node[step] = {"name": inner}
        node = inner


def _index(items: list[Any], step: str | int, what: str) -> int:
    """Where an item of a list is, by place or by its name."""
    if isinstance(step, int):
        if step >= len(items):
            raise JobError(f"{what}: there are {len(items)} items, numbered from 0")
        return step
    names = [str(one.get("name", one.get("baseline", ""))) if isinstance(one, dict) else "" for one in items]
    if step not in names:
        raise JobError(f"{what}: none is named {step!r}{did_you_mean(step, filter(None, names))}")
    return names.index(step)
