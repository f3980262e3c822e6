"""Rows of who took what, one an interaction, as examples, one a user: what came before, and what came then.

    gathered = by_user({"train": rows}, min_rating=4)      # the last interaction of each user becomes the test split
    gathered.rows["test"].columns["history"]               # list<int32>: places in the catalogue, oldest first
    gathered.rows["test"].targets["item"]                  # list<int32>: what is to be found among the others

Read of a source are the columns user, item and, where there are some, timestamp, rating and text (what an item is, in
words: the same in all its rows). The catalogue is every item of every split, in an order made from their names; it
travels as the dictionary of a column, as a corpus does. An item taken twice counts once, the first time. Of equal
times, and where there are none, the order is made from the names of user and item, never from the source's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.data.columns import Rows
from raybench.data.fingerprint import RowHashes

__all__ = ["Gathered", "by_user"]

_ROLES = ("train", "validation", "test")


class Gathered(NamedTuple):
    """A split's examples by its role, and what was decided, in words."""

    rows: dict[str, Rows]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Taken:
    """Interactions [n]: users and items as numbers, the place of the split in `_ROLES`, the row of the source."""

    user: np.ndarray
    item: np.ndarray
    role: np.ndarray
    row: np.ndarray

    def take(self, places: np.ndarray) -> _Taken:
        return _Taken(user=self.user[places], item=self.item[places], role=self.role[places], row=self.row[places])


def by_user(rows: Mapping[str, Rows], min_rating: float | None = None) -> Gathered:
    """Examples of all splits that there are.

    A single split gives two: each user's last interaction is for testing, the others for training. Of several, a
    user's history is what the splits before say, in the order train, validation, test. In train the last interaction
    of each user is what its others are to foretell. Ratings below `min_rating` are as if they were not there.

    Raises:
        DataError: no interaction is left, ratings are wanted and not there, an item with two texts.
    """
    given = [role for role in _ROLES if role in rows]
    notes: list[str] = []
    users, user_names = _numbered(rows, given, "user")
    items, item_names = _numbered(rows, given, "item")
    role = np.repeat([_ROLES.index(name) for name in given], [rows[name].num_rows for name in given])
    kept = np.arange(len(users))
    if min_rating is not None:
        kept = np.flatnonzero(_ratings(rows, given) >= min_rating)
        notes.append(f"{len(users) - len(kept)} of {len(users)} rows have a rating below {min_rating:g}: left out")
    timed = all("timestamp" in rows[name].columns for name in given)
    time = _joined(rows, given, "timestamp").to_numpy() if timed else np.zeros(len(users))
    ties = RowHashes.of([_joined(rows, given, name) for name in ("user", "item")]).order
    all_taken = _Taken(user=users, item=items, role=role, row=np.arange(len(users))).take(kept)
    all_taken = all_taken.take(np.lexsort((ties[kept], time[kept], all_taken.role, all_taken.user)))
    taken = _first_times(all_taken, len(item_names))
    if repeated := len(all_taken.user) - len(taken.user):
        notes.append(
            f"{repeated} of {len(all_taken.user)} rows name an item that their user has already: they count once"
        )
    if len(given) == 1:
        all_taken = taken = _last_out(taken)
        held = int((taken.role == _ROLES.index("test")).sum())
        how = "the last interaction" if timed else "one interaction, drawn by their names (there is no timestamp),"
        notes.append(f"the source has no test split: {how} of each of {held} users was left out for testing")
        if held == 0:
            raise DataError("no user has two interactions, of which one could be left out for testing", key=("splits",))
    elif not timed:
        notes.append("there is no timestamp: the order within a history says nothing")
    catalogue = _catalogue(np.unique(taken.item), item_names)
    place = np.full(len(item_names), -1, dtype=np.int32)
    place[catalogue] = np.arange(len(catalogue), dtype=np.int32)
    shown = {"catalogue": pa.array(item_names[catalogue], pa.string())}
    if all("text" in rows[name].columns for name in given):
        shown["catalogue_text"] = _texts(_joined(rows, given, "text"), items, item_names, catalogue)
    roles = given if len(given) > 1 else ["train", "test"]
    numbers = np.concatenate([rows[name].numbers for name in given])
    slices = {name: _joined_slices(rows, given, name) for name in rows[given[0]].slices}
    made = {
        name: _examples(_ROLES.index(name), taken, all_taken, place, user_names, shown, numbers, slices)
        for name in roles
    }
    return Gathered(made, tuple(notes))


def _joined(rows: Mapping[str, Rows], given: list[str], name: str) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for role in given for chunk in rows[role].columns[name].chunks])


def _joined_slices(rows: Mapping[str, Rows], given: list[str], name: str) -> pa.Array:
    return pa.chunked_array([chunk for role in given for chunk in rows[role].slices[name].chunks]).combine_chunks()


def _numbered(rows: Mapping[str, Rows], given: list[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Names as numbers [n], and the names by number."""
    encoded = _joined(rows, given, name).combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), np.array(encoded.dictionary.to_pylist(), dtype=object)


def _ratings(rows: Mapping[str, Rows], given: list[str]) -> np.ndarray:
    if any("rating" not in rows[name].columns for name in given):
        raise DataError("min_rating wants a column of ratings; say which it is: columns: {rating: …}", key=("columns",))
    return _joined(rows, given, "rating").to_numpy()


def _first_times(taken: _Taken, num_items: int) -> _Taken:
    """Each item of a user once."""
    if not len(taken.user):
        raise DataError("no interaction is left")
    _, first = np.unique(taken.user * num_items + taken.item, return_index=True)
    return taken.take(np.sort(first))


def _last_out(taken: _Taken) -> _Taken:
    """The last interaction of each user who has several in the test split, all else in train."""
    last = np.append(taken.user[1:] != taken.user[:-1], True)
    several = np.bincount(taken.user)[taken.user] > 1
    role = np.where(last & several, _ROLES.index("test"), _ROLES.index("train"))
    return _Taken(user=taken.user, item=taken.item, role=role, row=taken.row)


def _catalogue(items: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Numbers of items in the order of their names' hashes: equal scores go by it, and names often tell age or fame."""
    return items[RowHashes.of([pa.chunked_array([pa.array(names[items], pa.string())])]).sort()]


def _texts(texts: pa.ChunkedArray, items: np.ndarray, names: np.ndarray, catalogue: np.ndarray) -> pa.Array:
    """What each item of the catalogue is; DataError where rows of one item differ."""
    encoded = texts.combine_chunks().dictionary_encode()
    said = encoded.indices.to_numpy()
    first = np.zeros(len(names), dtype=np.int64)
    first[items[::-1]] = np.arange(len(items))[::-1]
    differing = np.flatnonzero(said != said[first[items]])
    if len(differing):
        name = names[items[differing[0]]]
        raise DataError(
            f"item {name!r} has more than one text, the second in row {differing[0]}; a text says what an item is, "
            "the same in all its rows",
            key=("columns", "text"),
        )
    return encoded.dictionary.take(pa.array(said[first[catalogue]])).cast(pa.string())


def _examples(
    role: int, taken: _Taken, all_taken: _Taken, place: np.ndarray, user_names: np.ndarray,
    shown: Mapping[str, pa.Array], numbers: np.ndarray, slices: Mapping[str, pa.Array],
) -> Rows:  # fmt: skip
    """One row a user of the split, also where nothing new is left of what it took there."""
    here = np.flatnonzero(all_taken.role == role)
    users, from_end = np.unique(all_taken.user[here][::-1], return_index=True)
    last_row = all_taken.row[here][::-1][from_end]
    start = np.searchsorted(taken.user, users)
    before = _counted(taken.user[taken.role < role], users)
    now = _counted(taken.user[taken.role == role], users)
    if role == 0:  # what is learned from: the last of them by the others
        before, now = now - 1, np.ones_like(now)
    items = place[taken.item].tolist()
    bounds = list(zip(start.tolist(), (start + before).tolist(), (start + before + now).tolist(), strict=True))
    kind = pa.list_(pa.int32())
    history = pa.chunked_array([pa.array([items[a:b] for a, b, _ in bounds], kind)])
    target = pa.chunked_array([pa.array([items[b:c] for _, b, c in bounds], kind)])
    names = pa.chunked_array([pa.array(user_names[users], pa.string())])
    index = pa.array(last_row)
    columns = {"history": history}
    for name, values in shown.items():
        cells = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(users), dtype=np.int32)), values)
        columns[name] = pa.chunked_array([cells])
    return Rows(
        columns=columns,
        targets={"item": target},
        slices={name: pa.chunked_array([values.take(index)]) for name, values in slices.items()},
        pictures={},
        paths={},
        label_column=None,
        declared=(),
        ids=names,
        hashes=RowHashes.of([names, _named(history, shown["catalogue"])]),
        numbers=numbers[last_row],
    )


def _counted(users: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.bincount(users, minlength=int(wanted.max(initial=-1)) + 1)[wanted]


def _named(history: pa.ChunkedArray, names: pa.Array) -> pa.ChunkedArray:
    """Histories by the names of their items, which no other item changes."""
    lists = history.combine_chunks()
    return pa.chunked_array([pa.ListArray.from_arrays(lists.offsets, names.take(lists.values))])
