"""Frozen features of a run: computed once by all actors together, found by the next run, and never another bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raybench

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)


def run_embedded(path: Path, actors: int) -> pa.Table:
    """Scores, from a Ray of its own whose actors use this process's cache."""
    assert raybench.run(path, address="local", actors=actors, quiet=True).complete
    (scores,) = (path.parent / "store" / "runs").glob("*/scores.parquet")
    return pq.read_table(scores)


def cached_rows(cache: Path) -> list[tuple[int, bytes]]:
    rows = []
    for part in (cache / "features").glob("*/*.arrow"):
        with pa.memory_map(str(part)) as source:
            table = pa.ipc.open_file(source).read_all()
        rows += list(zip(table.column("padded").to_pylist(), table.column("key").to_pylist(), strict=True))
    return rows


@pytest.mark.timeout(600)
def test_features_are_computed_once_by_all_actors_and_serve_the_next_run(make_job, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "cache"))
    job = make_job()
    candidates = [
        {"model": str(tiny_bert), "name": "frozen", "method": "frozen", "grid": {"weight_decay": [0.01, 0.1, 1.0]}},
        {"model": str(tiny_bert), "name": "neighbors", "method": "nearest_neighbors"},
        {"model": str(tiny_bert), "name": "full", "method": {"name": "full", "epochs": 1}},
    ]
    path = job.write(candidates=candidates, resources={"shard_batches": 2})
    cold = run_embedded(path, actors=2)
    rows = cached_rows(tmp_path / "cache")
    assert len(rows) == len(set(rows)) > 150
    shutil.rmtree(job.folder / "store")
    warm = run_embedded(path, actors=1)
    assert warm.equals(cold)
    assert cached_rows(tmp_path / "cache") == rows
