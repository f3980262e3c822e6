"""Datasets of a few rows: a job's dataset entry loaded as a task of text or pictures would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.data import LoadedDataset, load_dataset
from raybench.job.spec import DatasetSpec

TEXT = (Column("text", "text"), Column("text_pair", "text", False), Column("label", "label"))

Load = Callable[..., LoadedDataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(
        source: Any,
        *,
        columns: tuple[Column, ...] = TEXT,
        name: str = "d",
        columns_given: dict[str, str] | None = None,
        **entry: Any,
    ) -> LoadedDataset:
        """`source` is a job's source, or the rows themselves: what a function in a file of the job's would return."""
        if not isinstance(source, str):
            (tmp_path / "rows.py").write_text(f"def load():\n    return {source!r}\n")
            source = "rows.py:load"
        spec = DatasetSpec.model_validate(
            {"name": name, "source": source, "task": "t", "columns": columns_given or {}, **entry}
        )
        return load_dataset(spec, columns, tmp_path)

    return load


@pytest.fixture
def wrong(load: Load) -> Callable[..., str]:
    def wrong(*args: Any, **kwargs: Any) -> str:
        with pytest.raises(DataError) as caught:
            load(*args, **kwargs)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return wrong
