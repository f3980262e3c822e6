"""What a plan or a run of many short texts costs: processor seconds and peak memory of the whole command.

    python tests/bench/bench_size.py [--train 1000000] [--test 1000000] [--format csv] [--limit N] [--run] [--folder F]

Texts of 4 to 12 words of BBC news, with words that tell one of four labels; seeded, in row groups of 100,000; one in a
hundred is the text of another row; as Parquet, CSV or lines of JSON. Two baselines (majority, tfidf-logistic); nothing
is remembered. With --run the run goes on from a plan that is remembered, and what Ray's processes take is counted too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP = 100_000  # rows
LABELS = ("business", "politics", "sport", "tech")
JOB = """
name: size
store: {folder}/store
candidates:
  - baseline: majority
  - baseline: tfidf-logistic
datasets:
  - {{name: texts, source: {format}, data_files: {{train: {folder}/train.{format}, test: {folder}/test.{format}}},
     task: text-classification{limit}}}
metrics: [accuracy]
resources: {{actors: 2, cpus_per_actor: 1}}
"""


def vocabulary() -> np.ndarray:
    """The distinct words of BBC news, in order of their letters."""
    from raybench.data.packaged import bbc_news

    texts = bbc_news()["train"].column("text").to_pylist()
    return np.array(sorted({word for text in texts for word in text.lower().split() if word.isalpha()}))


def write_texts(path: Path, rows: int, seed: int) -> None:
    """A label's own words are a two-hundredth of the vocabulary and a quarter of its texts."""
    words, own = pa.array(vocabulary()), len(vocabulary()) // 200
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, rows, GROUP):
            draw, count = np.random.default_rng([seed, start]), min(GROUP, rows - start)
            labels, lengths = draw.integers(len(LABELS), size=count), draw.integers(4, 13, size=count)
            chosen = draw.integers(len(words), size=int(lengths.sum()))
            telling = draw.random(len(chosen)) < 0.25
            first = np.repeat(labels * own, lengths)
            chosen = np.where(telling, first + chosen % own, chosen)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            texts = pc.binary_join(pa.ListArray.from_arrays(offsets, words.take(pa.array(chosen))), " ")
            place = np.arange(count)
            place[::100] = draw.integers(count, size=len(place[::100]))
            names = pa.array(LABELS).take(pa.array(labels))
            file.write_table(pa.table([texts.take(pa.array(place)), names.take(pa.array(place))], schema))


def write_as(format: str, path: Path) -> None:
    """The same rows as CSV or lines of JSON, beside the Parquet file."""
    with open(path.with_suffix(f".{format}"), "w", encoding="utf-8") as file:
        written = csv.writer(file)
        if format == "csv":
            written.writerow(["text", "label"])
        for batch in pq.ParquetFile(path).iter_batches(GROUP):
            if format == "csv":
                written.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
            else:
                file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())


class Peak:
    """The most memory that the processes below this one held together, sampled ten times a second."""

    def __init__(self) -> None:
        self.memory, self._processor, self._ended = 0, {}, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def processor(self) -> float:
        """Seconds of all of them, those that have ended too."""
        return sum(self._processor.values())

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            held = 0
            for one in psutil.Process().children(recursive=True):
                try:
                    memory = one.memory_info()
                    held += memory.rss - memory.shared
                    times = one.cpu_times()
                    self._processor[one.pid, one.create_time()] = times.user + times.system
                except psutil.Error:
                    continue
            self.memory = max(self.memory, held)


def command(name: str, job: Path, cache: Path) -> None:
    environment = {**os.environ, "RAYBENCH_CACHE": str(cache)}
    began = time.perf_counter()
    with Peak() as peak:
        process = subprocess.Popen(
            [sys.executable, "-m", "raybench", name, str(job)], env=environment, cwd=cache, stdout=2
        )
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    own, most = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024**2
    print(
        f"{name}: {time.perf_counter() - began:.1f} s by the clock; its own process {own:.1f} s of a processor and at "
        f"most {most:.2f} GiB; all processes {max(own, peak.processor):.1f} s and {peak.memory / 1024**3:.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=1_000_000)
    parser.add_argument("--test", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["parquet", "csv", "json"], default="parquet")
    parser.add_argument("--limit", type=int, help="rows of each split that the job asks for")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--folder", type=Path, help="where texts are written, and found if they are there")
    asked = parser.parse_args()
    given = asked.folder
    with nullcontext(given) if given else tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.mkdir(exist_ok=True)
        for seed, (split, rows) in enumerate({"train": asked.train, "test": asked.test}.items()):
            if not (folder / f"{split}.parquet").exists():
                write_texts(folder / f"{split}.parquet", rows, seed)
            if not (folder / f"{split}.{asked.format}").exists():
                write_as(asked.format, folder / f"{split}.parquet")
        limit = f",\n     limit: {{train: {asked.limit}, test: {asked.limit}}}" if asked.limit else ""
        (folder / "job.yaml").write_text(JOB.format(folder=folder, format=asked.format, limit=limit))
        with tempfile.TemporaryDirectory() as cache:
            time.sleep(2.5)  # until files count as settled
            command("plan", folder / "job.yaml", Path(cache))
            if asked.run:
                command("run", folder / "job.yaml", Path(cache))


if __name__ == "__main__":
    main()
