"""What a checkpoint says of how its embeddings are made.

check_embeddings(model)     # IncompatibleError where that is more than what is read here
"""

from __future__ import annotations

import json

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.files import model_directory
from raybench.models.pooling import POOLINGS, saved_pooling

__all__ = ["check_embeddings"]

_READ = {"", "cls", "mean", "max", "lasttoken"}
_STEPS = {"Transformer", "Pooling", "Normalize"}  # of a sentence-transformers checkpoint; cosines are of unit length


def check_embeddings(model: ModelSpec) -> None:
    """IncompatibleError where a checkpoint's embeddings are more, or pooled otherwise, than what is read here."""
    if model.pooling == "auto" and (saved := saved_pooling(model)) not in _READ:
        choices = ", ".join(name for name in POOLINGS if name != "auto")
        raise IncompatibleError(
            f"model {model.reference!r}: its embeddings are pooled by {saved}, which is not read; "
            f"pooling: {choices} would be"
        )
    directory = model_directory(model, weights=False)
    steps = directory / "modules.json" if directory is not None else None
    if steps is None or not steps.is_file():
        return
    try:
        kinds = [str(step["type"]).rsplit(".", 1)[-1] for step in json.loads(steps.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IncompatibleError(f"{steps} is torn or no list of modules; copy it anew") from error
    if unread := [kind for kind in kinds if kind not in _STEPS]:
        raise IncompatibleError(
            f"model {model.reference!r}: its embeddings go through a {unread[0]} layer (modules.json); that is not read"
        )
