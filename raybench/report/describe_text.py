"""What can be written in a job file, in words: its keys, tasks, methods, baselines and metrics.

description("full")          # its hyperparameters: default, meaning, what may be given
description("resources")     # the keys of a part of the job file
description()                # all names there are
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from raybench.core.catalog import load_entry
from raybench.core.errors import JobError
from raybench.core.suggestion import closest
from raybench.job.resources import BudgetSpec, HalvingSpec, PriceSpec, RaceSpec, Resources
from raybench.job.spec import CandidateSpec, DatasetSpec, Job, LimitSpec, SplitsSpec
from raybench.metrics.catalog import METRICS
from raybench.recipes.baselines.catalog import BASELINES, get_baseline
from raybench.recipes.methods.catalog import METHODS, get_method
from raybench.tasks.catalog import TASKS, get_task

__all__ = ["description"]

JOB_PARTS: Mapping[str, type[BaseModel]] = {
    "job": Job,
    "candidates": CandidateSpec,
    "datasets": DatasetSpec,
    "splits": SplitsSpec,
    "limit": LimitSpec,
    "resources": Resources,
    "race": RaceSpec,
    "halving": HalvingSpec,
    "budget": BudgetSpec,
    "prices": PriceSpec,
}
_WIDTH = 118
_MOST_MEANT = 6


def description(name: str | None = None) -> str:
    """What a name means in a job file, in lines; without a name all names there are.

    Raises:
        JobError, MetricError: nothing has this name.
    """
    kinds: dict[str, tuple[Iterable[str], Callable[[str], Iterator[str]]]] = {
        "parts of the job file": (JOB_PARTS, _of_job_part),
        "tasks": (TASKS, _of_task),
        "methods": (METHODS, _of_method),
        "baselines": (BASELINES, _of_baseline),
        "metrics": (METRICS, _of_metric),
    }
    if name is None:
        listed = [[title, *_wrapped(", ".join(names), "  ")] for title, (names, _) in kinds.items()]
        told = [line for lines in listed for line in lines]
        return "\n".join([*told, "`raybench describe NAME` tells what one of them is and takes."])
    told = [line for names, lines in kinds.values() if name in names for line in lines(name)]
    if not told and "_at_" in name:
        told = list(_of_metric(name))
    if not told:
        known = [one for names, _ in kinds.values() for one in names]
        longer = [one for one in known if name and name in one]  # tfidf: tfidf-logistic, tfidf-ridge, …
        meant = ", ".join(longer[:_MOST_MEANT]) or closest(name, known)
        hint = f"did you mean {meant}?" if meant else "`raybench describe` lists all names"
        raise JobError(f"nothing is called {name!r}; {hint}")
    return "\n".join(told)


def _of_job_part(name: str) -> Iterator[str]:
    model = JOB_PARTS[name]
    yield f"{name}: {_first_line(model)}"
    yield from _fields(model)


def _of_method(name: str) -> Iterator[str]:
    yield f"{name}, a method: {_summary('method', name, METHODS)}"
    yield "  hyperparameters, in `method: {name: …}` or `grid:`"
    yield from _fields(get_method(name).hyperparameters, "    ")


def _of_baseline(name: str) -> Iterator[str]:
    yield f"{name}, a baseline: {_summary('baseline', name, BASELINES)}"
    yield from _listed("does", get_baseline(name).tasks)


def _of_task(name: str) -> Iterator[str]:
    task = get_task(name)
    yield f"{name}, a task: {_summary('task', name, TASKS)}"
    yield from _listed("columns", [column.name + ("" if column.required else "?") for column in task.columns])
    yield from _listed("metrics", task.metrics)
    yield from _listed("ranks by", [task.primary])
    yield from _listed("baselines", [one for one in BASELINES if name in get_baseline(one).tasks])
    if task.options.model_fields:
        yield "  options, in `task_config:` beside those of its metrics"
        yield from _fields(task.options, "    ")


def _of_metric(name: str) -> Iterator[str]:
    from raybench.metrics import describe

    yield from str(describe(name)).replace(f"{name}:", f"{name}, a metric:", 1).splitlines()


def _fields(model: type[BaseModel], indent: str = "  ") -> Iterator[str]:
    properties = model.model_json_schema()["properties"]
    rows = []
    for name, field in model.model_fields.items():
        said = _allowed(properties[name])
        default = field.get_default(call_default_factory=True) if not field.is_required() else None
        shown = name if field.is_required() or _is_left_out(default) else f"{name} = {_value(default)}"
        rows.append((shown, (field.description or "") + (f" ({said})" if said else "")))
    width = min(34, max((len(shown) for shown, _ in rows), default=0))
    for shown, text in rows:
        if len(shown) > width:
            yield indent + shown
            shown = ""
        yield from _wrapped(text, f"{indent}{shown:<{width}}  ")


def _is_left_out(value: Any) -> bool:
    return value is None or value in ("", (), {}) or isinstance(value, BaseModel)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if value.strip() == value and "\n" not in value else repr(value)
    return json.dumps(value) if isinstance(value, (bool, tuple)) else str(value)


def _allowed(schema: Mapping[str, Any]) -> str:
    """What may be given, of a JSON schema: `an integer ≥ 1`; "" where that tells nothing."""
    if "anyOf" in schema:
        found = [_allowed(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(text for text in found if text))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = {"integer": "an integer", "number": "a number", "boolean": "true or false"}.get(schema.get("type", ""), "")
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {schema[bound]:g}" for bound, sign in bounds.items() if bound in schema]
    return f"{kind} {' and '.join(said)}".strip() if kind else ""


def _listed(title: str, names: Iterable[str]) -> list[str]:
    text = ", ".join(names)
    return _wrapped(text, f"  {title:<10}") if text else []


def _wrapped(text: str, start: str) -> list[str]:
    """The text behind `start`, its further lines below its first."""
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _summary(kind: str, name: str, table: Mapping[str, str]) -> str:
    """What the entry's module says of it, where that speaks of it alone; else what its class says first."""
    entry = load_entry(kind, name, table)
    module = _first_line(inspect.getmodule(entry))
    for start in (f"`{name}`: ", f"{name}: "):
        if module.startswith(start):
            return module.removeprefix(start)
    return _first_line(entry)


def _first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]
