"""Checkpoints that are new to a machine are planned without torch, as they are with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raybench.job import load_job
from raybench.planning.plan import Plan, make_plan
from tests.tasks.conftest import SEGFORMER, VIT
from tests.tasks.tiny_audio import WAV2VEC2, save_whisper, tone

TEXTS = {
    "text-classification": {"text": "text", "label": "label"},
    "causal-lm": {"text": "text"},
    "text-generation": {"source": "text", "target": "label"},
    "sentence-similarity": {"text": "text", "text_pair": "label", "value": "score"},
}
PICTURES = {
    "image-classification": {"image": "image", "label": "label"},
    "multilabel-image-classification": {"image": "image", "labels": "labels"},
    "image-regression": {"image": "image", "value": "score"},
    "object-detection": {"image": "image", "objects": "objects"},
    "semantic-segmentation": {"image": "image", "mask": "mask"},
}
SOUNDS = {
    "audio-classification": {"audio": "audio", "label": "label"},
    "speech-recognition": {"audio": "audio", "text": "text"},
}
PLANS = """
import json, sys
from raybench.cli import app
from raybench.job import load_job
from raybench.planning.plan import make_plan
job, commands = sys.argv[1], sys.argv[2:]
plan = make_plan(load_job(job))
for command in commands:
    app([command, job], standalone_mode=False)
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


def write_job(
    folder: Path, rows: list[dict[str, Any]], tasks: dict[str, Any], candidates: list[dict[str, Any]]
) -> Path:
    """A job of one dataset a task, all of the same rows."""
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    described = {
        "name": "job",
        "candidates": candidates,
        "datasets": [
            {
                "name": task,
                "source": "json",
                "data_files": {"train": "rows.jsonl", "test": "rows.jsonl"},
                "task": task,
                "columns": columns,
            }
            for task, columns in tasks.items()
        ],
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(described))
    return path


def write_pictures(folder: Path) -> list[dict[str, Any]]:
    """Rows of pictures with all that is asked of one."""
    draw = np.random.default_rng(0)
    rows = []
    for place in range(12):
        Image.fromarray(draw.integers(0, 256, (10, 9, 3), dtype=np.uint8)).save(folder / f"{place}.png")
        Image.fromarray(draw.integers(0, 2, (10, 9), dtype=np.uint8)).save(folder / f"mask-{place}.png")
        found = [{"bbox": [1, 2, 3, 4], "category": "ab"[place % 2]}]
        files = {"image": f"{place}.png", "mask": f"mask-{place}.png"}
        label = "ab"[place % 2]
        rows.append({**files, "label": label, "labels": [label], "score": place / 2, "objects": found})
    return rows


def write_sounds(folder: Path) -> list[dict[str, Any]]:
    """Rows of sounds with label and text."""
    soundfile = pytest.importorskip("soundfile")
    for place in range(6):
        soundfile.write(folder / f"{place}.wav", tone(place, 0.3), 16_000)
    return [{"audio": f"{place}.wav", "label": "ab"[place % 2], "text": "ten one"} for place in range(6)]


def picture_candidates(folder: Path, tokenizer: Path) -> list[dict[str, Any]]:
    """Checkpoints with processors of their own, of pictures alone and with texts, and an architecture."""
    import transformers as t

    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    seen = {**shape, "image_size": 16, "patch_size": 4}
    both = t.CLIPConfig(
        text_config={**shape, "vocab_size": 32, "bos_token_id": 2, "eos_token_id": 3},
        vision_config=seen,
        projection_dim=12,
    )
    size = {"height": 8, "width": 8}
    named = {"id2label": {0: "a", 1: "b"}, "label2id": {"a": 0, "b": 1}}
    saved = {
        "vit": (t.ViTForImageClassification(t.ViTConfig(**VIT, **named)), t.ViTImageProcessorPil(size=size)),
        "clip": (t.CLIPModel(both), t.CLIPImageProcessorPil(crop_size=size)),
        "segformer": (
            t.SegformerForSemanticSegmentation(t.SegformerConfig(**SEGFORMER)),
            t.SegformerImageProcessorPil(size=size),
        ),
    }
    for name, (model, processor) in saved.items():
        model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    t.AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder / "clip")
    return [
        {"model": "./vit", "name": "vit-frozen", "method": "frozen"},
        {"model": "./vit", "name": "vit-as-it-is", "method": "none"},
        {"model": "./clip", "name": "clip-as-it-is", "method": "none"},
        {"model": "./segformer", "name": "segformer", "method": "full"},
        {"model": "arch:detr", "name": "detr", "method": "full"},
    ]


def sound_candidates(folder: Path) -> list[dict[str, Any]]:
    """Checkpoints with extractors of their own, and architectures."""
    import transformers as t

    save_whisper(folder / "whisper")
    t.WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    t.Wav2Vec2Model(t.Wav2Vec2Config(**WAV2VEC2)).save_pretrained(folder / "wav2vec2")
    t.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder / "wav2vec2")
    return [
        {"model": "./whisper", "name": "whisper-frozen", "method": "frozen"},
        {"model": "./whisper", "name": "whisper-as-it-is", "method": "none"},
        {"model": "./wav2vec2", "name": "wav2vec2-frozen", "method": "frozen"},
        {"model": "./wav2vec2", "name": "wav2vec2-full", "method": "full"},
        *(
            {"model": f"arch:{kind}", "name": kind, "method": "full"}
            for kind in ("hubert", "whisper", "wav2vec2-bert", "audio-spectrogram-transformer")
        ),
    ]


def python(code: str, *arguments: Path | str, cache: Path) -> str:
    environment = {**os.environ, "RAYBENCH_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=cache.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def plan_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """A job's plan, made here with torch, once it is the one made in another process without."""

    def plan_both(job: Path, commands: Sequence[str] = ("check", "plan")) -> Plan:
        planned = json.loads(python(PLANS, job, *commands, cache=tmp_path / "one").splitlines()[-1])
        monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "another"))
        plan = make_plan(load_job(job))
        assert "torch" in sys.modules
        assert planned == [plan.run_id, [[one.trial.trial_id, one.processor, str(one.problem)] for one in plan.trials]]
        return plan

    return plan_both


def planned_tasks(plan: Plan) -> set[str]:
    return {one.trial.dataset.name for one in plan.trials if one.problem is None}


def test_texts_are_planned_without_torch_as_with_it(
    tmp_path: Path, tiny_bert: Path, plan_both: Callable[..., Plan]
) -> None:
    assert "dtype" in (tiny_bert / "config.json").read_text()
    rows = [{"text": f"bank {place}", "label": "ab"[place % 2], "score": place} for place in range(20)]
    candidates = [
        *(
            {"model": str(tiny_bert), "name": name, "method": method}
            for name, method in (("frozen", "frozen"), ("as-it-is", "none"), ("lora", "lora"))
        ),
        *(
            {"model": f"arch:{kind}", "tokenizer": str(tiny_bert), "method": "full"}
            for kind in ("modernbert", "gpt2", "t5")
        ),
    ]
    plan = plan_both(write_job(tmp_path, rows, TEXTS, candidates))
    assert planned_tasks(plan) == set(TEXTS)


def test_pictures_as_architectures_read_them_are_planned_without_torch_as_with_it(
    tmp_path: Path, plan_both: Callable[..., Plan]
) -> None:
    candidates = [{"model": f"arch:{kind}", "method": "full"} for kind in ("vit", "resnet", "segformer", "detr")]
    plan = plan_both(write_job(tmp_path, write_pictures(tmp_path), PICTURES, candidates))
    assert planned_tasks(plan) == set(PICTURES)


def test_pictures_that_a_processor_reads_are_planned_without_torch_until_they_are_read(
    tmp_path: Path, tiny_bert: Path, plan_both: Callable[..., Plan]
) -> None:
    candidates = picture_candidates(tmp_path, tiny_bert)
    plan = plan_both(write_job(tmp_path, write_pictures(tmp_path), PICTURES, candidates), ["check"])
    assert planned_tasks(plan) == set(PICTURES)
    assert {one.trial.candidate for one in plan.trials if one.problem is None} == {one["name"] for one in candidates}


def test_sounds_are_planned_without_torch_as_with_it(tmp_path: Path, plan_both: Callable[..., Plan]) -> None:
    candidates = sound_candidates(tmp_path)
    plan = plan_both(write_job(tmp_path, write_sounds(tmp_path), SOUNDS, candidates))
    assert planned_tasks(plan) == set(SOUNDS)
    assert {one.trial.candidate for one in plan.trials if one.problem is None} == {one["name"] for one in candidates}


def test_recommenders_are_planned_without_torch_as_with_it(
    tmp_path: Path, tiny_bert: Path, plan_both: Callable[..., Plan]
) -> None:
    rows = [{"user": f"u{n % 9}", "item": f"i{n % 13}", "text": f"bank {n % 13}", "timestamp": n} for n in range(120)]
    candidates = [
        {"baseline": "popularity"},
        {"model": str(tiny_bert), "name": "texts", "method": "none"},
        {"model": "arch:gpt2", "name": "sequences", "method": "full"},
    ]
    plan = plan_both(write_job(tmp_path, rows, {"recommendation": {}}, candidates))
    assert not [one.problem for one in plan.trials if one.problem is not None]


def test_made_pictures_are_planned_without_torch_until_they_are_read(
    tmp_path: Path, tiny_bert: Path, plan_both: Callable[..., Plan]
) -> None:
    rows = write_pictures(tmp_path)
    picture_candidates(tmp_path, tiny_bert)
    path = write_job(tmp_path, rows, {"image-generation": {"image": "image"}}, [{"images": "*.png", "name": "made"}])
    job = json.loads(path.read_text())
    job["datasets"][0]["task_config"] = {"feature_network": "./vit"}
    path.write_text(json.dumps(job))
    assert not [one.problem for one in plan_both(path, ["check"]).trials if one.problem is not None]


def test_what_imports_torch_has_it_as_soon_as_it_asks_for_something(tmp_path: Path) -> None:
    python(LATER, cache=tmp_path / "cache")


def test_torch_is_imported_as_ever_where_transformers_has_changed(tmp_path: Path) -> None:
    python(CHANGED, cache=tmp_path / "cache")
