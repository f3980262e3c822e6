"""Pydantic's findings as (path, message) with what was given and what would do.

Known keys come from the JSON schema, so a suggestion never lags behind the models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from raybench.core.suggestion import closest, did_you_mean
from raybench.job.source_map import Path

__all__ = ["explain"]

_MAX_SHOWN = 60
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "text without * and control characters",
    "string_too_short": "text that is not empty",
}


def explain(error: ValidationError, data: Any, schema: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Every finding of a validation as its path in the file and a message."""
    findings = error.errors(include_url=False)
    # pydantic calls a list too short when all its items are wrong: the items' own findings say it
    explained = [
        _one(dict(found), data, schema) for found in findings if found["type"] != "too_short" or not found["input"]
    ]
    # `tsak` for `task` is one mistake, not an unknown key and a missing one
    mistyped = {(one.path[:-1], one.meant) for one in explained if one.meant is not None}
    return [(one.path, one.message) for one in explained if (one.path, one.missing) not in mistyped]


def shown(value: Any) -> str:
    """A value as YAML's flow style would hold it, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


class _Explained(NamedTuple):
    path: Path
    message: str
    missing: str | None = None  # the key that is not there
    meant: str | None = None  # the key that an unknown one is near to


def _one(finding: dict[str, Any], data: Any, schema: Mapping[str, Any]) -> _Explained:
    path, kind, context = tuple(finding["loc"]), finding["type"], finding.get("ctx", {})
    if kind == "missing":
        parent, key = path[:-1], str(path[-1])
        meaning = _properties(schema, parent).get(key, {}).get("description", "")
        return _Explained(parent, f"{key} is missing" + (f": {meaning}" if meaning else ""), missing=key)
    path = _inside(path, data)
    given = f"got {shown(finding['input'])}"
    if kind == "extra_forbidden":
        known = _properties(schema, path[:-1])
        message = "unknown key" + did_you_mean(str(path[-1]), known)
        meant = closest(str(path[-1]), known)
        if path[0] == "candidates" and meant is None:
            message += f"; a hyperparameter goes into method: {{name: …, {path[-1]}: …}}"
        return _Explained(path, message, meant=meant)
    if kind == "value_error":
        reason = str(context["error"])
        message = (
            f"{reason}, {given}" if reason.startswith("want ") and not isinstance(finding["input"], dict) else reason
        )
    elif kind == "literal_error":
        expected = context["expected"].replace("'", "")
        message = f"want {expected}, {given}"
        if isinstance(finding["input"], str):
            message += did_you_mean(finding["input"], expected.replace(" or ", ", ").split(", "))
    elif kind in ("greater_than_equal", "greater_than", "less_than"):
        bound = context.get("ge", context.get("gt", context.get("lt")))
        relation = {"greater_than_equal": "of at least", "greater_than": "above", "less_than": "below"}[kind]
        message = f"want a number {relation} {bound}, {given}"
    elif kind == "string_too_long":
        message = f"want text of at most {context['max_length']} characters, {given}"
    elif kind == "too_short":
        message = "want at least one item, got none"
    elif kind in _WANTED:
        message = f"want {_WANTED[kind]}, {given}"
        if kind == "string_type" and isinstance(finding["input"], (bool, int, float)):
            message += "; put it in quotes"
    else:
        message = f"{finding['msg']}, {given}"
    return _Explained(path, message)


def _inside(path: Path, data: Any) -> Path:
    """The longest start of a path that leads somewhere in the file: pydantic adds steps of its own."""
    for depth, part in enumerate(path):
        holds = part in data if isinstance(data, dict) else isinstance(data, list) and part in range(len(data))
        if not holds:
            return path[:depth]
        data = data[part]
    return path


def _properties(schema: Mapping[str, Any], path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The schema's keys of the mapping at a path."""
    node: Mapping[str, Any] = schema
    for part in (*path, None):
        for choice in node.get("anyOf", ()):
            if "$ref" in choice or choice.get("type") in ("object", "array"):
                node = choice
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        if part is None:
            break
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
    return node.get("properties", {})
