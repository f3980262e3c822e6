"""Compiled candidates: the same predictions, or one line that says why not."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import ModelError
from raybench.metrics import MetricSet
from raybench.models.compiled import Compiled
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.trial import Checkpoint, fit_trial, open_predictor, score_shard
from raybench.schedule.classify import classify
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, at the import of its compiler
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler (g++)")


@pytest.fixture
def fresh_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing compiled before is found."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def prepared(trial: Trial, make_texts: Callable[..., pa.Table]) -> PreparedData:
    """Texts of a few words: every shape more is compiled anew, and takes the compiler half a minute."""
    task = get_task(trial.dataset.task)
    rows = {"train": make_texts(40), "test": make_texts(30, seed=1)}
    short = {name: [" ".join(text.split()[:4]) for text in table["text"].to_pylist()] for name, table in rows.items()}
    splits = {name: table.set_column(1, "text", pa.array(short[name])) for name, table in rows.items()}
    return prepare_data(task, splits, trial.model, trial.dataset)


def scores(trial: Trial, checkpoint: Checkpoint | None, data: PreparedData) -> np.ndarray:
    task = get_task(trial.dataset.task)
    metrics = MetricSet(task.metrics, task.metric_config(trial.dataset.labels, {}))
    predictor = open_predictor(trial, checkpoint, CPU)
    assert predictor.dtype.endswith("compiled") == trial.model.compile
    result = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics)
    return np.array(result.records.column("scores").to_pylist())


@needs_compiler
def test_a_compiled_candidate_scores_the_same_within_rounding(
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    fresh_compiler: None,
) -> None:
    from torch._inductor import config

    model = ModelSpec(reference=str(tiny_bert), num_layers=1)
    plain = make_trial(model, "full", epochs=1)
    compiled = make_trial(dataclasses.replace(model, compile=True), "full", epochs=1)
    assert compiled.weights_fingerprint != plain.weights_fingerprint
    data = prepared(plain, make_texts)
    checkpoint = fit_trial(plain, data.train, CPU)
    with config.patch({"cpp.vec_isa_ok": False}):  # nor are the processor's vectors tried out, by ten programs
        found = scores(compiled, checkpoint, data)
    np.testing.assert_allclose(found, scores(plain, checkpoint, data), atol=1e-4)


def test_without_a_compiler_it_is_one_line(
    tiny_classifier: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    fresh_compiler: None,
) -> None:
    from torch._inductor import config

    trial = make_trial(ModelSpec(reference=str(tiny_classifier), num_layers=1, compile=True), "none")
    data = prepared(trial, make_texts)
    without = config.patch({"cpp.cxx": (None, "no-such-compiler")})
    with without, pytest.raises(ModelError, match=r"g\+\+") as error:
        scores(trial, None, data)
    message = classify(error.value).message
    assert "compile: true" in message
    assert "\n" not in message


def test_an_error_of_the_network_itself_stays_what_it_is() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(_Greedy(), "greedy")(x=torch.zeros(1))


@pytest.mark.parametrize("recorded", [False, True])
def test_torch_is_told_to_pick_kernels_neither_by_a_stop_watch_nor_by_the_number_of_rows(
    recorded: bool, fresh_compiler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config
    from torch._inductor.graph import GraphLowering

    seen: list[tuple[bool, bool]] = []

    def lower(*given: Any, **asked: Any) -> None:
        seen.append((config.deterministic, config.batch_invariant))
        raise NotImplementedError("seen")

    monkeypatch.setattr(GraphLowering, "run", lower)
    with pytest.raises(ModelError, match="seen"):
        Compiled(_Scale(3), "scale", recorded=recorded)(x=torch.ones(2, 3))
    assert seen == [(True, True)]


class _Greedy(torch.nn.Module):
    def compile(self, *arguments: Any, **options: Any) -> None:
        return

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("too little")


class _Scale(torch.nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def test_a_network_is_compiled_however_many_were_before_it(fresh_compiler: None) -> None:
    compiled: list[int] = []

    def count(graph: Any, inputs: Any, *, options: dict[str, Any]) -> Any:
        compiled.append(1)
        return graph.forward

    before = torch.compiler.get_default_backend()
    torch.compiler.set_default_backend(count)
    try:
        for number in range(12):
            network = Compiled(_Scale(number + 2), "scale")
            for rows in (1, 3):
                network(x=torch.ones(rows, number + 2))
            assert len(compiled) == 2 * (number + 1)
    finally:
        torch.compiler.set_default_backend(before)
