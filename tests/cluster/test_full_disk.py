"""A store on a disk that fills up while a job runs: one line, nothing half written, and the run goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

import raybench
from raybench.results.tables import TIMING_COLUMNS

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)


def fill(folder):
    """Leave no room at all."""
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_it_goes_on_with_room(
    make_job, mount_disk, ray_address, small
):
    job, disk = make_job(), mount_disk("2m")
    path = job.write(**small.keys, store=str(disk / "store"))
    command = [sys.executable, "-m", "raybench", "run", str(path)]
    driver = subprocess.Popen(
        [*command, "--address", ray_address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    while not (job.folder / "slow").exists():
        assert driver.poll() is None, driver.stderr.read()
        time.sleep(0.01)
    driver.send_signal(signal.SIGSTOP)  # or it might be done before
    fill(disk)
    driver.send_signal(signal.SIGCONT)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 2, said
    last = said.splitlines()[-1]
    assert last.startswith(f"store {disk}/store: is full (No space left on device); make room there and run the same")
    assert said.count("No space left") == 1
    assert "Traceback" not in said
    assert [*disk.rglob(".*")] == []
    (disk / "filler").unlink()
    again = raybench.run(path, address=ray_address, quiet=True)
    assert again.complete
    assert again.scores.equals(small.ranking.scores)
    columns = [name for name in again.table.column_names if name not in TIMING_COLUMNS]
    assert again.table.select(columns).equals(small.ranking.table.select(columns))
    assert pq.read_table(disk / "store" / "runs" / again.run_id / "ranking.parquet").equals(again.table)
