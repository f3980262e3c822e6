"""A short kill schedule: whatever dies or is torn on the way, the job's tables are those of an undisturbed run.

`tests/bench/kill_schedules.py` draws as many longer ones as one likes.
"""

from __future__ import annotations

import random
import time

import pytest

import raybench
from tests.bench.kill_schedules import Fault, LocalCluster, Player, draw_schedule, tables, tear, write_job

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::FutureWarning",
    "ignore::raybench.api.StoreWarning",
)


@pytest.fixture(scope="module")
def cluster(cluster_ports, ray_address):
    """The tests' cluster with one node more."""
    import ray

    cluster = LocalCluster(ray_address, cluster_ports[2], num_nodes=1)
    yield cluster
    for node in cluster.processes("node"):
        node.terminate()  # it says good-bye; a killed one is missed only after many seconds
    ray.init(address=ray_address, log_to_driver=False)
    deadline = time.monotonic() + 60
    while sum(node["Alive"] for node in ray.nodes()) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)  # tests to come count its nodes
    ray.shutdown()
    cluster.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_bert, cluster):
    cluster.mend()
    path = write_job(tmp_path_factory.mktemp("calm"), tiny_bert, actors=2)
    assert raybench.run(path, address=cluster.address, actors=1, quiet=True).complete
    return tables(path.parent / "store")


def fault(target, how, after):
    """In the middle of a fit."""
    return Fault(target=target, how=how, moment="unfinished/*", after=after, seconds=0.5)


def test_whatever_is_killed_the_tables_are_those_of_an_undisturbed_run(tmp_path, tiny_bert, cluster, undisturbed):
    faults = (fault("node", "KILL", 0.0), fault("actor", "KILL", 0.2), fault("driver", "TERM", 1.5))
    for number in range(3):  # one node of some dozens went by itself, before it could be killed
        path, rng, hits = write_job(tmp_path / f"job-{number}", tiny_bert, actors=2), random.Random(0), []
        cluster.mend()
        code, words = Player(cluster, run_seconds=240).run(path, faults, rng, hits)
        if len(hits) == len(faults):
            break
    assert set(hits) == {str(one) for one in faults}, f"{hits}, exit code {code}: {words}"
    tear(path.parent / "store", rng, 2)
    assert raybench.run(path, address=cluster.address, actors=1, quiet=True).complete
    assert tables(path.parent / "store") == undisturbed


def test_a_schedule_is_drawn_from_its_seed_alone():
    drawn = [draw_schedule(random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    faults = [one for seed in range(200) for storm in draw_schedule(random.Random(seed)) for one in storm.faults]
    every = {f"{target} {how}" for target in ("driver", "actor", "node") for how in ("KILL", "TERM", "STOP")}
    assert {str(one) for one in faults} == every | {"node DRAIN"}
