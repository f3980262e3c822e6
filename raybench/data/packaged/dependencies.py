"""Which Debian packages go together: a package has taken what it depends on."""

from __future__ import annotations

import gzip
import lzma
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from raybench.core.errors import DataError

__all__ = ["debian_dependencies"]

_WANTED = ("Package", "Pre-Depends", "Depends", "Description")
_OPENED: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}


def debian_dependencies(index: str = "Packages", fewest: int = 20, least: int = 4) -> pa.Table:
    """Columns user (a package), item (what it depends on) and text (the item and its line of description).

    Of a Debian Packages index (facts about packages; descriptions under each package's own licence), as
    `apt-cache dumpavail` or a mirror gives it, plain, .gz or .xz. Kept are items that `fewest` packages depend on, and
    packages that depend on `least` of those; of alternatives the first counts. There is no time in it.
    """
    path = Path(index)
    if not path.is_file():
        raise DataError(
            f"no index of packages at {index}: apt-cache dumpavail > Packages, on Debian or a system made from it; and "
            "config: its full path",
            key=("source",),
        )
    wants: dict[str, list[str]] = {}
    described: dict[str, str] = {}
    for fields in _stanzas(path):
        described.setdefault(fields["Package"], fields.get("Description", ""))
        wants.setdefault(fields["Package"], _names(fields.get("Pre-Depends", ""), fields.get("Depends", "")))
    counts = Counter(item for items in wants.values() for item in items)
    kept = {user: [item for item in items if counts[item] >= fewest] for user, items in wants.items()}
    pairs = [(user, item) for user, items in kept.items() if len(items) >= least for item in items]
    if not pairs:
        raise DataError(f"{index} is no index of packages with dependencies", key=("source",))
    texts = [f"{item}: {described[item]}" if described.get(item) else item for _, item in pairs]
    return pa.table({"user": [user for user, _ in pairs], "item": [item for _, item in pairs], "text": texts})


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    with _OPENED.get(path.suffix, open)(path, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, colon, value = line.partition(":")
            if not line.strip():
                if "Package" in fields:
                    yield fields
                fields = {}
            elif colon and name in _WANTED:
                fields[name] = value.strip()
    if "Package" in fields:
        yield fields


def _names(*relations: str) -> list[str]:
    """The first alternative of each relation, without versions and architectures, each once."""
    firsts = (part.partition("|")[0].strip() for relation in relations for part in relation.split(","))
    return list(dict.fromkeys(re.split(r"[\s(:\[]", first)[0] for first in firsts if first))
