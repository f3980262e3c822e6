"""The walk of raybench/README.md, as it is printed there: a user's own task is planned, run, ranked and rescored."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

import raybench
from raybench.job import load_job
from raybench.planning.plan import make_plan
from raybench.results.rescore import rescore
from tests.cluster.toy_job import save_tiny_bert

GUIDE = Path(__file__).parents[2] / "raybench" / "README.md"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    walk = GUIDE.read_text().partition("## A task of one's own")[2]
    code, text = (re.search(rf"```{kind}\n(.*?)```", walk, re.S).group(1) for kind in ("python", "yaml"))
    assert len(code.splitlines()) <= 80
    (tmp_path / "ratings.py").write_text(code)
    spec = yaml.safe_load(text)
    model = str(save_tiny_bert(tmp_path / "model"))
    for candidate in spec["candidates"]:
        candidate["model"] = model
    draw = random.Random(0)
    lines = [
        f"{' '.join(f'w{stars * 8 + draw.randrange(12)}' for _ in range(9))},{stars}"
        for stars in [0, 1, 2, 3, 4, 5] * 25
    ]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,stars", *lines]))
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(spec | {"store": str(tmp_path / "store"), "resources": {"actors": 1}}))
    return path


def test_a_task_of_ones_own_goes_through_plan_run_rank_and_rescore(job: Path, ray_address: str) -> None:
    plan = make_plan(load_job(job))
    problems = {one.trial.candidate: one.problem.reason for one in plan.trials if one.problem}
    assert list(problems) == ["as-it-is"]
    assert "no checkpoint is saved with a head of steps" in problems["as-it-is"]
    ranking = raybench.run(job, address=ray_address, quiet=True)
    rows = {row["candidate"]: row for row in ranking.table.to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "frozen": "ok", "lora": "ok", "as-it-is": "incompatible",
    }  # fmt: skip
    assert rows["frozen"]["rank_by"] == "mae"
    assert rows["frozen"]["mae"] < 1.5, "the middle alone is 1.5 stars off"
    again = rescore(str(job.parent / "store"), ["rmse"], skipped=pytest.fail)
    assert {row["candidate"] for row in again.table.to_pylist()} == {"frozen", "lora"}
