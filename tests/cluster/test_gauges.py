"""How far a run is, as Prometheus reads it of Ray's own page."""

import urllib.request

from raybench.cluster.gauges import Gauges
from raybench.cluster.observer import AtWork, Observer
from raybench.core import Shard, Status
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow
from tests.cluster.conftest import wait_until


class Heard(Observer):
    def __init__(self):
        self.told = []

    def trial_ended(self, row):
        self.told.append(row.trial_id)

    def note(self, line):
        self.told.append(line)


def commit(number):
    return ShardCommit(
        trial_id="t", start=number, stop=number + 1, num_examples=16, states=b"", score_seconds=0.1, wall_seconds=0.1,
        peak_memory_bytes=0, device="cpu", dtype="float32", threads=1, cost="{}", basis="",
    )  # fmt: skip


def test_rays_page_tells_how_far_a_run_is_and_the_display_is_told_as_before(ray_address):
    import ray

    heard = Heard()
    ray.init(address=ray_address, log_to_driver=False, logging_level="ERROR")
    try:
        gauges = Gauges(heard, "topics-3f2a91", 4)
        for number in range(3):
            gauges.shard_scored(commit(number))
        gauges.trial_ended(TrialRow(trial_id="t", status=Status.OK))
        gauges.note("a line")
        gauges.tick([AtWork(0, Shard(trial_id="u", start=0, stop=1), None)])
        (port,) = {node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]}
        wanted = {
            "raybench_trials{": 4.0,
            "raybench_shards_scored{": 3.0,
            "raybench_examples_scored{": 48.0,
            "raybench_actors_at_work{": 1.0,
            "raybench_trials_ended{": 1.0,
        }

        def page():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return [line for line in answer.read().decode().splitlines() if 'run="topics-3f2a91"' in line]

        def value(name):
            return [float(line.rpartition(" ")[2]) for line in page() if name in line]

        wait_until(lambda: all(value(name) == [number] for name, number in wanted.items()), seconds=40)
        assert any('status="ok"' in line for line in page())
    finally:
        ray.shutdown()
    assert heard.told == ["t", "a line"]


def test_whatever_an_observer_can_be_told_is_passed_on():
    assert {name for name in vars(Observer) if not name.startswith("_")} <= vars(Gauges).keys()
