"""What makes a trial another one: its own code, never what else lies beside the job or which release names itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import transformers

from raybench.core import ModelSpec
from raybench.job import load_job
from raybench.models.fingerprint import weights_fingerprint
from raybench.planning.plan import Plan, make_plan

JOB = """
name: own
metrics: [accuracy, "own_metric:MINE"]
candidates:
  - baseline: majority
  - {baseline: "own_baseline:Mine", name: mine}
  - {model: MODEL, name: full, method: full}
  - {model: MODEL, name: own, method: "own_method:Mine"}
datasets:
  - {name: plain, source: csv, data_files: {train: rows.csv, test: rows.csv}, task: text-classification}
  - {name: own, source: "own_rows:load", splits: {train: train, test: train}, task: "own_task:Mine"}
"""
FILES = {
    "rows.csv": "text,label\n" + "".join(f"w{row},{'ab'[row % 2]}\n" for row in range(10)),
    "own_helper.py": "",
    "own_unread.py": "",
    "own_rows.py": "def load():\n    return [{'text': f'w{row}', 'label': 'ab'[row % 2]} for row in range(10)]\n",
    "own_metric.py": "from raybench.metrics.catalog import find\nMINE = find('mcc')[0]\n",
    "own_baseline.py": "import own_helper\nfrom raybench.recipes.baselines.majority import Majority\n"
    "class Mine(Majority):\n    pass\n",
    "own_method.py": "from raybench.recipes.methods.full import Full\nclass Mine(Full):\n    name = 'mine'\n",
    "own_task.py": "from raybench.tasks.text_classification import TextClassification\n"
    "class Mine(TextClassification):\n    pass\n",
}
EVERY = {(name, data) for name in ("majority", "mine", "full", "own") for data in ("plain", "own")}


@pytest.fixture
def plan(tmp_path: Path, tiny_bert: Path) -> Iterator[Callable[[], Plan]]:
    for name, text in (FILES | {"job.yaml": JOB.replace("MODEL", str(tiny_bert))}).items():
        (tmp_path / name).write_text(text)
    path, modules = sys.path.copy(), set(sys.modules)
    yield lambda: make_plan(load_job(tmp_path / "job.yaml"))
    sys.path[:] = path
    for name in [name for name in set(sys.modules) - modules if name.startswith("own_")]:
        del sys.modules[name]


def ids(plan: Plan) -> dict[tuple[str, str], str]:
    assert not [one.problem for one in plan.trials if one.problem]
    return {(one.trial.candidate, one.trial.dataset.name): one.trial.trial_id for one in plan.trials}


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ("own_baseline.py", {("mine", "plain"), ("mine", "own")}),
        ("own_helper.py", {("mine", "plain"), ("mine", "own")}),
        ("own_method.py", {("own", "plain"), ("own", "own")}),
        ("own_task.py", {one for one in EVERY if one[1] == "own"}),
        ("own_rows.py", set()),  # its rows are known by their content
        ("own_metric.py", set()),  # trials stand; their shards and tables are made anew
        ("own_unread.py", set()),
    ],
)
def test_code_that_changes_is_new_work_for_those_who_run_it(
    plan: Callable[[], Plan], tmp_path: Path, changed: str, anew: set[tuple[str, str]]
) -> None:
    before = plan()
    (tmp_path / changed).write_text(FILES[changed] + "# changed\n")
    after = plan()
    assert {one for one in EVERY if ids(before)[one] != ids(after)[one]} == anew
    remeasured = changed == "own_metric.py"
    assert (before.datasets["plain"].measures != after.datasets["plain"].measures) is remeasured
    assert (before.run_id != after.run_id) is (remeasured or bool(anew))


def test_an_architecture_is_the_same_in_every_patch_release(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint() -> str:
        return weights_fingerprint(ModelSpec(reference="arch:bert", config={"hidden_size": 24}))

    before = fingerprint()
    monkeypatch.setattr(transformers.configuration_utils, "__version__", "99.0.1")
    config = transformers.BertConfig()
    config.transformers_version = "99.0.1"
    assert config.to_dict()["transformers_version"] == "99.0.1"
    monkeypatch.setattr(transformers.AutoConfig, "for_model", lambda _: config)
    assert config.hidden_size != 24
    assert weights_fingerprint(ModelSpec(reference="arch:bert", revision="x", config={"hidden_size": 24})) == before
    other = ModelSpec(reference="arch:bert", revision="y", config={"hidden_size": 24, "hidden_dropout_prob": 0.2})
    assert weights_fingerprint(other) != before
