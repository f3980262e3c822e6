"""What a method leaves behind of a network as large as MiniLM: kilobytes, by the formula."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.runtime.trial import Checkpoint, fit_trial
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
H, F, BLOCKS, LABELS = 384, 1536, 6, 3
HEAD = H * LABELS + LABELS
SHAPE = {"hidden_size": H, "intermediate_size": F, "num_hidden_layers": BLOCKS, "num_attention_heads": 12}
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("frozen", {}, 0),
    ("lora", {"rank": 8, "target_modules": "query,value"}, BLOCKS * 2 * 8 * (H + H)),
    ("lora", {"rank": 4}, BLOCKS * 4 * (4 * (H + H) + 2 * (H + F))),
    ("prompt_tuning", {"num_tokens": 8}, 8 * H),
    ("prefix", {"num_tokens": 8}, 8 * BLOCKS * 2 * H),
]


@pytest.mark.parametrize(("method", "options", "added"), CASES, ids=["frozen", "lora", "lora-all", "prompt", "prefix"])
def test_a_checkpoint_is_what_was_added_and_the_head(
    method: str,
    options: dict[str, Any],
    added: int,
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    tmp_path: Path,
) -> None:
    model = ModelSpec(reference=str(tiny_bert), init="scratch", config=SHAPE)
    steps = {} if method == "frozen" else {"epochs": 1}
    trial = make_trial(model, method, **steps, **options)
    checkpoint = fit_trial(trial, get_task("text-classification").prepare(make_texts(8), model, 48), CPU)
    assert checkpoint.meta["params_total"] > 10_000_000
    assert checkpoint.meta["params_trained"] == added + HEAD
    checkpoint.save(tmp_path / "x.safetensors")
    names = 200 * len(checkpoint.arrays) + 1000  # the header: a name, dtype, shape and place an array
    assert 4 * (added + HEAD) < (tmp_path / "x.safetensors").stat().st_size < 4 * (added + HEAD) + names
    assert Checkpoint.load(tmp_path / "x.safetensors").arrays.keys() == checkpoint.arrays.keys()
