"""Records held in a process: those of the store, of whole trials on one basis, within their bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raybench.core import Status
from raybench.store.files import Files
from raybench.store.held_records import HeldRecords
from raybench.store.records import read_records, write_records
from raybench.store.trials import TrialRow


def part(start: int, stop: int, trial: int = 0) -> pa.Table:
    """Two records a batch, as a trial on the same rows as all others leaves them."""
    rows = range(2 * start, 2 * stop)
    ids = pa.array([f"row-{(7 * row) % 100:08d}" for row in rows])
    return pa.table({"id": ids, "nll": pa.array([trial + row / 7 for row in rows], pa.float64())})


def ended(trial_id: str, num_examples: int = 8, basis: str = "b") -> TrialRow:
    return TrialRow(trial_id=trial_id, status=Status.OK, num_examples=num_examples, provenance={"basis": basis})


def test_a_whole_trial_is_what_the_store_has_of_it(tmp_path):
    held, files = HeldRecords(), Files(str(tmp_path))
    for start, stop in ((2, 4), (0, 2)):
        held.add("t", "b", start, stop, part(start, stop))
        write_records(files, "t", "b", start, stop, part(start, stop))
    taken = held.take(ended("t"))
    assert taken is not None
    read = read_records(files, "t", "b", pytest.fail)
    assert taken.select(read.column_names).sort_by("id").equals(read)
    assert held.take(ended("t")) is None  # it was taken


@pytest.mark.parametrize("row", [ended("t", 9), ended("t", basis="other"), ended("another")])
def test_what_is_not_whole_or_on_another_basis_is_for_the_store_to_give(row):
    held = HeldRecords()
    held.add("t", "b", 0, 4, part(0, 4))
    assert held.take(row) is None


def test_a_trial_scored_on_another_basis_or_in_ranges_that_overlap_is_not_mixed():
    held = HeldRecords()
    held.add("t", "old", 0, 2, part(0, 2))
    held.add("t", "b", 2, 4, part(2, 4))
    assert held.take(ended("t")) is None
    held.add("u", "b", 0, 4, part(0, 4))
    held.add("u", "b", 3, 4, part(3, 4))
    assert held.take(ended("u")) is None


def test_a_slice_of_something_large_does_not_keep_it():
    held, large = HeldRecords(), pa.table({"id": [f"r{n}" for n in range(100_000)], "nll": np.arange(100_000.0)})
    before = pa.total_allocated_bytes()
    held.add("t", "b", 0, 1, large.slice(5, 10))
    assert pa.total_allocated_bytes() - before < 10_000
    del large
    taken = held.take(ended("t", 10))
    assert taken is not None
    assert taken.column("id").to_pylist() == [f"r{n}" for n in range(5, 15)]
    assert pa.total_allocated_bytes() < before


def test_those_held_longest_make_room_and_ids_count_once():
    numbers = part(0, 4).drop_columns("id").nbytes
    held = HeldRecords(part(0, 4).nbytes + 2 * numbers)
    for trial in range(4):
        held.add(f"t{trial}", "b", 0, 4, part(0, 4, trial))
    assert [held.take(ended(f"t{trial}")) is not None for trial in range(4)] == [False, True, True, True]
    held.add("later", "b", 0, 4, part(0, 4))  # nothing is counted that was taken
    assert held.take(ended("later")) is not None
