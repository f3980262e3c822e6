"""`raybench plan` tells what a job will cost and what other machines would make of it; mistakes are one line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from raybench.cli import app
from raybench.core import ModelSpec, Status
from raybench.core.errors import JobError
from raybench.job import Resources
from raybench.models.forward_cost import Rate
from raybench.planning.rates import Rates
from raybench.report.calibration import Machine
from raybench.report.plan_cost import actors_of, bfloat16_lines, idle_lines, packing_lines
from raybench.report.simulation_text import Circumstances
from raybench.schedule.simulate import Simulated

JOB = """
name: costs
store: {store}
candidates:
  - baseline: majority
  - baseline: tfidf-logistic
datasets:
  - {{name: a, source: csv, data_files: {{train: train.csv, test: test.csv}}, task: text-classification}}
resources: {{actors: 2, gpus_per_actor: 0}}
"""


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "cache"))
    for name, count in (("train", 40), ("test", 20)):
        lines = [f"{name} word{row} text,{'ab'[row % 2]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))

    def plan(*options, more=""):
        (tmp_path / "job.yaml").write_text(JOB.format(store=tmp_path / "store") + more)
        return CliRunner().invoke(app, ["plan", str(tmp_path / "job.yaml"), *options])

    return plan


def test_it_says_hours_end_memory_and_where_the_figures_are_from(planned):
    lines = planned().output.splitlines()
    begins = [line.partition(":")[0] for line in lines[-4:]]
    assert begins == ["cost", "ends", "memory", "from"]
    assert "2 actors" in lines[-3]
    assert "--calibrate" in lines[-1]


def test_money_and_a_budget_are_told_where_the_job_has_them(planned):
    output = planned(more="prices: {actor: 3600, currency: EUR}\nbudget: {hours: 8}\n").output
    assert "EUR" in output
    assert "budget: 8 h 0 min: 2 of 2 trials end within it\n" in output
    assert "budget: 0 s: 0 of 2" in planned(more="budget: {hours: 0.0001}\n").output


def test_of_a_race_it_says_that_it_may_cost_less(planned):
    assert "race: reckoned as if nobody was stopped" in planned(more="rank_by: accuracy\nrace: {keep: 1}\n").output
    assert "race" not in planned().output


def test_other_circumstances_are_simulated(planned):
    output = planned("--simulate", "actors=100, preempt=2%/h, speed=10").output
    assert "simulated: 100 actors, each 10 times as fast" in output
    assert "times the least that any order could reach" in output


def simulated(busy_seconds, num_actors=2):
    return Simulated(
        makespan=320.0, num_actors=num_actors, busy_seconds=busy_seconds, lost_seconds=0.0, num_preempted=0,
        ended={"a": Status.OK, "b": Status.OK}, ended_at={"a": 100.0, "b": 320.0},
    )  # fmt: skip


def test_idle_actors_are_told_with_whom_they_wait_for():
    (line,) = idle_lines(simulated(400.0), 300.0, {"a": "short on d", "b": "long on d"})
    assert line.startswith("idle: 33% of the actors' time (3 min 20 s); long on d ends last;")


@pytest.mark.parametrize(
    ("busy", "seconds", "actors"), [(520.0, 300.0, 2), (70.0, 60.0, 2), (300.0, 300.0, 1), (0.0, 0.0, 2)]
)
def test_a_little_idle_time_is_not_worth_a_line(busy, seconds, actors):
    assert not idle_lines(simulated(busy, actors), seconds, {"b": "long on d"})


ON_GPU = Machine(
    rates=Rates(
        measured=(Rate(384, 1e13, 1e13),), start_seconds=5.0, memory_bytes=0, device_bytes=80 * 10**9, device_name="GPU"
    ),
    is_measured=True, threads=2, device="cuda", gpus_per_actor=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("memory", "num_cpus", "num_gpus", "part"),
    [
        ([8.4e9] * 20, 64, 1, "8 such trials fit on a GPU side by side: `gpus_per_actor: 0.125`"),
        ([1e9, 23e9, 2e9], 64, 1, "3 such trials fit on a GPU side by side: `gpus_per_actor: 0.333`"),
        ([1e9] * 100, 9, 1, "4 such trials fit on a GPU side by side: `gpus_per_actor: 0.25`"),  # of two threads each
        ([1e9] * 2, 64, 1, "2 such trials fit on a GPU side by side: `gpus_per_actor: 0.5`"),
        ([1e9] * 100, 64, 8, "4 such trials fit on a GPU side by side: `gpus_per_actor: 0.25`"),  # 8 CPUs each
        ([1e9] * 20, 640, 8, "3 such trials fit on a GPU side by side: `gpus_per_actor: 0.333`"),
    ],
)
def test_trials_that_fit_on_one_gpu_side_by_side_are_told_with_what_packs_them(memory, num_cpus, num_gpus, part):
    (line,) = packing_lines(memory, ON_GPU, num_cpus, num_gpus)
    assert line.startswith(f"packing: {part}")


@pytest.mark.parametrize(
    ("memory", "machine"),
    [
        ([50e9] * 9, ON_GPU),
        ([1e9], ON_GPU),
        ([], ON_GPU),
        ([1e9] * 9, ON_GPU._replace(gpus_per_actor=0.5)),
        ([1e9] * 9, ON_GPU._replace(gpus_per_actor=0.0)),
        ([1e9] * 9, ON_GPU._replace(rates=replace(ON_GPU.rates, device_bytes=0))),
    ],
)
def test_nothing_is_said_of_packing_where_a_gpu_has_no_room_for_two(memory, machine):
    assert not packing_lines(memory, machine, 64, 1)


def test_nothing_is_said_of_packing_where_every_trial_has_a_gpu():
    assert not packing_lines([1e9] * 8, ON_GPU, 64, 8)


@pytest.mark.parametrize(
    ("part", "num_cpus", "num_gpus", "actors"),
    [(1.0, 64, 8, 8), (0.25, 64, 8, 32), (0.25, 20, 8, 10), (1.0, 64, 0, 1), (0.5, 64, 0, 2), (0.0, 64, 8, 32)],
)
def test_a_job_that_leaves_actors_open_has_those_of_all_gpus(part, num_cpus, num_gpus, actors):
    resources = Resources(cpus_per_actor=2)
    assert actors_of(resources, ON_GPU._replace(gpus_per_actor=part), num_cpus, num_gpus) == actors


NETWORK, BASELINE = ModelSpec(reference="m"), ModelSpec(reference="baseline:majority")
RATES = Rates(
    measured=(Rate(384, 1e11, 1e11),), start_seconds=5.0, memory_bytes=0, device_bytes=0, device_name="",
    in_bfloat16=(Rate(384, 5e11, 2e11),),
)  # fmt: skip


def test_a_processor_that_is_quicker_in_bfloat16_is_told():
    (line,) = bfloat16_lines([BASELINE, NETWORK], RATES)
    assert line.startswith("bfloat16: this processor scores 5.0 × and trains 2.0 × as fast in it: `dtype: bfloat16`")


@pytest.mark.parametrize(
    ("model", "rates"),
    [
        (BASELINE, RATES),
        (replace(NETWORK, dtype="bfloat16"), RATES),
        (NETWORK, replace(RATES, in_bfloat16=())),
        (NETWORK, replace(RATES, in_bfloat16=(Rate(384, 1.2e11, 1.2e11),))),
    ],
)
def test_nothing_is_said_of_bfloat16_where_nothing_would_be_gained(model, rates):
    assert not bfloat16_lines([model], rates)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu=4", "did you mean gpus"),
        ("gpus=many", "want a number"),
        ("preempt=2, gpus=4", "a share of the actors an hour, such as 2%/h"),
        ("preempt=2%/h", "want gpus= or actors="),
        ("gpus=4, actors=4", "want gpus= or actors="),
        ("actors=0", "want more than 0"),
    ],
)
def test_what_says_nothing_of_circumstances_is_one_line(text, said):
    with pytest.raises(JobError, match=r"^--simulate") as caught:
        Circumstances.read(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_circumstances_are_read_as_written():
    read = Circumstances.read("gpus=1000, preempt=2%/h,again=60s , seed=7")
    assert (read.gpus, read.preempt, read.again, read.seed) == (1000, 0.02, 60, 7)
    assert (read.num_actors(0.5), read.num_actors(0)) == (2000, 1000)


@pytest.mark.parametrize("more", ["budget: {hours: 0}\n", "budget: 8\n", "prices: {gpus: 2}\n", "prices: {cpu: -1}\n"])
def test_a_wrong_budget_or_price_is_one_line_with_its_place(planned, more):
    result = planned(more=more)
    assert result.exit_code == 2
    assert "job.yaml:10: " in result.output + (result.stderr if result.stderr_bytes else "")
