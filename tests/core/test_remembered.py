"""What is remembered on this machine: found again whole or not at all, and by everything that it hangs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from raybench.core import stamps
from raybench.core.remembered import forget, keep, recall
from raybench.core.stamps import file_stamps, installed_stamp, tree_stamps


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def settled(path: Path, seconds: float = 100.0) -> Path:
    """The file as if it had been written a while ago; its inode says otherwise, which only a clock can put right."""
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))
    return path


@pytest.fixture
def no_tick(monkeypatch):
    """Files count as settled at once."""
    monkeypatch.setattr(stamps, "_SETTLED_SECONDS", -1.0)


def test_an_answer_is_found_under_its_own_key_alone():
    keep("kind", ["a", 1], {"cost": 0.1, "names": ["x"]})
    assert recall("kind", ["a", 1]) == {"cost": 0.1, "names": ["x"]}
    assert recall("kind", ["a", 2]) is None
    assert recall("other", ["a", 1]) is None
    forget("kind", ["a", 1])
    assert recall("kind", ["a", 1]) is None


@pytest.mark.parametrize("tear", [lambda data: data[:-1], lambda data: b"", lambda data: data.replace(b"1", b"2")])
def test_a_torn_answer_is_none_and_can_be_kept_anew(cache, tear):
    keep("kind", "key", [1, 1])
    (file,) = cache.rglob("*.json")
    file.write_bytes(tear(file.read_bytes()))
    assert recall("kind", "key") is None
    keep("kind", "key", [1, 1])
    assert recall("kind", "key") == [1, 1]


def test_nothing_is_kept_without_a_cache_or_where_a_disk_refuses(cache, monkeypatch):
    cache.write_text("a file where the directory would be")
    keep("kind", "key", 1)
    assert recall("kind", "key") is None
    monkeypatch.setenv("RAYBENCH_CACHE", "")
    keep("kind", "key", 1)
    assert recall("kind", "key") is None


def test_what_nobody_asks_for_is_let_go(cache):
    for number in range(600):  # among these there is one whose name lets the unused go
        keep("kind", number, number)
        if number == 0:
            (first,) = cache.rglob("*.json")
            settled(first, seconds=100 * 86_400)
    assert recall("kind", 0) is None
    assert recall("kind", 599) == 599


def test_a_file_that_has_just_changed_has_no_stamp(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("a")
    assert file_stamps([file]) is None
    assert file_stamps([settled(file)]) is None  # its inode was changed just now: times can be put back
    monkeypatch.setattr(stamps, "_SETTLED_SECONDS", -1.0)
    assert file_stamps([file]) is not None


def test_a_change_of_equal_size_with_its_time_put_back_is_another_stamp(tmp_path, no_tick):
    file = tmp_path / "file"
    file.write_text("a")
    before, seen = file_stamps([file]), file.stat()
    with file.open("r+") as opened:
        opened.write("b")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns, file.stat().st_ino) == (1, seen.st_mtime_ns, seen.st_ino)
    assert file_stamps([file]) != before


def test_a_tree_has_another_stamp_with_a_file_more_or_a_name_changed(tmp_path, no_tick):
    (tmp_path / "tree" / "inside").mkdir(parents=True)
    (tmp_path / "tree" / "inside" / "a").write_text("a")
    seen = [tree_stamps(tmp_path / "tree")]
    (tmp_path / "tree" / "b").write_text("b")
    seen.append(tree_stamps(tmp_path / "tree"))
    (tmp_path / "tree" / "b").rename(tmp_path / "tree" / "c")
    seen.append(tree_stamps(tmp_path / "tree"))
    assert None not in seen
    assert len({str(one) for one in seen}) == 3


def test_a_package_installed_or_replaced_is_another_stamp(tmp_path, monkeypatch, no_tick):
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = installed_stamp.__wrapped__
    seen = [asked()]
    for name in ("made-1.0.dist-info", "made-1.1.dist-info"):
        (tmp_path / name).mkdir()
        seen.append(asked())
    (tmp_path / name).rmdir()
    (tmp_path / name).mkdir()  # the same release installed again
    os.utime(tmp_path / name, (1, 1))
    seen.append(asked())
    assert None not in seen
    assert len(set(seen)) == 4


def test_a_process_started_in_a_checkout_has_the_stamp_of_one_started_elsewhere(tmp_path, monkeypatch, no_tick):
    asked = installed_stamp.__wrapped__
    seen = asked()
    (tmp_path / "raybench.egg-info").mkdir()  # what `pip install -e` leaves beside the package
    monkeypatch.chdir(tmp_path)
    for first in ("", str(tmp_path)):  # python -c, python -m
        monkeypatch.setattr(sys, "path", [first, *sys.path])
        assert asked() == seen


def test_packages_in_the_working_directory_count_however_it_is_written(tmp_path, monkeypatch, no_tick):
    (tmp_path / "made-1.0.dist-info").mkdir()
    monkeypatch.chdir(tmp_path)
    others = [folder for folder in sys.path if folder]
    seen = []
    for path in (["", *others], [str(tmp_path), *others], others):
        monkeypatch.setattr(sys, "path", path)
        seen.append(installed_stamp.__wrapped__())
    assert seen[0] == seen[1] != seen[2]
