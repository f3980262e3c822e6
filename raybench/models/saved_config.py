"""The configuration in a checkpoint's directory, as transformers reads it: without torch where nobody has it yet.

config = read_config(directory)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from raybench.core.errors import ModelError
from raybench.models.files import read_object
from raybench.models.later_torch import import_configurations

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["read_config"]

_DTYPES = ("float64", "float32", "float16", "bfloat16")


def read_config(directory: Path) -> PretrainedConfig:
    """What AutoConfig makes of config.json; where torch is not imported yet, without a dtype.

    To read one transformers imports torch, and weights are opened in a dtype of ours. Raises what transformers raises.
    """
    import_configurations()
    from transformers import AutoConfig

    left_out = [] if "torch" in sys.modules else _dtypes(directory)
    return AutoConfig.from_pretrained(
        str(directory), trust_remote_code=False, local_files_only=True, **dict.fromkeys(left_out)
    )


def _dtypes(directory: Path) -> list[str]:
    """The keys that say a dtype there is; another is for transformers to refuse."""
    try:
        said = read_object(directory / "config.json")
    except ModelError:
        return []  # so it is for transformers to say what is wrong
    return [name for name in ("dtype", "torch_dtype") if said.get(name) in _DTYPES]
