"""WordNet's nouns: glosses, words, and how near two of them stand in its hierarchy.

From Princeton's WordNet 3.0 in Debian's wordnet-base (WordNet licence, free use): G. A. Miller, WordNet: A Lexical
Database for English, CACM 1995. Its lines are offset, file, type, count and words, pointers, then ' | ' and the gloss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.data.packaged.unpacked import debian_file

__all__ = ["Noun", "in_test", "nouns", "wordnet_choices", "wordnet_search", "wordnet_similarity", "wordnet_supersenses"]

_FIRST_SENSE = 3  # the number of the first of these among all lexicographers' files
_SENSES = (
    "top", "act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event", "feeling", "food",
    "group", "location", "motive", "object", "person", "phenomenon", "plant", "possession", "process", "quantity",
    "relation", "shape", "state", "substance", "time",
)  # fmt: skip


class Noun(NamedTuple):
    """A set of synonyms; `parent` is the first one it is a kind of, None at the top."""

    words: tuple[str, ...]
    gloss: str  # the definition, without its examples
    parent: str | None
    sense: str  # the lexicographers' file that it stands in


def nouns(root: str = "/") -> dict[str, Noun]:
    """Every noun by its offset in the file, in the file's order."""
    found = {}
    for line in debian_file(root, "usr/share/wordnet/data.noun", "wordnet-base").read_text("utf-8").splitlines():
        if line.startswith(" "):  # the licence
            continue
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        count = int(fields[3], 16)
        words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
        pointers = fields[5 + 2 * count :]
        kind_of = [pointers[place + 1] for place in range(0, len(pointers), 4) if pointers[place] in ("@", "@i")]
        definition = gloss.partition('; "')[0].strip()
        found[fields[0]] = Noun(
            words, definition, kind_of[0] if kind_of else None, _SENSES[int(fields[1]) - _FIRST_SENSE]
        )
    return found


def wordnet_search(root: str = "/") -> dict[str, pa.Table]:
    """Definitions as queries, the words of their nouns as documents: "a canid …" → "dog, domestic dog".

    A dictionary read backwards. Equal definitions are left out; which noun is in the test split its hash says.
    """
    rows: dict[str, dict[str, list[str]]] = {split: {"query": [], "document": []} for split in ("train", "test")}
    seen: set[str] = set()
    for name, noun in nouns(root).items():
        if noun.gloss in seen:
            continue
        seen.add(noun.gloss)
        split = rows["test" if in_test(name) else "train"]
        split["query"].append(noun.gloss)
        split["document"].append(", ".join(noun.words))
    return {split: pa.table(columns) for split, columns in rows.items()}


def wordnet_supersenses(root: str = "/") -> dict[str, pa.Table]:
    """Definitions of nouns and which of 26 kinds of things they are of: columns text and label.

    Equal definitions are left out; which noun is in the test split its hash says.
    """
    rows: dict[str, dict[str, list[str]]] = {split: {"text": [], "label": []} for split in ("train", "test")}
    seen: set[str] = set()
    for name, noun in nouns(root).items():
        if noun.gloss in seen:
            continue
        seen.add(noun.gloss)
        split = rows["test" if in_test(name) else "train"]
        split["text"].append(noun.gloss)
        split["label"].append(noun.sense)
    return {split: pa.table(columns) for split, columns in rows.items()}


def wordnet_choices(root: str = "/", num_choices: int = 4) -> dict[str, pa.Table]:
    """Definitions and `num_choices` nouns, of which one is defined: columns question, choices and label.

    The others are one that stands beside or above it where there is one, and any nouns; each by its first word. Which
    noun is in the test split its hash says; all of a row are of one split.
    """
    table = nouns(root)
    draw = np.random.default_rng(0)
    children: dict[str, list[str]] = {}
    for name, noun in table.items():
        if noun.parent is not None:
            children.setdefault(noun.parent, []).append(name)
    rows: dict[str, dict[str, list[object]]] = {
        split: {"question": [], "choices": [], "label": []} for split in ("train", "test")
    }
    sides = {test: [name for name in table if in_test(name) is test] for test in (False, True)}
    for name, noun in table.items():
        side = sides[in_test(name)]
        wrong: list[str] = []
        first = _partner(name, 0, table, children, side, draw)
        while len(wrong) < num_choices - 1:
            word = table[first].words[0]
            if word not in (*wrong, *noun.words) and in_test(first) == in_test(name):
                wrong.append(word)
            first = side[int(draw.integers(len(side)))]
        label = int(draw.integers(num_choices))
        split = rows["test" if in_test(name) else "train"]
        split["question"].append(noun.gloss)
        split["choices"].append([*wrong[:label], noun.words[0], *wrong[label:]])
        split["label"].append(label)
    return {split: pa.table(columns) for split, columns in rows.items()}


def wordnet_similarity(root: str = "/", num_pairs: int = 6000) -> dict[str, pa.Table]:
    """Pairs of glosses and how near their nouns are: 2·depth of what both are a kind of over the sum of their depths.

    That is Wu and Palmer's similarity (1994) along first parents, from 0 to 1: a made value of real definitions, no
    judgement of people. A third of the pairs are siblings or parent and child, a third share a grandparent's branch, a
    third are any two. A pair is in the test split where the hash of its first noun says so, and both its nouns do.
    """
    table = nouns(root)
    draw = np.random.default_rng(0)
    names = list(table)
    children: dict[str, list[str]] = {}
    for name, noun in table.items():
        if noun.parent is not None:
            children.setdefault(noun.parent, []).append(name)
    rows: dict[str, dict[str, list[object]]] = {
        split: {"text": [], "text_pair": [], "value": []} for split in ("train", "test")
    }
    made = 0
    while made < num_pairs:
        first = names[int(draw.integers(len(names)))]
        second = _partner(first, made % 3, table, children, names, draw)
        if second == first or in_test(first) != in_test(second):
            continue
        split = rows["test" if in_test(first) else "train"]
        split["text"].append(table[first].gloss)
        split["text_pair"].append(table[second].gloss)
        split["value"].append(_wu_palmer(_path(first, table), _path(second, table)))
        made += 1
    return {split: pa.table(columns) for split, columns in rows.items()}


def _partner(
    first: str,
    how: int,
    table: Mapping[str, Noun],
    children: Mapping[str, list[str]],
    names: list[str],
    draw: np.random.Generator,
) -> str:
    near = table[first].parent
    if how == 1 and near is not None:
        near = table[near].parent or near
    if how == 2 or near is None:
        return names[int(draw.integers(len(names)))]
    around = [near, *children[near]] if how == 0 else [below for child in children[near] for below in
                                                         [child, *children.get(child, [])]]  # fmt: skip
    return around[int(draw.integers(len(around)))]


def _path(name: str, table: Mapping[str, Noun]) -> list[str]:
    """From the top down to the noun."""
    path = [name]
    while (parent := table[path[-1]].parent) is not None and parent not in path:
        path.append(parent)
    return path[::-1]


def _wu_palmer(first: list[str], second: list[str]) -> float:
    shared = sum(a == b for a, b in zip(first, second, strict=False))
    return 2 * shared / (len(first) + len(second))


def in_test(name: str) -> bool:
    """Whether a noun is in the test split of what is made from it."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] < 77
