"""How many actors of which size, and how many shards ahead: decisions without a cluster."""

from __future__ import annotations

import pytest

from raybench.cluster.connect import plan_actors
from raybench.cluster.driver import shards_ahead
from raybench.errors import RaybenchError
from raybench.job import Resources


def actors(available, **resources):
    cluster = plan_actors(Resources(**resources), available)
    return cluster.num_actors, cluster.gpus_per_actor


def test_auto_takes_every_cpu():
    assert actors({"CPU": 8.0}) == (8, 0.0)
    assert actors({"CPU": 8.0}, cpus_per_actor=3) == (2, 0.0)


def test_auto_takes_one_gpu_an_actor():
    assert actors({"CPU": 64.0, "GPU": 4.0}) == (4, 1.0)


def test_a_fraction_shares_a_gpu():
    assert actors({"CPU": 64.0, "GPU": 2.0}, gpus_per_actor=0.25) == (8, 0.25)


def test_cpus_bound_the_actors_too():
    assert actors({"CPU": 2.0, "GPU": 4.0}) == (2, 1.0)


def test_a_number_given_is_taken():
    assert actors({"CPU": 2.0}, actors=5) == (5, 0.0)


def test_there_is_at_least_one_actor():
    assert actors({}) == (1, 0.0)


def test_quick_shards_travel_in_bulk_and_slow_ones_alone():
    assert [shards_ahead(seconds) for seconds in (10.0, 0.1, 0.01, 0.0)] == [1, 1, 10, 64]


def test_driving_through_the_client_port_is_refused():
    from raybench.cluster.connect import connect

    with pytest.raises(RaybenchError, match="use `raybench submit`"), connect(Resources(), "ray://head:10001"):
        pass
