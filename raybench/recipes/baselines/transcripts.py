"""`frequent-transcript` and `nearest-clip`: transcripts without a model of speech."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.mel_statistics import mel_statistics
from raybench.recipes.baselines.stored_texts import load_texts, store_texts
from raybench.tasks.speech_recognition import Transcripts

__all__ = ["FrequentTranscript", "NearestClip"]


class FrequentTranscript:
    """The transcript that most training rows have, of equals the first by the alphabet."""

    tasks = ("speech-recognition",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        counts = Counter(rows.column("text").to_pylist())
        return store_texts("texts", [min(counts, key=lambda text: (-counts[text], text))])

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Transcripts:
        return Transcripts.of(load_texts(arrays, "texts") * rows.num_rows)


class NearestClip:
    """The transcript of the training sound whose mel statistics are nearest, each in its standard deviations."""

    tasks = ("speech-recognition",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features = mel_statistics(rows.column("audio").to_pylist())
        spread = np.maximum(features.std(axis=0), 1e-6)
        return {**store_texts("texts", rows.column("text").to_pylist()), "memory": features / spread, "spread": spread}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Transcripts:
        texts, memory = load_texts(arrays, "texts"), arrays["memory"]
        asked = mel_statistics(rows.column("audio").to_pylist()) / arrays["spread"]
        nearest = [int(np.argmin(((memory - one) ** 2).sum(axis=1))) for one in asked]
        return Transcripts.of([texts[place] for place in nearest])
