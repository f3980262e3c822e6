"""Waiting for the hub is told from hanging by where the process is."""

from __future__ import annotations

import importlib
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub.utils import WeakFileLock

from raybench.cluster.waiting import waits_for_hub


def test_waiting_for_another_processs_download_is_life(tmp_path: Path) -> None:
    assert not waits_for_hub()
    lock = tmp_path / "weights.lock"

    def wait() -> None:
        with WeakFileLock(lock):
            pass

    waiter = threading.Thread(target=wait)
    with WeakFileLock(lock):
        waiter.start()
        deadline = time.monotonic() + 20
        while not waits_for_hub():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    waiter.join(20)
    assert not waits_for_hub()


def test_a_download_is_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("huggingface_hub._snapshot_download")
    seen: list[bool] = []
    monkeypatch.setattr(module, "HfApi", lambda **_: seen.append(waits_for_hub()))
    with pytest.raises(AttributeError):
        module.snapshot_download("own/none", cache_dir=tmp_path)
    assert seen == [True]
