"""A report of many trials: what it takes to make one, and how large its page is.

    python -m tests.bench.bench_report [--candidates 100] [--datasets 5] [--examples 20000]

Makes a store of candidates × datasets (500 trials of 20,000 examples of 10 classes) in a temporary directory, which
takes minutes, and then runs the command `raybench report` once, in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.report.made_run import make_rows, make_run

LABELS = tuple(f"topic {number}" for number in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--datasets", type=int, default=5)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--keep", type=Path, help="a folder for the store, which is used again if it is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        if not (folder / "store").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make_run(
                folder,
                datasets={
                    f"set-{number}": make_rows(given.examples + number, LABELS) for number in range(given.datasets)
                },
                candidates={
                    f"candidate-{number}": 1 + 2 * number / given.candidates for number in range(given.candidates)
                },
                sliced=False,
            )
        page = folder / "report.html"
        began = time.perf_counter()
        command = [sys.executable, "-m", "raybench", "report", str(folder / "store"), "--output", str(page)]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        took = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{given.candidates * given.datasets} trials × {given.examples:,} examples: {took:.1f} s by the clock, "
            f"{used.ru_utime + used.ru_stime:.1f} s of a processor, {used.ru_maxrss / 2**20:.2f} GiB, "
            f"{page.stat().st_size / 2**20:.2f} MiB"
        )


if __name__ == "__main__":
    main()
