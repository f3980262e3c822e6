"""Which address is connected to, and how many shards are sent ahead: decisions without a cluster."""

from __future__ import annotations

import os
import time

import pytest

from raybench.cluster.connect import connect
from raybench.core.errors import RaybenchError
from raybench.job import Resources
from raybench.runtime.allocator import KEEPS_FREED_MEMORY
from raybench.schedule.shards import shards_ahead


def test_quick_shards_travel_in_bulk_and_slow_ones_alone():
    assert [shards_ahead(seconds) for seconds in (10.0, 0.1, 0.01, 0.0)] == [1, 1, 10, 64]


def test_driving_through_the_client_port_is_refused():
    with pytest.raises(RaybenchError, match="use `raybench submit`"), connect(Resources(), "ray://head:10001"):
        pass


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:99999", "[::1]:1"])
def test_an_address_where_no_ray_answers_is_one_line_at_once(address, monkeypatch):
    began = time.monotonic()
    with pytest.raises(RaybenchError, match=r"^--address .* no Ray answers there") as refused:
        connect(Resources(), address).__enter__()
    assert repr(address) in str(refused.value)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(RaybenchError, match=r"^RAY_ADDRESS .* no Ray answers there"), connect(Resources()):
        pass
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        ({"actors": 1000 * (os.cpu_count() or 1)}, "this machine has"),
        ({"cpus_per_actor": 640 * (os.cpu_count() or 1)}, "this machine has"),
    ],
)
def test_more_than_this_machine_is_refused_before_anything_starts(resources, line):
    began = time.monotonic()
    with pytest.raises(RaybenchError, match=line), connect(Resources(**resources)):
        pass
    assert time.monotonic() - began < 2


def test_actors_of_an_own_ray_keep_freed_memory_unless_the_user_tells_the_allocator_otherwise(monkeypatch):
    for given, found in ((None, KEEPS_FREED_MEMORY["GLIBC_TUNABLES"]), ("glibc.malloc.perturb=1",) * 2):
        monkeypatch.setenv("GLIBC_TUNABLES", given or "")
        if given is None:
            monkeypatch.delenv("GLIBC_TUNABLES")
        with pytest.raises(RaybenchError), connect(Resources(actors=1000 * (os.cpu_count() or 1))):
            pass
        assert os.environ["GLIBC_TUNABLES"] == found  # Ray's processes have a driver's variables
