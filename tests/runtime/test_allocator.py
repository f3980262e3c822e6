"""What glibc's allocator does in a process that is started to compute."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from raybench.runtime.allocator import KEEPS_FREED_MEMORY

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

_MEGABYTES = 80  # more than a heap of a thread's own may have
_FILLS = f"""
import resource, threading
from raybench.runtime.allocator import give_back_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20

def fill():
    b"x" * ({_MEGABYTES} << 20)
    before = faults()
    for _ in range(3):
        b"x" * ({_MEGABYTES} << 20)
    print(faults() - before)

thread = threading.Thread(target=fill)
thread.start()
thread.join()
held = resident()
give_back_freed_memory()
print(held - resident())
"""


def filled(environment: dict[str, str]) -> tuple[int, int]:
    """Page faults of filling large blocks three times more in a thread, and megabytes given back afterwards."""
    plain = {name: value for name, value in os.environ.items() if name not in KEEPS_FREED_MEMORY}
    done = subprocess.run(
        [sys.executable, "-c", _FILLS], env=plain | environment, capture_output=True, text=True, check=True
    )
    faults, returned = done.stdout.split()
    return int(faults), int(returned)


def test_large_blocks_cost_page_faults_once_in_any_thread():
    assert filled({})[0] >= 3 * _MEGABYTES * 100, "glibc does so by itself: the tunables can go"
    assert filled(dict(KEEPS_FREED_MEMORY))[0] < _MEGABYTES


def test_what_is_kept_is_given_back_on_request():
    assert filled(dict(KEEPS_FREED_MEMORY))[1] >= _MEGABYTES * 0.9
