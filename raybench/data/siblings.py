"""A dataset like another: the training rows are the other's, to the bit, and so are the labels.

    perturbed(spec, original, columns)      # its test rows, perturbed: the same ids, so each pairs with what it was
    elsewhere(spec, original, own)          # test rows of another source

The labels of another source must be among those that are fitted: nothing else could be answered right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Column, slice_column
from raybench.core.errors import DataError
from raybench.core.identity import bytes_hash, content_hash
from raybench.data.fingerprint import RowHashes
from raybench.data.loaded import LoadedDataset
from raybench.data.perturbing import perturb_rows
from raybench.job.spec import DatasetSpec

__all__ = ["elsewhere", "perturbed"]


def perturbed(spec: DatasetSpec, original: LoadedDataset, columns: Iterable[Column]) -> LoadedDataset:
    """The original with its test rows perturbed; DataError where that changes none of them."""
    assert spec.perturb is not None
    before = original.splits["test"]
    test, is_changed = perturb_rows(before, spec.perturb, columns)
    told = ", ".join(f"{name} {strength:g}" for name, strength in spec.perturb.items())
    if not is_changed.any():
        raise DataError(f"none of the {test.num_rows} test rows is another after {told}", key=("perturb",))
    changed = [name for name in test.column_names if not test[name].equals(before[name])]
    content = RowHashes.of([test[name] for name in changed]).digests.tobytes()
    note = f"{spec.name}: {is_changed.sum():,} of {test.num_rows:,} test rows of {spec.like} are others by {told}"
    return replace(
        original,
        name=spec.name,
        splits={**original.splits, "test": test},
        fingerprint=content_hash([original.fingerprint, "perturbed", bytes_hash([content])]),
        notes=(note,),
    )


def elsewhere(spec: DatasetSpec, original: LoadedDataset, own: LoadedDataset) -> LoadedDataset:
    """The original's training rows with the test rows of `own`, which has been read with the original's labels."""
    ours, theirs = (_inputs(one.splits["test"]) for one in (own, original))
    if ours != theirs:
        raise DataError(
            f"its rows have {', '.join(ours)}, and those of {spec.like!r}, which are fitted, have {', '.join(theirs)}",
            key=("columns",),
        )
    test = own.splits["test"]
    notes = [f"{spec.name}: what is scored here is fitted on the training rows of {spec.like}"]
    if "train" in original.splits and "id" not in spec.columns:
        train = original.splits["train"]["id"].combine_chunks()
        if shared := int(pc.sum(pc.is_in(test["id"], value_set=train)).as_py() or 0):
            notes.append(f"{spec.name}: {shared} of {test.num_rows} test rows have the content of a train row")
    return replace(
        original,
        name=spec.name,
        splits={**original.splits, "test": test},
        fingerprint=content_hash([original.fingerprint, "tested on", own.fingerprint]),
        notes=(*notes, *own.notes),
    )


def _inputs(table: pa.Table) -> list[str]:
    return sorted(name for name in table.column_names if name != "id" and not name.startswith(slice_column("")))
