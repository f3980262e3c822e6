"""Why two trials of one cell may differ: what their rows say of weights, data, code, libraries and devices.

causes(pairs)            # ["weights 3f2a91bc → 77e0d1a4", "torch 2.12.0 → 2.13.0 (fit)"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raybench.core.identity import canonical_json
from raybench.results.made_on import joined, made_on
from raybench.results.matching import Pair
from raybench.store.trials import TrialRow

__all__ = ["causes"]

_WORDS = {
    "model": "model",
    "revision": "revision",
    "weights_fingerprint": "weights",
    "method": "method",
    "data_fingerprint": "data",
    "labels": "labels",
    "statistics": "statistics of the training targets",
    "code": "code",
    "task": "task",
    "task_config": "task_config",
    "max_length": "max_length",
}
_MADE_ON = {"device": "device", "device_name": "processor", "dtype": "dtype", "threads": "threads"}
_HASHES = ("weights_fingerprint", "data_fingerprint")
_SHOWN = 60


def causes(pairs: Sequence[Pair]) -> list[str]:
    """What differs between the runs before and after, over all seeds of a cell; never empty."""
    before, after = [pair.before.row for pair in pairs], [pair.after.row for pair in pairs]
    found = [
        _change(word, *(_identity(rows[0], name) for rows in (before, after)))
        for name, word in _WORDS.items()
        if before[0].identity.get(name) != after[0].identity.get(name)
    ]
    settings = [rows[0].identity.get("hyperparameters", {}) for rows in (before, after)]
    for name in sorted(settings[0].keys() | settings[1].keys()):
        ours, theirs = (canonical_json(one.get(name)) for one in settings)
        if ours != theirs:
            found.append(_change(name, ours, theirs))
    found += _made_on(before, after)
    if found:
        return found
    if all(pair.is_one_trial for pair in pairs):
        return ["nothing that its rows tell: the same trial came out otherwise"]
    return ["nothing that its rows tell: raybench's own computation, or how the model is opened"]


def _identity(row: TrialRow, name: str) -> str:
    value = row.identity.get(name)
    return str(value)[:8] if name in _HASHES else value if isinstance(value, str) else canonical_json(value)


def _made_on(before: Sequence[TrialRow], after: Sequence[TrialRow]) -> list[str]:
    old, new = (joined(made_on(row.provenance) for row in rows) for rows in (before, after))
    changed: dict[str, list[str]] = {}
    for part in ("fit", "score"):
        ours, theirs = (_flat(side.get(part, {})) for side in (old, new))
        for word in ours.keys() & theirs.keys():  # what one of the two does not say is no change
            if ours[word] != theirs[word]:
                changed.setdefault(_change(word, ours[word], theirs[word]), []).append(part)
    return [f"{text} ({parts[0]})" if len(parts) == 1 else text for text, parts in sorted(changed.items())]


def _flat(part: Mapping[str, Any]) -> dict[str, str]:
    """What a fit or a scoring was made on, one word for each thing."""
    named = {_MADE_ON[name]: values for name, values in part.items() if name in _MADE_ON}
    return {name: ", ".join(map(str, values)) for name, values in {**named, **part.get("versions", {})}.items()}


def _change(word: str, before: str, after: str) -> str:
    return f"{word} {_cut(before)} → {_cut(after)}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
