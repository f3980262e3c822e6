"""Checkpoints of texts that are new to a machine are planned without torch, as they are with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raybench.job import load_job
from raybench.planning.plan import make_plan

TASKS = {
    "text-classification": {"text": "text", "label": "label"},
    "causal-lm": {"text": "text"},
    "text-generation": {"source": "text", "target": "label"},
    "sentence-similarity": {"text": "text", "text_pair": "label", "value": "score"},
}
PLANS = """
import json, sys
from raybench.cli import app
from raybench.job import load_job
from raybench.planning.plan import make_plan
app(["check", sys.argv[1]], standalone_mode=False)
plan = make_plan(load_job(sys.argv[1]))
app(["plan", sys.argv[1]], standalone_mode=False)
assert not {"torch", "ray"} & set(sys.modules), "it is imported"
print(json.dumps([plan.run_id, [[one.trial.trial_id, one.processor, str(one.problem)] for one in plan.trials]]))
"""
LATER = """
import sys
from raybench.models.later_torch import import_configurations
import_configurations()
assert "torch" not in sys.modules
from transformers import modeling_rope_utils
assert modeling_rope_utils.torch.float32.is_floating_point
assert modeling_rope_utils.torch is sys.modules["torch"]
import torch.nn, transformers
assert transformers.BertModel.__mro__[-2].__module__ != "transformers.utils.dummy_pt_objects"
"""
CHANGED = """
import sys
from pathlib import Path
from raybench.models import later_torch
sys.path.insert(0, ".")
Path("asks_for_a_part.py").write_text("import torch.nn.functional\\nfunctional = torch.nn.functional\\n")
later_torch._IMPORTS_TORCH = "asks_for_a_part"
later_torch.import_configurations()
import torch, asks_for_a_part
assert asks_for_a_part.functional is torch.nn.functional
"""


@pytest.fixture
def job(tmp_path: Path, tiny_bert: Path) -> Path:
    assert "dtype" in (tiny_bert / "config.json").read_text()
    (tmp_path / "texts.csv").write_text(
        "text,label,score\n" + "".join(f"bank {i},{'ab'[i % 2]},{i}\n" for i in range(20))
    )
    described = {
        "name": "texts",
        "candidates": [
            {"model": str(tiny_bert), "name": "frozen", "method": "frozen"},
            {"model": str(tiny_bert), "name": "as-it-is", "method": "none"},
            {"model": str(tiny_bert), "name": "lora", "method": "lora"},
            {"model": "arch:modernbert", "tokenizer": str(tiny_bert), "method": "full"},
            {"model": "arch:gpt2", "tokenizer": str(tiny_bert), "method": "full"},
            {"model": "arch:t5", "tokenizer": str(tiny_bert), "method": "full"},
        ],
        "datasets": [
            {
                "name": task,
                "source": "csv",
                "data_files": {"train": "texts.csv", "test": "texts.csv"},
                "task": task,
                "columns": columns,
            }
            for task, columns in TASKS.items()
        ],
    }
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(described))
    return path


def python(code: str, *arguments: Path, cache: Path) -> str:
    environment = {**os.environ, "RAYBENCH_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=cache.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_texts_are_planned_without_torch_as_with_it(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = json.loads(python(PLANS, job, cache=tmp_path / "one").splitlines()[-1])
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "another"))
    plan = make_plan(load_job(job))
    assert "torch" in sys.modules
    assert planned == [plan.run_id, [[one.trial.trial_id, one.processor, str(one.problem)] for one in plan.trials]]
    assert {one.trial.dataset.name for one in plan.trials if one.problem is None} == set(TASKS)


def test_what_imports_torch_has_it_as_soon_as_it_asks_for_something(tmp_path: Path) -> None:
    python(LATER, cache=tmp_path / "cache")


def test_torch_is_imported_as_ever_where_transformers_has_changed(tmp_path: Path) -> None:
    python(CHANGED, cache=tmp_path / "cache")
