"""`dictionary`: each word's likeliest translation, in the source's order, learned from the training pairs alone.

IBM's first model (Brown et al. 1993, J93-2003): five rounds of expectation and maximisation over all words of a pair,
with an empty source word beside. A word never seen is copied. Where sources are single words, such as for how they are
pronounced, their letters are the words.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.stored_texts import load_texts, store_texts
from raybench.tasks.text_generation import Generated

__all__ = ["Dictionary"]

_ROUNDS = 5
_MOST_PAIRS = 20_000_000  # of a source and a target word within a row, held at once: 240 MB


class Dictionary:
    """One target word a source word."""

    tasks = ("text-generation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        sources = rows.column("source").to_pylist()
        letters = all(len(source.split()) <= 1 for source in sources)
        pairs = [
            (_words(source, letters), texts[0].split())
            for source, texts in zip(sources, rows.column("target").to_pylist(), strict=True)
        ]
        known = sorted({word for words, _ in pairs for word in words})
        targets = sorted({word for _, words in pairs for word in words})
        best = _likeliest(pairs, known, targets)
        return {
            **store_texts("words", known),
            **store_texts("translations", ["" if place < 0 else targets[place] for place in best.tolist()]),
            "letters": np.array([letters]),
        }

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Generated:
        table = dict(zip(load_texts(arrays, "words"), load_texts(arrays, "translations"), strict=True))
        letters = bool(arrays["letters"][0])
        texts = [
            " ".join(filter(None, (table.get(word, word) for word in _words(source, letters))))
            for source in rows.column("source").to_pylist()
        ]
        return Generated.of(texts)


def _words(text: str, letters: bool) -> list[str]:
    return list(text.strip()) if letters else text.split()


def _likeliest(pairs: list[tuple[list[str], list[str]]], known: list[str], targets: list[str]) -> np.ndarray:
    """For each known word the index of the target word that it most likely becomes; −1 if it stood beside none."""
    source_of = {word: place + 1 for place, word in enumerate(known)}  # 0: the empty word
    target_of = {word: place for place, word in enumerate(targets)}
    codes, slots, num_slots, held = [], [], 0, 0
    for words, others in pairs:
        if held > _MOST_PAIRS:
            break  # what is beyond tells little more of words that are frequent enough to be learned
        own = np.array([0, *(source_of[word] for word in words)], dtype=np.int64)
        their = np.array([target_of[word] for word in others], dtype=np.int64)
        codes.append((own[:, None] * len(targets) + their).reshape(-1))
        slots.append(np.tile(np.arange(num_slots, num_slots + len(their), dtype=np.int32), len(own)))
        num_slots += len(their)
        held += codes[-1].size
    best = np.full(len(known), -1, dtype=np.int64)
    if not held:
        return best
    pair_codes, place = np.unique(np.concatenate(codes), return_inverse=True)
    slot = np.concatenate(slots)
    source = pair_codes // len(targets)
    chance = np.ones(len(pair_codes))
    for _ in range(_ROUNDS):
        share = chance[place]
        share /= np.bincount(slot, share, num_slots)[slot]
        counts = np.bincount(place, share, len(pair_codes))
        chance = counts / np.bincount(source, counts, len(known) + 1)[source]
    order = np.lexsort((pair_codes % len(targets), -chance, source))
    first = order[np.unique(source[order], return_index=True)[1]]
    first = first[source[first] > 0]
    best[source[first] - 1] = pair_codes[first] % len(targets)
    return best
