"""Rows and features are let go with their last reader, and not before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raybench.schedule.readers import Readers


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=3), st.lists(st.sampled_from("xyz"), max_size=4)),
    st.randoms(use_true_random=False),
)
def test_each_key_is_let_go_once_with_its_last_reader(reads, rng):
    readers, released = Readers(reads), []
    trials = list(reads)
    rng.shuffle(trials)
    for place, trial in enumerate(trials):
        let_go = readers.end(trial)
        still_read = {key for other in trials[place + 1 :] for key in reads[other]}
        assert not still_read & set(let_go)
        released += let_go
        assert readers.end(trial) == []
    assert sorted(released) == sorted({key for keys in reads.values() for key in keys})
