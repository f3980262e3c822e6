"""Which actors a cluster can hold: decided node by node, before any is started."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.cluster.placement import Node, check_machine, plan_actors
from raybench.core.errors import RaybenchError
from raybench.job import Resources


def actors(*nodes, growth=(), **resources):
    up = [Node(cpus=cpus, gpus=gpus) for cpus, gpus in nodes]
    plan = plan_actors(Resources(**resources), up, [Node(cpus=c, gpus=g, count=n) for c, g, n in growth])
    return plan.num_actors, plan.gpus_per_actor


def test_auto_takes_every_cpu_of_every_node():
    assert actors((8, 0)) == (8, 0.0)
    assert actors((8, 0), cpus_per_actor=3) == (2, 0.0)
    assert actors((4, 0), (4, 0), cpus_per_actor=3) == (2, 0.0), "an actor lies on one node: 8 CPUs on two hold two"


def test_auto_takes_one_gpu_an_actor():
    assert actors((64, 4)) == (4, 1.0)
    assert actors((0, 0), (2, 4)) == (2, 1.0)


def test_a_fraction_shares_a_gpu():
    assert actors((64, 2), gpus_per_actor=0.25) == (8, 0.25)
    assert actors((64, 1), (64, 1), gpus_per_actor=0.6) == (2, 0.6)


@pytest.mark.parametrize(
    ("nodes", "resources", "words"),
    [
        ([(4, 0)], {"gpus_per_actor": 1.0}, "1 CPU and 1 GPU fits no node"),
        ([(4, 0), (4, 0)], {"cpus_per_actor": 8}, "8 CPUs fits no node"),
        ([(4, 1), (4, 1)], {"cpus_per_actor": 8, "gpus_per_actor": 1.0}, "8 CPUs and 1 GPU fits no node"),
        ([(0, 0)], {"gpus_per_actor": 0.0}, "fits no node"),
        ([(0, 0)], {}, "auto cannot be decided while no worker node is up"),
    ],
)
def test_what_fits_no_node_is_one_line(nodes, resources, words):
    with pytest.raises(RaybenchError, match=words) as caught:
        actors(*nodes, **resources)
    assert len(str(caught.value).splitlines()) == 1


def test_fewer_than_asked_go_on_and_say_it():
    plan = plan_actors(Resources(actors=1000), [Node(cpus=4, gpus=0)])
    assert plan.num_actors == 4
    assert plan.note == "actors: 1000 asked, 4 of 1 CPU fit on 1 node up (4 CPUs and 0 GPUs)"


def test_what_the_autoscaler_may_add_counts():
    assert actors((0, 0), growth=[(8, 1, 5)]) == (5, 1.0)
    assert actors((0, 0), growth=[(8, 1, 5)], actors=3) == (3, 1.0)
    assert actors((0, 0), growth=[(8, 1, None)], actors=300) == (300, 1.0)
    with pytest.raises(RaybenchError, match="up or to be added"):
        actors((0, 0), growth=[(8, 1, 5)], cpus_per_actor=9)


def test_auto_takes_the_gpus_of_nodes_that_are_still_to_come_and_of_no_others():
    assert actors((8, 0), growth=[(8, 0, 2), (8, 1, 5)]) == (5, 1.0)
    assert actors((8, 0), growth=[(8, 0, 2), (8, 1, 0)]) == (16, 0.0)


def test_this_machine_is_oversubscribed_by_a_few_times_at_most():
    assert check_machine(Resources(actors=4), 2) == 4
    assert check_machine(Resources(), 2) == 2
    for resources in (Resources(actors=1000), Resources(cpus_per_actor=640), Resources(actors=5, cpus_per_actor=2)):
        with pytest.raises(RaybenchError, match="this machine has 2"):
            check_machine(resources, 2)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=5),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.one_of(st.just("auto"), st.integers(1, 50)),
)
def test_what_is_planned_can_be_placed(nodes, cpus, gpus, asked):
    up = [Node(cpus=c, gpus=g) for c, g in nodes]
    try:
        plan = plan_actors(Resources(actors=asked, cpus_per_actor=cpus, gpus_per_actor=gpus), up)
    except RaybenchError:
        assert not any(node.holds(cpus, gpus) for node in up)
        return
    assert 1 <= plan.num_actors <= sum(min(c // cpus, int(g / gpus) if gpus else c) for c, g in nodes)
    assert plan.num_actors == asked or asked == "auto" or plan.note
