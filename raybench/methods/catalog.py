"""The methods by name; the user's own are `module:attribute`."""

from __future__ import annotations

from raybench.catalog import make_entry
from raybench.methods.method import Method

__all__ = ["METHODS", "get_method"]

METHODS = {
    "none": "raybench.methods.none:AsItIs",
    "full": "raybench.methods.full:Full",
    "frozen": "raybench.methods.frozen:Frozen",
    "top_layers": "raybench.methods.top_layers:TopLayers",
    "gradual_unfreeze": "raybench.methods.gradual_unfreeze:GradualUnfreeze",
    "lora": "raybench.methods.lora:Lora",
    "prompt_tuning": "raybench.methods.prompt_tuning:PromptTuning",
    "prefix": "raybench.methods.prefix:Prefix",
    "nearest_neighbors": "raybench.methods.nearest_neighbors:NearestNeighbors",
    "gradient_boosting": "raybench.methods.gradient_boosting:GradientBoosting",
    "instruction": "raybench.methods.instruction:Instruction",
}


def get_method(name: str) -> Method:
    """The method of this name; JobError when there is none."""
    method: Method = make_entry("method", name, METHODS, Method)
    return method
