"""What a comparison of two runs is held against: flags, or a file that says it once for every night.

gate = load_gate("gate.yaml")           # JobError: every line with file, line, key, given, wanted

min_difference: {accuracy: 0.01, log_loss: 0.02}     # or one number for all
alpha: 0.05
metrics: [accuracy]
candidates: ["minilm-*"]
datasets: [bbc-100]
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from raybench.core.errors import JobError
from raybench.core.suggestion import did_you_mean
from raybench.job.explain import explain
from raybench.job.source_map import Path, read_yaml
from raybench.metrics.catalog import find

__all__ = ["Gate", "load_gate", "make_gate"]

_ALL = "*"  # the amount of metrics that a mapping does not name
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _amounts(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {_ALL: value}
    if not isinstance(value, dict):
        raise ValueError("want a number from 0, or {metric: number}")
    return value


_NumberOrMapping = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "object"}]})
_Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class Gate(BaseModel):
    """What counts as a regression, and of what."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    min_difference: Annotated[dict[str, _Amount], BeforeValidator(_amounts), _NumberOrMapping] = Field(
        default={_ALL: 0.0}, description="the smallest drop that matters, in the metric's unit; or {metric: amount}"
    )
    alpha: float = Field(default=0.05, gt=0, lt=1, description="the false-discovery rate over all comparisons")
    metrics: _Patterns = Field(default=(), description="what is compared; empty: what ranks each dataset")
    candidates: _Patterns = Field(default=("*",), description="names or patterns such as minilm-*")
    datasets: _Patterns = Field(default=("*",), description="names or patterns")

    def matters(self, metric: str) -> float:
        """The smallest drop of a metric that matters; 0 of one that a mapping does not name."""
        return self.min_difference.get(metric, self.min_difference.get(_ALL, 0.0))

    def wants(self, candidate: str, dataset: str) -> bool:
        """Whether a candidate on a dataset is to be compared."""
        return _any(candidate, self.candidates) and _any(dataset, self.datasets)


def load_gate(path: str) -> Gate:
    """The gate of a file; JobError for a file that cannot be read or does not say what it must."""
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JobError(f"{path}: no such gate file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    data, places = read_yaml(text, path)
    if not isinstance(data, dict):
        raise JobError(f"{path}:1: want a mapping such as min_difference: 0.01, got {type(data).__name__}")
    try:
        gate = Gate.model_validate(data)
    except ValidationError as error:
        found = sorted({(places.line(at), f"{places.where(at)}: {what}") for at, what in explain(error, data, _SCHEMA)})
        raise JobError("\n".join(line for _, line in found)) from None
    named: list[tuple[Path, str]] = [(("metrics", index), name) for index, name in enumerate(gate.metrics)]
    named += [(("min_difference", name), name) for name in gate.min_difference if name != _ALL]
    for at, name in named:
        try:
            find(name)
        except ValueError as error:
            raise JobError(f"{places.where(at)}: {error}") from None
        if gate.metrics and name not in gate.metrics:
            raise JobError(f"{places.where(at)}: not among the gate's metrics{did_you_mean(name, gate.metrics)}")
    return gate


def make_gate(path: str | None, *, min_difference: float | None, alpha: float | None, metrics: tuple[str, ...]) -> Gate:
    """A file's gate, or the default one, with what flags say in its place."""
    gate = load_gate(path) if path is not None else Gate()
    for name in metrics:
        find(name)
    given = {
        "min_difference": None if min_difference is None else {_ALL: min_difference},
        "alpha": alpha,
        "metrics": metrics or None,
    }
    return gate.model_copy(update={name: value for name, value in given.items() if value is not None})


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


_SCHEMA = Gate.model_json_schema()
