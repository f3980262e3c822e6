"""Who reads beside somebody who joins files sees every row, at whatever moment."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from raybench.core import Status
from raybench.store.files import Files
from raybench.store.parquet import parquet_bytes, read_footer
from raybench.store.records import (
    compact_records,
    count_records,
    list_records,
    read_records,
    sum_disjoint,
    write_records,
)
from raybench.store.trials import TrialLog, TrialRow


class Interleaved(Files):
    """Does something before its n-th read or listing, as another process may."""

    def __init__(self, url, at, act):
        super().__init__(url)
        self.at, self.act, self.num_calls, self.bytes_read = at, act, 0, 0

    def _step(self):
        if self.num_calls == self.at:
            self.act()
        self.num_calls += 1

    def find(self, folder, suffix):
        self._step()
        return super().find(folder, suffix)

    def read(self, relative, start=None, stop=None):
        self._step()
        data = super().read(relative, start, stop)
        self.bytes_read += len(data)
        return data


@pytest.mark.parametrize("moment", range(8))
def test_records_joined_at_any_moment_are_read_whole(tmp_path, moment):
    files = Files(str(tmp_path))
    for part in range(6):
        write_records(files, "t", "b", part, part + 1, pa.table({"id": [f"{part}"], "prediction": [part]}))
    whole = read_records(files, "t", "b", pytest.fail)
    reader = Interleaved(str(tmp_path), moment, lambda: compact_records(files, "t", "b", pytest.fail))
    assert read_records(reader, "t", "b", pytest.fail) == whole


@pytest.fixture(scope="module")
def many_trials(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for number in range(66):
        TrialLog(Files(str(folder))).write([TrialRow(trial_id=f"t{number}", status=Status.OK, finished_at=1.0)])
    return folder


@pytest.mark.parametrize("moment", [0, 1, 40, 67])
def test_trials_joined_at_any_moment_are_read_whole(many_trials, tmp_path, moment):
    files = Files(str(shutil.copytree(many_trials, tmp_path / "store")))
    reader = Interleaved(files.url, moment, lambda: TrialLog(files).compact(pytest.fail))
    assert len(TrialLog(reader).read(pytest.fail)) == 66


@pytest.mark.parametrize("moment", [0, 1, 2, 40, 67])
def test_two_who_join_trials_at_once_lose_none(many_trials, tmp_path, moment):
    files = Files(str(shutil.copytree(many_trials, tmp_path / "store")))
    other = Interleaved(files.url, moment, lambda: TrialLog(files).compact(pytest.fail))
    TrialLog(other).compact(pytest.fail)
    assert len(TrialLog(files).read(pytest.fail)) == 66


@pytest.mark.parametrize("num_files", [1, 3, 9])
def test_records_are_counted_without_reading_them(tmp_path, num_files):
    files = Files(str(tmp_path))
    ids = [[f"{part}-{row:0100}" for row in range(20_000)] for part in range(num_files)]
    for part in range(num_files):
        write_records(files, "t", "b", part, part + 1, pa.table({"id": ids[part], "noise": ids[part]}))
    compact_records(files, "t", "b", pytest.fail)
    reader = Interleaved(str(tmp_path), -1, None)
    assert count_records(reader, "t", list_records(reader)["t"], "b", pytest.fail) == 20_000 * num_files
    assert reader.bytes_read <= 4096 * num_files


def test_a_footer_longer_than_the_first_read_is_read(tmp_path):
    files = Files(str(tmp_path))
    wide = pa.table({f"a rather long name of a column, number {number}": [number] for number in range(300)})
    files.write("wide", parquet_bytes(wide, "records", 1))
    assert read_footer(files, "wide", "records") == (1, "")
    assert read_footer(files, "wide", "trials").reason == "not a trials file of raybench"


def test_records_that_overlap_are_counted_by_id(tmp_path):
    files = Files(str(tmp_path))
    write_records(files, "t", "b", 0, 2, pa.table({"id": ["a", "b"]}))
    write_records(files, "t", "b", 1, 3, pa.table({"id": ["b", "c"]}))
    assert count_records(files, "t", list_records(files)["t"], "b", pytest.fail) == 3


def test_files_that_overlap_have_no_sum():
    assert sum_disjoint({(0, 2): 5, (2, 4): 6}) == 11
    assert sum_disjoint({(0, 3): 5, (2, 4): 6}) is None
    assert sum_disjoint({}) == 0


def test_a_torn_record_file_is_named_when_it_is_counted(tmp_path):
    files, notes = Files(str(tmp_path)), {}
    write_records(files, "t", "b", 0, 1, pa.table({"id": ["a"]}))
    (path,) = list_records(files)["t"]
    files.write(path, files.read(path)[:-5])
    assert count_records(files, "t", [path], "b", notes.__setitem__) == 0
    assert notes == {path: "torn or not Parquet"}


def test_the_latest_row_wins_wherever_it_lies(tmp_path):
    log, row = TrialLog(Files(str(tmp_path))), TrialRow(trial_id="t", status=Status.OK, finished_at=2.0)
    log.write([row])
    log.write([replace(row, status=Status.FAILED, finished_at=1.0)])
    assert log.read(pytest.fail)["t"].status is Status.OK


def test_a_byte_that_rotted_is_found_when_it_is_read(tmp_path):
    files, notes = Files(str(tmp_path)), {}
    write_records(files, "t", "b", 0, 1, pa.table({"id": ["a"], "prediction": pa.array([7], pa.int32())}))
    (path,) = list_records(files)["t"]
    data = bytearray(files.read(path))
    data[40] ^= 1
    files.write(path, bytes(data))
    assert read_records(files, "t", "b", notes.__setitem__) is None
    assert notes[path].startswith("torn or not Parquet (")
