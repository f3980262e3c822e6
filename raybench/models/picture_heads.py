"""Networks with all the head that an architecture brings: classes of pixels, boxes; pictures go in groups of one size.

    network = open_picture_network(PixelNetwork, model, num_labels=3, seed=0, order=None)
    logits = network({"pictures": [pixels_BCHW, …]})        # one [B, C, h, w] a group

A head is what a checkpoint's body does not give. Where the checkpoint's own does not serve, whatever of it has a size
by the number of labels is fresh, and so is what the checkpoint lacks beside its body; the rest is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.core.identity import seed_from
from raybench.models.backbone import open_partly, open_pretrained
from raybench.models.configuration import from_scratch, open_config
from raybench.models.network import Network
from raybench.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["BoxNetwork", "PictureNetwork", "PixelNetwork", "open_picture_network"]

Kind = TypeVar("Kind", bound="PictureNetwork")


class PictureNetwork(Network):
    """An architecture of transformers as it is.

    `body` is what the names of the body's tensors begin with, `sized` are tensors of a size by the number of labels,
    `fresh` those that no checkpoint gave; `order` are the own head's outputs that are the dataset's labels, or None.
    """

    auto_class: ClassVar[str]

    def __init__(
        self, model: nn.Module, order: Sequence[int] | None, *, body: str, sized: Sequence[str], fresh: Sequence[str]
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.order = model, nn.Identity(), None if order is None else list(order)
        self._body, self._sized, self._fresh = body, frozenset(sized), tuple(fresh)

    def outputs(self, pixels_BCHW: torch.Tensor, **more: Any) -> Any:
        """The model's outputs for pictures of one size."""
        dtype = next(parameter.dtype for parameter in self.backbone.parameters())
        return self.backbone(pixel_values=pixels_BCHW.to(dtype), **more)

    def draw(self, seed: int) -> None:
        """What no checkpoint gave, as the architecture draws it."""
        if not self._fresh:
            return
        model: Any = self.backbone
        with torch.random.fork_rng(devices=[]), quiet(), torch.device("cpu"):
            torch.manual_seed(seed_from("head", seed))
            drawn = type(model)(model.config).state_dict()
        own = model.state_dict()
        with torch.no_grad():
            for name in self._fresh:
                own[name].copy_(drawn[name])

    def head_parameters(self) -> list[nn.Parameter]:
        """All beside the body, and what of the body is of the labels' number."""
        return [
            parameter
            for name, parameter in self.backbone.named_parameters()
            if not name.startswith(self._body) or name in self._sized
        ]


class PixelNetwork(PictureNetwork):
    """Classes of pixels: for each group of pictures logits [B, C, h, w], float32, often smaller than the pictures."""

    auto_class = "AutoModelForSemanticSegmentation"

    def forward(self, inputs: Mapping[str, Any]) -> Any:
        found = [self.outputs(group).logits.float() for group in inputs["pictures"]]
        return found if self.order is None else [logits[:, self.order] for logits in found]


class BoxNetwork(PictureNetwork):
    """Boxes: for each group of pictures the model's outputs, with its own loss where `labels` say what is there.

    The targets of a group are those of transformers: a picture's `class_labels` int64 [n] and `boxes` float32 [n, 4]
    (centre, width and height, in widths and heights of the picture).
    """

    auto_class = "AutoModelForObjectDetection"
    detections: Callable[..., Any]  # post_process_object_detection of its image processor

    def forward(self, inputs: Mapping[str, Any]) -> Any:
        groups = zip(inputs["pictures"], inputs["labels"], strict=True)
        return [self.outputs(pictures, labels=labels) for pictures, labels in groups]


def open_picture_network(
    kind: type[Kind], model: ModelSpec, num_labels: int, seed: int, *, order: Sequence[int] | None
) -> Kind:
    """The checkpoint in eval mode, with its own head where there is an `order` of its outputs, else with a fresh one.

    Raises:
        ModelError: weights that cannot be opened, or that lack part of the body.
    """
    import transformers

    opener, config = getattr(transformers, kind.auto_class), open_config(model)
    if order is not None:
        own = open_pretrained(opener, model, config, seed)
        return kind(own.eval(), order, body=_body(own), sized=_sized(opener, config, config.num_labels or 0), fresh=())
    config.num_labels = num_labels
    opened, lacking = open_partly(opener, model, config, seed)
    body, sized = _body(opened), _sized(opener, config, num_labels)
    lost = [name for name in lacking.missing if name.startswith(body) and name not in sized]
    lost += [name for name, _, _ in lacking.mismatched if name not in sized]
    if lost:
        raise ModelError(
            f"model {model.reference!r}: its weights lack {len(lost)} of the network's parameters, such as {lost[0]}; "
            "check config.json against the weights, or say 'init: scratch'"
        )
    fresh = () if from_scratch(model) else sorted({*lacking.missing, *sized})
    network = kind(opened.eval(), None, body=body, sized=sized, fresh=fresh)
    network.draw(seed)
    return network


def _body(model: Any) -> str:
    """What the names of the body's tensors begin with."""
    children = dict(model.named_children())
    return f"{model.base_model_prefix if model.base_model_prefix in children else 'backbone'}."


def _sized(opener: Any, config: PretrainedConfig, num_labels: int) -> tuple[str, ...]:
    """The tensors whose size is by the number of labels."""
    shapes = []
    for number in (num_labels, num_labels + 1):
        config.num_labels = number
        with torch.device("meta"), quiet():
            shapes.append({name: value.shape for name, value in opener.from_config(config).state_dict().items()})
    config.num_labels = num_labels
    return tuple(name for name, shape in shapes[0].items() if shapes[1][name] != shape)
