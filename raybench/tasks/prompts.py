"""What a checkpoint of sentence-transformers wants before a query and before a document."""

from __future__ import annotations

from typing import NamedTuple

from raybench.core import ModelSpec
from raybench.models.files import model_directory, read_object

__all__ = ["Prompts", "prompts_of"]


class Prompts(NamedTuple):
    """Texts that go before texts."""

    query: str = ""
    document: str = ""


def prompts_of(model: ModelSpec) -> Prompts:
    """Those of config_sentence_transformers.json: its `query`, and `document` or `passage`; else none."""
    directory = model_directory(model, weights=False)
    path = directory / "config_sentence_transformers.json" if directory is not None else None
    said = read_object(path).get("prompts") if path is not None and path.is_file() else None
    if not isinstance(said, dict):
        return Prompts()
    return Prompts(str(said.get("query") or ""), str(said.get("document") or said.get("passage") or ""))
