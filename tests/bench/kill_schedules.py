"""Kills at random: each schedule of faults on driver, actors, nodes and files must end in an undisturbed run's tables.

    nice -n 19 python tests/bench/kill_schedules.py --schedules 10 --seed 0

A cluster of three nodes on this machine, and one tiny job (baselines, frozen and fine-tuned random BERTs). A schedule
is one to three runs, each with one to three faults: SIGKILL, SIGTERM or SIGSTOP (and SIGCONT some seconds later) to the
driver, an actor or the raylet of a node, or the warning that a node will be taken away; after so many seconds or when
the store first holds a file of a kind. Between runs some of the store's files are torn and unfinished ones are left.
Then the job is run in peace. Every run that says that all is well (exit code 0), and the last must, is held against the
reference: ranking.parquet and scores.parquet, bit for bit but for times. What is drawn depends on the seed alone; where
it hits depends on the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))

from raybench.results.tables import TIMING_COLUMNS
from tests.cluster.toy_job import JobFolder, save_tiny_bert

RUN_SECONDS = 300  # a run that takes longer hangs, on a machine that has nothing else to do
TARGETS = ("driver", "actor", "node")
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "STOP": signal.SIGSTOP}
MOMENTS = ("", "checkpoints/*", "unfinished/*", "shards/*/part-*", "records/*/part-*", "trials/part-*")
TORN = ("checkpoints", "unfinished", "shards", "records", "trials", "runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a target `after` seconds after the store first holds a file like `moment` ("": after the start).

    `how` is a signal, or for a node DRAIN: the warning that it will be taken away.
    """

    target: str
    how: str
    moment: str
    after: float
    seconds: float  # until SIGCONT, or until the node goes

    def __str__(self) -> str:
        return f"{self.target} {self.how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A run's faults, and how many files of the store are torn when it has ended."""

    faults: tuple[Fault, ...]
    num_torn: int


def draw_schedule(rng: random.Random, targets: tuple[str, ...] = TARGETS) -> list[Storm]:
    """One to three runs with their faults."""
    return [
        Storm(faults=tuple(_draw_fault(rng, targets) for _ in range(rng.randint(1, 3))), num_torn=rng.choice([0, 1, 2]))
        for _ in range(rng.randint(1, 3))
    ]


def _draw_fault(rng: random.Random, targets: tuple[str, ...]) -> Fault:
    moment, target = rng.choice(MOMENTS), rng.choice(targets)
    return Fault(
        target=target,
        how=rng.choice([*SIGNALS, *(["DRAIN"] if target == "node" else [])]),
        moment=moment,
        after=rng.uniform(0, 0.5) if moment else rng.uniform(0, 20),
        seconds=rng.uniform(0.5, 30),
    )


class LocalCluster:
    """A head and some nodes, each a process group of its own; nodes that have gone are put back."""

    def __init__(self, address: str, head_pid: int, *, num_nodes: int = 2) -> None:
        self.address = address
        self._head_pid = head_pid
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._num_nodes = num_nodes

    def mend(self) -> None:
        """Start as many nodes as are missing; a start that does not come to a raylet is tried again."""
        deadline = time.monotonic() + 300
        while True:
            for node in [node for node in self._nodes if not _raylets([node.pid])]:
                _end_group(node)
                self._nodes.remove(node)
            new = [_start_ray(f"--address={self.address}") for _ in range(self._num_nodes - len(self._nodes))]
            self._nodes += new
            if _came_up(new, seconds=60):
                return
            assert time.monotonic() < deadline, "a node did not start"

    def processes(self, target: str) -> list[psutil.Process]:
        """Those that a fault may hit: the head is not, for with it the cluster is lost."""
        nodes = [node.pid for node in self._nodes]
        if target == "node":
            return _raylets(nodes)
        found = [child for raylet in _raylets([self._head_pid, *nodes]) for child in raylet.children()]
        return [process for process in found if _title(process).startswith("ray::Worker")]

    def drain(self, raylet: psutil.Process, seconds: float) -> None:
        """Tell a node that it will be taken away, as a cloud does with a spot instance."""
        node_id = next(word.partition("=")[2] for word in raylet.cmdline() if word.startswith("--node_id="))
        _ray(
            "drain-node", f"--address={self.address}", f"--node-id={node_id}", "--reason=DRAIN_NODE_REASON_PREEMPTION",
            "--reason-message=spot", f"--deadline-remaining-seconds={max(1, round(seconds))}",
        ).wait(60)  # fmt: skip

    def stop(self) -> None:
        """End the nodes."""
        for node in self._nodes:
            _end_group(node)


@contextmanager
def local_cluster(folder: Path, *, num_nodes: int = 2) -> Iterator[LocalCluster]:
    """A cluster of its own; `folder` is short: Ray's socket paths have 107 characters at most."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    head = _start_ray("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
    try:
        assert _came_up([head], seconds=300), "the head did not start"
        cluster = LocalCluster(f"127.0.0.1:{port}", head.pid, num_nodes=num_nodes)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        _end_group(head)


def _start_ray(*arguments: str) -> subprocess.Popen[bytes]:
    common = ["start", "--block", "--num-cpus=2", "--disable-usage-stats", "--object-store-memory=150000000"]
    return _ray(*common, *arguments)


def _ray(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ray.scripts.scripts", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _came_up(started: list[subprocess.Popen[bytes]], *, seconds: float) -> bool:
    """Whether each has its raylet within so many seconds; at once when one has ended instead."""
    deadline = time.monotonic() + seconds
    while len(_raylets([process.pid for process in started])) < len(started):
        if time.monotonic() > deadline or any(process.poll() is not None for process in started):
            return False
        time.sleep(0.2)
    return True


def _raylets(parents: list[int]) -> list[psutil.Process]:
    found = []
    for parent in parents:
        try:
            found += [child for child in psutil.Process(parent).children() if child.name() == "raylet"]
        except psutil.NoSuchProcess:
            continue
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(10)


class Player:
    """Plays schedules of one job over one cluster."""

    def __init__(self, cluster: LocalCluster, *, run_seconds: float = RUN_SECONDS) -> None:
        self._cluster = cluster
        self._run_seconds = run_seconds

    def play(self, schedule: list[Storm], path: Path, rng: random.Random, expected: object) -> tuple[list[str], str]:
        """What hit, and what went wrong ("": nothing)."""
        store, hits = path.parent / "store", []
        for storm in [*schedule, Storm(faults=(), num_torn=0)]:
            self._cluster.mend()
            code, words = self.run(path, storm.faults, rng, hits)
            if code is None:
                return hits, f"a run did not end in {self._run_seconds:g} s"
            if code == 0 and tables(store) != expected:
                return hits, "a run that says that all is well has other tables"
            if not storm.faults and code != 0:
                return hits, f"the run in peace ended with {code}: {words}"
            hits += tear(store, rng, storm.num_torn)
        return hits, ""

    def run(self, path: Path, faults: tuple[Fault, ...], rng: random.Random, hits: list[str]) -> tuple[int | None, str]:
        """The driver's exit code (None: it hangs) and last words."""
        command = [sys.executable, "-m", "raybench", "run", str(path)]
        with tempfile.TemporaryFile("w+") as words:
            driver = subprocess.Popen(
                [*command, "--address", self._cluster.address],
                stdout=words, stderr=words, env=os.environ | {"PYTHONWARNINGS": "ignore"},
            )  # fmt: skip
            seeds = [rng.random() for _ in faults]
            threads = [
                threading.Thread(target=self._strike, args=(fault, driver, path.parent / "store", seed, hits))
                for fault, seed in zip(faults, seeds, strict=True)
            ]
            for thread in threads:
                thread.start()
            try:
                code: int | None = driver.wait(self._run_seconds)
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                code = None
            for thread in threads:
                thread.join()
            words.seek(0)
            return code, words.read()[-2000:]

    def _strike(self, fault: Fault, driver: subprocess.Popen[bytes], store: Path, seed: float, hits: list[str]) -> None:
        while driver.poll() is None and fault.moment and not list(store.glob(fault.moment)):
            time.sleep(0.02)
        deadline = time.monotonic() + fault.after
        while driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if driver.poll() is not None:
            return
        there = [psutil.Process(driver.pid)] if fault.target == "driver" else self._cluster.processes(fault.target)
        if not there:
            return
        victim = random.Random(seed).choice(there)
        try:
            hits.append(str(fault))
            if fault.how == "DRAIN":
                self._cluster.drain(victim, fault.seconds)
                time.sleep(fault.seconds)
                victim.kill()
                return
            victim.send_signal(SIGNALS[fault.how])
            if fault.how == "STOP":
                time.sleep(fault.seconds)
                victim.send_signal(signal.SIGCONT)
        except psutil.NoSuchProcess:
            return


def tear(store: Path, rng: random.Random, count: int) -> list[str]:
    """Cut some of a store's files short, and leave an unfinished one beside each."""
    files = sorted(path for folder in TORN for path in (store / folder).rglob("*") if path.is_file())
    chosen = rng.sample(files, min(count, len(files)))
    for path in chosen:
        path.write_bytes(path.read_bytes()[: rng.randrange(max(1, path.stat().st_size))])
        (path.parent / f".{rng.getrandbits(64):x}.tmp").write_bytes(b"unfinished")
    return [f"torn {path.relative_to(store).parts[0]}" for path in chosen]


def tables(store: Path) -> object:
    """The newest run's ranking and scores but for times."""
    newest = max((store / "runs").glob("*/ranking.parquet"), key=lambda path: path.stat().st_mtime)
    ranking = pq.read_table(newest)
    timeless = [name for name in ranking.column_names if name not in TIMING_COLUMNS]
    return repr(ranking.select(timeless).to_pylist()), repr(pq.read_table(newest.parent / "scores.parquet").to_pylist())


def write_job(folder: Path, model: Path, *, actors: int = 3) -> Path:
    """Baselines, heads and a bundle of fits, long enough under way to be hit."""
    job = JobFolder(folder, model)
    full = {"name": "full", "warmup": 0.0, "decay": "constant"}
    return job.write(
        candidates=[
            {"baseline": "plugins:Slow", "name": "slow"},
            *job.job["candidates"][1:3],
            {"model": str(model), "name": "full", "method": full, "grid": {"epochs": [40, 60]}},
        ],
        seeds=[0],
        resources={"actors": actors, "shard_batches": 1, "hang_seconds": 20, "checkpoint_seconds": 0},
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with a short path, gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="rk", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="begin with this schedule of the seed")
    parser.add_argument("--run-seconds", type=float, default=RUN_SECONDS, help="more for a busy machine")
    parser.add_argument("--keep", type=Path, help="where the folders of schedules that went wrong are kept")
    given = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster is ended all the same
    wrong = 0
    with scratch() as folder, local_cluster(folder / "ray") as cluster:
        cluster.mend()
        model, player = save_tiny_bert(folder / "model"), Player(cluster, run_seconds=given.run_seconds)
        calm = write_job(folder / "calm", model)
        code, words = player.run(calm, (), random.Random(0), [])
        assert code == 0, words
        expected = tables(calm.parent / "store")
        for number in range(given.first, given.first + given.schedules):
            rng = random.Random(f"{given.seed}:{number}")
            schedule, path = draw_schedule(rng), write_job(folder / f"schedule-{number}", model)
            began = time.monotonic()
            hits, problem = player.play(schedule, path, rng, expected)
            wrong += bool(problem)
            runs, seconds = len(schedule) + 1, time.monotonic() - began
            end = f"{', '.join(hits) or 'nothing hit'}: {problem or 'the same tables'}"
            print(f"{given.seed}:{number} {runs} runs in {seconds:.0f} s, {end}", flush=True)
            if problem and given.keep:
                shutil.copytree(path.parent, given.keep / f"{given.seed}-{number}", dirs_exist_ok=True)
            shutil.rmtree(path.parent)
    print(f"{given.schedules - wrong} of {given.schedules} schedules ended in the same tables", flush=True)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
