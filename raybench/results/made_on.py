"""What numbers were made on: of each trial, fit and scoring apart, and what a table says where it mixes several.

made_on(row.provenance)             # {"fit": {"device": ["cpu"], …}, "score": {…, "versions": {"torch": ["2.13.0"]}}}
mixed_notes(entries)                # ["trials ran with torch 2.12.0 and 2.13.0: last digits may differ between them"]
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from raybench.core.identity import canonical_json
from raybench.results.entry import Configuration, Entry

__all__ = ["distinct", "joined", "made_on", "mixed_notes"]

_WORDS = {"device": "device", "device_name": "processor", "dtype": "dtype", "threads": "threads"}

MadeOn = Mapping[str, Mapping[str, Any]]  # fit and score → what of it → every value, sorted


def made_on(provenance: Mapping[str, Any]) -> MadeOn:
    """Of a trial's row; "fit" is empty where nothing was fitted, or by a version that did not say."""
    fit = provenance.get("fit", {})
    of_fit: dict[str, Any] = {name: [fit[name]] for name in _WORDS if name in fit}
    if "versions" in fit:
        of_fit["versions"] = {library: [version] for library, version in fit["versions"].items()}
    return {"fit": of_fit, "score": {name: provenance[name] for name in (*_WORDS, "versions") if name in provenance}}


def joined(several: Iterable[MadeOn]) -> MadeOn:
    """Of several trials in one, as the seeds of a configuration."""
    values: dict[str, dict[str, set[Any]]] = {"fit": defaultdict(set), "score": defaultdict(set)}
    versions: dict[str, dict[str, set[str]]] = {"fit": defaultdict(set), "score": defaultdict(set)}
    for one in several:
        for part, named in one.items():
            for name, found in named.items():
                if name == "versions":
                    for library, released in found.items():
                        versions[part][library].update(released)
                else:
                    values[part][name].update(value for value in found if value != "")  # older shards say ""
    return {
        part: _sorted(values[part]) | ({"versions": _sorted(versions[part])} if versions[part] else {})
        for part in ("fit", "score")
    }


def mixed_notes(entries: Sequence[Entry]) -> list[str]:
    """Numbers from other devices, precisions, thread counts or libraries may differ in their last bits: say so.

    Baselines run on the CPU whatever the others run on, and candidates may ask for different precisions; so devices are
    compared among baselines and among the others, precisions within a configuration.
    """
    everything: dict[str, list[Entry]] = defaultdict(list)
    alike: dict[Any, list[Entry]] = defaultdict(list)
    for entry in entries:
        everything["all"].append(entry)
        everything["baselines" if entry.trial.model.baseline is not None else "models"].append(entry)
        alike[Configuration.of(entry.trial), entry.trial.dataset.name].append(entry)
    lines: dict[str, None] = {}
    for group, some in everything.items():
        whole = joined(entry.made_on for entry in some)
        for name in ("device", "device_name") if group != "all" else ("threads",):
            lines |= _mixed(_WORDS[name], {value for part in whole.values() for value in part.get(name, ())})
        if group == "all":
            for library in sorted({key for part in whole.values() for key in part.get("versions", ())}):
                released = {one for part in whole.values() for one in part.get("versions", {}).get(library, ())}
                lines |= _mixed(library, released)
    for some in alike.values():
        for part in joined(entry.made_on for entry in some).values():
            lines |= _mixed("dtype", set(part.get("dtype", ())))
    return list(lines)


def distinct(entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    """What the trials were made on, which need not be where their tables are written, and how many on each."""
    found: dict[str, tuple[MadeOn, list[str]]] = {}
    for entry in entries:
        if entry.made_on:
            found.setdefault(canonical_json(entry.made_on), (entry.made_on, []))[1].append(entry.trial.trial_id)
    for _, (made, trial_ids) in sorted(found.items()):
        yield {**made, "num_trials": len(set(trial_ids))}


def _mixed(name: str, values: set[Any]) -> dict[str, None]:
    if len(values) < 2:
        return {}
    listed = " and ".join(sorted(map(str, values)))
    return {f"trials ran with {name} {listed}: last digits may differ between them": None}


def _sorted(values: Mapping[str, set[Any]]) -> dict[str, list[Any]]:
    return {name: sorted(found) for name, found in sorted(values.items())}
