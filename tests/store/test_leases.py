"""Leases on a real store: one holder at a time, a dead one is no obstacle, a silent one finds out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from raybench.core.errors import StoreError
from raybench.store.files import Files
from raybench.store.leases import Lease, read_holders
from raybench.store.process import still_runs, this_process


@pytest.fixture(params=["disk", "memory"])
def files(request, tmp_path):
    files = Files(str(tmp_path / "s") if request.param == "disk" else f"memory://{tmp_path.name}")
    yield files
    files.remove("")


def test_the_older_run_does_a_trial_and_the_younger_one_waits_until_it_is_released(files):
    with Lease(files, "r", ["a", "b"]) as older, Lease(files, "s", ["b", "c"]) as younger:
        assert older.divide(["a", "b"]).take == {"a", "b"}
        take, wait = younger.divide(["b", "c"])
        assert (take, list(wait.values())) == ({"c"}, [{"b"}])
        (holder,) = younger.holders.values()
        assert str(holder).startswith(f"process {os.getpid()} on ")
        assert older.divide(["a", "b"]).take == {"a", "b"}, "whoever came later changes nothing"
    with Lease(files, "s", ["b"]) as younger:
        assert younger.divide(["b"]).take == {"b"}
    assert files.find("leases", "") == []


CHILD = """
import sys
from raybench.store.files import Files
from raybench.store.leases import Lease
with Lease(Files(sys.argv[1]), "r", ["a"]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_is_taken_over_at_once(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "held\n"
        with Lease(Files(str(tmp_path)), "r", ["a"]) as lease:
            assert not lease.divide(["a"]).take
            child.send_signal(signal.SIGKILL)
            deadline = time.monotonic() + 60
            while still_runs(next(iter(lease.holders.values())).process):
                assert time.monotonic() < deadline, "a zombie counts as gone: nobody has waited for it yet"
                time.sleep(0.01)
            assert lease.divide(["a"]).take == {"a"}
        assert Files(str(tmp_path)).find("leases", "") == [], "the dead one's is gone too"
    finally:
        child.kill()
        child.communicate()


def from_another_machine(files, silent_seconds):
    """A ticket as another host would write it, so long ago."""
    process = replace(this_process(), host="elsewhere", machine="another boot")
    body = {"run_id": "r", "trial_ids": ["a"], "process": asdict(process), "began_at": 0.0}
    files.write("leases/00000001-x.json", json.dumps(body).encode())
    then = time.time() - silent_seconds
    os.utime(files.path("leases/00000001-x.json"), (then, then))


@pytest.mark.parametrize(("silent_seconds", "taken"), [(0, set()), (50, set()), (70, {"a"})])
def test_a_run_on_another_machine_is_dead_after_a_minute_of_silence(tmp_path, silent_seconds, taken):
    files = Files(str(tmp_path))
    from_another_machine(files, silent_seconds)
    with Lease(files, "r", ["a"]) as lease:
        assert lease.divide(["a"]).take == taken
    assert len(files.find("leases", ".json")) == (0 if taken else 1)


def test_a_sign_of_life_keeps_a_lease(tmp_path):
    files = Files(str(tmp_path))
    with Lease(files, "r", ["a"], beat_seconds=0.05):
        (holder,) = read_holders(files)
        deadline = time.monotonic() + 20
        while next(iter(read_holders(files))).modified <= holder.modified:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_run_that_was_taken_for_dead_finds_out_and_does_not_come_to_life_again(tmp_path):
    files = Files(str(tmp_path))
    silent = Lease(files, "r", ["a"], beat_seconds=0.02)
    with silent, Lease(files, "r", ["a"], dead_seconds=-1.0) as other:
        assert other.divide(["a"]).take == {"a"}
        with pytest.raises(StoreError, match="another one goes on with its trials; run the same command again"):
            silent.check()
        time.sleep(0.1)  # some beats
        assert [holder.ticket.owner for holder in read_holders(files)] == [other.owner]


def test_many_who_begin_at_once_never_hold_the_same(tmp_path):
    held, most, taken, lock = [], [], [], threading.Lock()

    def run(number):
        with Lease(Files(str(tmp_path)), f"{number}", ["a"]) as lease:
            while not lease.divide(["a"]).take:
                time.sleep(0.005)
            with lock:
                held.append(number)
                most.append(len(held))
            time.sleep(0.01)
            with lock:
                held.remove(number)
                taken.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert sorted(taken) == list(range(6))


def test_foreign_files_among_the_leases_are_left_alone(tmp_path):
    files = Files(str(tmp_path))
    for name in ("notes.json", "00000001-x.json"):
        files.write(f"leases/{name}", b"{}")
    with Lease(files, "r", ["a"]) as lease:
        assert lease.divide(["a"]).take == {"a"}
    assert files.find("leases", "") == ["leases/00000001-x.json", "leases/notes.json"]


def test_a_process_is_known_by_when_it_began():
    mine = this_process()
    assert still_runs(mine) is True
    assert still_runs(replace(mine, began="1")) is False
    assert still_runs(replace(mine, pid=2**22 + 1)) is False
    assert still_runs(replace(mine, machine="another")) is None
    assert still_runs(replace(mine, machine="")) is None
