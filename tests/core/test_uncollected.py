"""Importing without the collector: it is on again afterwards, and does not look at what was made."""

from __future__ import annotations

import gc

import pytest

from raybench.core.uncollected import uncollected


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_made_inside_is_not_looked_through_again():
    with uncollected():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    looked_through = {id(one) for one in gc.get_objects()}
    assert not looked_through & {id(one) for one in made}


def test_the_collector_is_on_again_after_an_import_that_fails():
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_so():
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
    assert gc.get_freeze_count() == 0
