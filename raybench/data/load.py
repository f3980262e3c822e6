"""A dataset as tasks read it: canonical columns, ids and order by content, labels, a fingerprint.

    dataset = load_dataset(spec, task.columns, job.directory)
    dataset.splits["test"]        # pa.Table: id, text, label
    dataset.labels                # ("business", "politics", …), what label indexes
    dataset.notes                 # what was decided for the user, in words

The order of rows comes from their content, not from the source: `limit: 100` is the first hundred of it, so it lies
within `limit: 300` and is the same on any machine, from any file format.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from raybench.core import Column, slice_column
from raybench.core.errors import DataError, summary
from raybench.data.broken import check_rows
from raybench.data.columns import Rows
from raybench.data.fingerprint import RowHashes, fingerprint
from raybench.data.images import check_images, decode_images
from raybench.data.interactions import by_user
from raybench.data.kinds import is_list
from raybench.data.labels import encode, encode_lists, flat_names, label_dictionary, refuse_strangers, refuse_unseen
from raybench.data.lengths import LENGTH, with_lengths
from raybench.data.loaded import LoadedDataset
from raybench.data.masks import decode_masks
from raybench.data.raw_split import SplitReader
from raybench.data.shared_sources import SharedSources
from raybench.data.siblings import elsewhere, perturbed
from raybench.data.sounds import check_sounds
from raybench.data.splits import CUT_FRACTION, choose_splits, cut
from raybench.job.spec import CUT, DatasetSpec

__all__ = ["LoadedDataset", "load_dataset"]

_CHECKS = {"image": check_images, "mask": decode_masks, "audio": check_sounds}
_THOROUGH = {**_CHECKS, "image": decode_images}  # what skip_broken asks for: none that is torn may be left


def load_dataset(
    spec: DatasetSpec,
    columns: tuple[Column, ...],
    directory: Path,
    original: LoadedDataset | None = None,
    sources: SharedSources | None = None,
) -> LoadedDataset:
    """The rows that a job asks for; DataError, one line that begins with the dataset's name, if they can't be had.

    `original` is the dataset that it is like, where whoever calls has read it; `sources` are shared with others.
    """
    directory = Path(directory)
    sources = SharedSources([spec]) if sources is None else sources
    if spec.original is not None and original is None:
        original = load_dataset(spec.original, columns, directory)
    try:
        if original is not None and spec.perturb:
            sources.pass_over(spec)
            return perturbed(spec, original, columns)
        own = _load(spec, columns, directory, original, sources)
        return own if original is None else elsewhere(spec, original, own)
    except DataError as error:
        raise DataError(f"dataset {spec.name}: {error}", key=error.key) from error.__cause__
    except (Exception, SystemExit) as error:  # what a user's rows made a library raise that no rule above has foreseen
        raise DataError(f"dataset {spec.name}: {summary(error)}") from error


def _load(
    spec: DatasetSpec,
    columns: tuple[Column, ...],
    directory: Path,
    original: LoadedDataset | None,
    sources: SharedSources,
) -> LoadedDataset:
    """The source's rows; with an original the test rows alone, their labels in its places."""
    with sources.opened(spec, directory) as source:
        chosen = choose_splits(spec.splits, source.readers)
        if original is not None:
            chosen = {"test": chosen.get("test") or chosen["train"]}
        found = [name for name in spec.slices if name != LENGTH or _have(source.readers, chosen.values(), LENGTH)]
        inputs, columns = columns, (*columns, *(Column(slice_column(name), "slice") for name in found))
        given = dict(spec.columns) | {slice_column(name): name for name in found}
        rows = {role: source.rows(name, columns, given, role=role) for role, name in chosen.items()}
    notes: list[str] = []
    if any(column.role == "group" for column in columns):
        least = spec.task_config.get("min_rating")
        rows, decided = by_user(rows, min_rating=None if least is None else float(least))
        notes += [f"{spec.name}: {note}" for note in decided]
        chosen = {"train": chosen.get("test", ""), **chosen}  # one split gives both
    num_rows = rows["train"].num_rows if "train" in rows else 0
    if "test" not in rows:
        rows["train"], rows["test"] = _cut(rows["train"], chosen["train"], "test")
        notes.append(
            f"{spec.name}: the source has no test split; {rows['test'].num_rows} of {num_rows} rows "
            f"({CUT_FRACTION:.0%}) of {chosen['train']!r} were cut off for testing, by their content"
        )
    if spec.splits.validation == CUT:
        if "train" not in rows:
            raise DataError("there is no train split to cut a validation split from", key=("splits", "validation"))
        rows["train"], rows["validation"] = _cut(rows["train"], chosen["train"], "validation")
        notes.append(
            f"{spec.name}: {rows['validation'].num_rows} of {num_rows} rows of {chosen['train']!r} were cut off for "
            "validation, by their content"
        )
    labels: tuple[str, ...] = ()
    if all(split.labels is not None for split in rows.values()):
        names = {role: flat_names(split.labels) for role, split in rows.items() if split.labels is not None}
        if _one_label(rows["test"]):  # of many a row some may be too rare for every split
            refuse_unseen(names)
        declared = {name for split in rows.values() for name in split.declared}
        labels = label_dictionary(
            declared | {name for column in names.values() for name in column.unique().to_pylist()}
        )
        if original is not None:
            labels = original.labels
            refuse_strangers(names["test"], labels, original.name)
    splits: dict[str, tuple[pa.Table, RowHashes]] = {}
    targets = tuple(rows["test"].targets)
    for role in list(rows):  # what it is made of goes as each is done: of ten million texts a gigabyte
        table, hashes, note = _ordered(rows.pop(role), labels, getattr(spec.limit, role), spec.broken_share)
        splits[role] = table, hashes
        notes += [f"{spec.name}: {role}: {note}"] if note else []
    if "train" in splits and (shared := _shared(splits["train"][1], splits["test"][1])):
        notes.append(f"{spec.name}: {shared} of {splits['test'][0].num_rows} test rows have the content of a train row")
    tables = {role: table for role, (table, _) in splits.items()}
    return LoadedDataset(
        name=spec.name,
        splits=tables if len(found) == len(spec.slices) else with_lengths(tables, inputs),
        labels=labels,
        fingerprint=fingerprint(labels, splits, targets),
        notes=tuple(notes),
    )


def _have(readers: Mapping[str, SplitReader], names: Collection[str], column: str) -> bool:
    """Whether every one of these splits has a column of its own."""
    return all(column in readers[name](()).column_names for name in names)


def _cut(train: Rows, name: str, role: str) -> tuple[Rows, Rows]:
    target = np.zeros(train.num_rows, np.int32)
    if train.labels is not None and _one_label(train):
        target = train.labels.combine_chunks().dictionary_encode().indices.to_numpy()
    is_cut = cut(train.hashes.side, target, role)
    if not is_cut.any() or is_cut.all():
        raise DataError(
            f"split {name!r} has too few rows ({train.num_rows}) to cut a {role} split from; name one in splits",
            key=("splits",),
        )
    return train.take(np.flatnonzero(~is_cut)), train.take(np.flatnonzero(is_cut))


def _ordered(
    split: Rows, labels: tuple[str, ...], limit: int | None, broken_share: float
) -> tuple[pa.Table, RowHashes, str]:
    """The first `limit` rows in canonical order as a table of ids and columns, and what was left out of them."""

    def ties(rows: np.ndarray) -> list[np.ndarray]:
        """Of rows with equal inputs: their targets, then their ids."""
        given = [] if split.ids is None else [np.array(split.ids.take(pa.array(rows)).to_pylist())]
        if split.labels is not None and _one_label(split):
            return [encode(split.labels.take(pa.array(rows)), labels), *given]
        return [_target_order(split, rows), *given]

    kept = split.hashes.sort(ties)[:limit]
    split = split.take(kept).whole()
    indices = {} if split.labels is None else {str(split.label_column): _indices(split.labels, labels)}
    others = {name: column for name, column in split.targets.items() if name != split.label_column}
    columns = {"id": split.hashes.ids() if split.ids is None else split.ids} | split.slices | split.columns
    columns |= indices | others
    checks = _THOROUGH if broken_share else _CHECKS
    encoded = {name: checks[kind] for name, kind in split.pictures.items() if name in columns}
    names = {name: split.picture_names(name) for name in encoded}
    found, whole, first = check_rows(columns, encoded, names, broken_share)
    note = (
        ""
        if whole.all()
        else (
            f"{(~whole).sum()} of {len(whole)} rows cannot be decoded and are left out for all candidates; first "
            f"{first}"
        )
    )
    return pa.table(found), split.hashes if whole.all() else split.hashes.take(whole), note


def _one_label(split: Rows) -> bool:
    """Whether each row has exactly one label."""
    return split.labels is not None and not is_list(split.labels.type)


def _indices(column: pa.ChunkedArray, labels: tuple[str, ...]) -> pa.ChunkedArray:
    return encode_lists(column, labels) if is_list(column.type) else pa.chunked_array([encode(column, labels)])


def _target_order(split: Rows, rows: np.ndarray) -> np.ndarray:
    """Numbers that order rows by their targets."""
    if not split.targets:
        return np.zeros(len(rows), np.int32)
    return RowHashes.of([split.targets[name].take(pa.array(rows)) for name in sorted(split.targets)]).order


def _shared(train: RowHashes, test: RowHashes) -> int:
    """How many test rows have the content of a train row; both are in their canonical order."""
    known, asked = train.order, test.order
    return int((np.searchsorted(known, asked, "left") < np.searchsorted(known, asked, "right")).sum())
