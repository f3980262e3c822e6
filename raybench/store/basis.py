"""What a scored shard was scored on: batch plan, checkpoint, measures and libraries, by one hash.

Shards of one trial add up only where this is equal; what was scored on another basis is put aside and done anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raybench.core.identity import content_hash
from raybench.store.provenance import library_releases

__all__ = ["basis_of", "measures_of"]

_LENGTH = 16  # characters: it stands in file names


def measures_of(metrics: Sequence[str], config: Mapping[str, Any], code: Mapping[str, str]) -> str:
    """The hash of what is measured, with its options and the source of metrics that are the user's own."""
    return content_hash([sorted(metrics), dict(config), *filter(None, [dict(code)])])


def basis_of(*, plan: str, checkpoint: str, measures: str) -> str:
    """The hash of a batch plan's digest, a checkpoint's ("" where nothing is fitted), the measures', the libraries."""
    return content_hash([plan, checkpoint, measures, library_releases()])[:_LENGTH]
