"""The methods by name; the user's own are `module:attribute`."""

from __future__ import annotations

from raybench.core.catalog import make_entry
from raybench.recipes.methods.method import Method

__all__ = ["METHODS", "get_method"]

METHODS = {
    "none": "raybench.recipes.methods.none:AsItIs",
    "full": "raybench.recipes.methods.full:Full",
    "frozen": "raybench.recipes.methods.frozen:Frozen",
    "top_layers": "raybench.recipes.methods.top_layers:TopLayers",
    "gradual_unfreeze": "raybench.recipes.methods.gradual_unfreeze:GradualUnfreeze",
    "lora": "raybench.recipes.methods.lora:Lora",
    "prompt_tuning": "raybench.recipes.methods.prompt_tuning:PromptTuning",
    "prefix": "raybench.recipes.methods.prefix:Prefix",
    "nearest_neighbors": "raybench.recipes.methods.nearest_neighbors:NearestNeighbors",
    "gradient_boosting": "raybench.recipes.methods.gradient_boosting:GradientBoosting",
    "instruction": "raybench.recipes.methods.instruction:Instruction",
}


def get_method(name: str) -> Method:
    """The method of this name; JobError when there is none."""
    method: Method = make_entry("method", name, METHODS, Method)
    return method
