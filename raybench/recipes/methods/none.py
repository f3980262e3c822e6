"""`none`: the checkpoint is scored as it is, with the head it was saved with."""

from __future__ import annotations

from raybench.recipes.methods.method import Method

__all__ = ["AsItIs"]


class AsItIs(Method):
    """Nothing is trained; the checkpoint's labels must be the dataset's."""

    name = "none"
    needs_fit = False
