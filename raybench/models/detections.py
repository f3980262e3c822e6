"""What turns a detector's outputs into boxes of the raw picture: its image processor, else that of its architecture.

transformers imports torch with any image processor; so a plan asks nothing of those of architectures that are known to
tell boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import open_config, pixel_channels
from raybench.models.image_processor import open_image_processor, saved_image_processor
from raybench.models.quiet import quiet

__all__ = ["TELL_BOXES", "check_detections", "detection_processing"]

TELL_BOXES = (
    "conditional_detr", "deformable_detr", "deimv2", "detr", "lw_detr", "rt_detr", "table-transformer", "yolos",
)  # fmt: skip
_METHOD = "post_process_object_detection"


def detection_processing(model: ModelSpec) -> Callable[..., Any]:
    """`post_process_object_detection(outputs, threshold, target_sizes)` of transformers.

    Raises:
        IncompatibleError: neither the checkpoint nor its architecture has one.
    """
    config = open_config(model)
    processor = open_image_processor(model, pixel_channels(config), whole=True)
    found = None if processor is None else processor.post_processing(_METHOD)
    if found is None:
        from transformers import IMAGE_PROCESSOR_MAPPING

        with quiet():
            kinds: Any = IMAGE_PROCESSOR_MAPPING.get(type(config), {})
            found = getattr(kinds["pil"](), _METHOD, None) if "pil" in kinds else None
    if found is None:
        raise IncompatibleError(
            f"model {model.reference!r}: {config.model_type} has no image processor that tells boxes; give a "
            "checkpoint with its preprocessor_config.json"
        )
    return found


def check_detections(model: ModelSpec) -> None:
    """Raise what `detection_processing` would raise."""
    if saved_image_processor(model) is not None or open_config(model).model_type not in TELL_BOXES:
        detection_processing(model)
