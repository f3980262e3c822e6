"""Features on disk: the same bits again, nothing torn trusted, never more than allowed."""

import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.runtime import workspace
from raybench.runtime.training.feature_cache import FeatureCache
from raybench.runtime.training.features import extract
from raybench.runtime.workspace import Workspace, network_key
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")

SECOND = np.ones(1, dtype=np.float32)  # a row, by broadcasting


def keys(*names: str) -> list[bytes]:
    return [name.encode().ljust(16, b".") for name in names]


def test_what_was_flushed_comes_back_to_the_bit(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    cache = FeatureCache(tmp_path / "net")
    cache.put(8, keys("a", "b"), features[:2], SECOND)
    cache.flush()
    cache.put(16, keys("a"), features[2:], SECOND)
    cache.flush()
    cache.flush()
    assert len(list((tmp_path / "net").iterdir())) == 2
    again = FeatureCache(tmp_path / "net")
    assert len(again) == 3
    assert np.array_equal(again.get(8, keys("b", "a")), features[[1, 0]])
    assert np.array_equal(again.get(16, keys("a")), features[2:])
    assert not again.has(16, keys("b")[0])


def test_two_processes_may_write_the_same_rows(tmp_path: Path) -> None:
    for _ in range(2):
        cache = FeatureCache.__new__(FeatureCache)
        FeatureCache.__init__(cache, None)
        cache._directory = tmp_path / "net"
        cache.put(8, keys("a"), np.ones((1, 2), dtype=np.float32), SECOND)
        cache.flush()
    assert len(FeatureCache(tmp_path / "net")) == 1


def test_a_torn_or_foreign_file_is_removed_and_computed_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "net")
    cache.put(8, keys("a"), np.ones((1, 4), dtype=np.float32), SECOND)
    cache.flush()
    part = next((tmp_path / "net").iterdir())
    part.write_bytes(part.read_bytes()[:-40])
    (tmp_path / "net" / "foreign.arrow").write_text("not Arrow")
    assert len(FeatureCache(tmp_path / "net")) == 0
    assert list((tmp_path / "net").iterdir()) == []


def test_the_caches_used_longest_ago_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYBENCH_CACHE_BYTES", "9000")
    for age, name in ((30, "oldest"), (20, "older"), (10, "newest")):
        cache = FeatureCache(tmp_path / name)
        cache.put(8, keys(name), np.ones((1, 1000), dtype=np.float32), SECOND)
        cache.flush()
        if name != "newest":
            os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert {path.name for path in tmp_path.iterdir()} <= {"older", "newest"}
    assert (tmp_path / "newest").is_dir()


def test_a_disk_that_refuses_costs_only_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = FeatureCache(tmp_path / "file" / "net")
    cache.put(8, keys("a"), np.ones((1, 4), dtype=np.float32), SECOND)
    cache.flush()
    assert cache.has(8, keys("a")[0])


def test_another_process_finds_the_features_and_forwards_nothing(
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path))
    trial = make_trial(tiny_bert)
    task = get_task(trial.dataset.task)
    examples = task.examples(task.prepare(make_texts(40, repeat=4), trial.model, 48), trial.model, trial.dataset)

    def features() -> torch.Tensor:
        workspace = Workspace(CPU)
        network = workspace.network(trial, task, own_head=False)
        network.backbone.register_forward_hook(lambda *_: forwards.append(1))
        return extract(network, examples, workspace.features(trial), CPU)

    forwards: list[int] = []
    cold, count = features(), len(forwards)
    assert count > 0
    assert torch.equal(features(), cold)
    assert len(forwards) == count


def test_what_looking_up_saves_is_counted():
    cache = FeatureCache()
    cache.put(8, keys("a", "b"), np.ones((2, 4), dtype=np.float32), np.array([0.25, 0.5]))
    assert cache.saved_seconds == 0
    cache.save(8, keys("a"))
    cache.save(8, keys("a", "b"))
    assert cache.saved_seconds == 1.0


def test_a_cache_that_another_process_removes_meanwhile_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(name: str) -> FeatureCache:
        cache = FeatureCache(tmp_path / name)
        cache.put(8, keys("a"), np.ones((1, 4), dtype=np.float32), SECOND)
        cache.flush()
        return cache

    kept("net")
    utime = os.utime

    def removed(path: Path) -> None:
        shutil.rmtree(tmp_path / "net")
        utime(path)

    monkeypatch.setattr(os, "utime", removed)
    assert len(FeatureCache(tmp_path / "net")) == 0
    monkeypatch.undo()
    kept("net")
    other = kept("other")
    listed = Path.iterdir

    def vanishing(self: Path) -> Iterator[Path]:
        for path in list(listed(self)):
            if path.name == "net":
                shutil.rmtree(path)
            yield path

    monkeypatch.setattr(Path, "iterdir", vanishing)
    other.put(8, keys("b"), np.ones((1, 4), dtype=np.float32), SECOND)
    other.flush()
    monkeypatch.undo()
    assert len(FeatureCache(tmp_path / "other")) == 2  # it went on writing


def test_what_is_on_disk_is_mapped_and_comes_into_memory_as_it_is_read(tmp_path: Path) -> None:
    rows, width = 1024, 1024
    names = keys(*(f"row {row}" for row in range(rows)))
    features = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    cache = FeatureCache(tmp_path / "net")
    cache.put(8, names, features, SECOND)
    cache.flush()
    allocated = pa.total_allocated_bytes()
    tracemalloc.start()
    again = FeatureCache(tmp_path / "net")
    held = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - allocated
    tracemalloc.stop()
    assert held < features.nbytes / 4
    assert np.array_equal(again.get(8, names[7:9]), features[7:9])


@pytest.mark.parametrize("package", ["torch", "transformers", "tokenizers", "raybench"])
def test_another_version_has_another_cache_on_disk(
    package: str, tiny_bert: Path, make_trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path))
    trial = make_trial(tiny_bert)

    def directory() -> Path | None:
        return Workspace(CPU).features(trial)._directory

    before = directory()
    assert directory() == before
    if package == "raybench":
        monkeypatch.setattr(workspace, "RESULT_VERSION", workspace.RESULT_VERSION + 1)
    else:
        version = workspace.version
        monkeypatch.setattr(workspace, "version", lambda name: version(name) + ("+x" if name == package else ""))
    assert directory() != before


@pytest.mark.parametrize("for_scoring", [False, True])
@pytest.mark.parametrize("own_head", [False, True])
def test_everything_that_shapes_a_network_is_in_its_key(
    own_head: bool, for_scoring: bool, tiny_bert: Path, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(tiny_bert)
    random = make_trial(ModelSpec(reference=str(tiny_bert), init="scratch"))

    def key(trial: Trial, device: torch.device = CPU, own: bool = own_head) -> str:
        return network_key(trial, device, own_head=own, for_scoring=for_scoring)

    def with_data(**change: Any) -> Trial:
        return replace(trial, dataset=replace(trial.dataset, **change))

    others = [
        key(random),
        key(replace(random, seed=1)),
        key(replace(trial, weights_fingerprint="other")),
        key(with_data(task="image-classification")),
        key(with_data(task_config={"label_smoothing": 0.1})),
        key(with_data(labels=("a", "b", "c"))),
        key(with_data(labels=tuple(reversed(trial.dataset.labels)))),
        key(trial, torch.device("cuda")),
        key(trial, own=not own_head),
    ]
    assert len({key(trial), *others}) == 1 + len(others)
    same = [replace(trial, seed=1), replace(trial, method="full"), with_data(fingerprint="more rows")]
    same.append(with_data(task_config={"threshold": 0.3}))  # it shapes predictions alone
    assert {key(one) for one in same} == {key(trial)}
    variant = replace(trial, model=replace(trial.model, dtype="bfloat16"))
    assert (key(variant) != key(trial)) == for_scoring
