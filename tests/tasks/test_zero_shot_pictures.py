"""Pictures are told by what labels are called, as transformers' zero-shot pipeline tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError, JobError, ModelError
from raybench.core.pictures import IMAGE
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.catalog import get_task
from tests.tasks.as_planned import check
from tests.tasks.trials import make_trial, records_of

TASK = "image-classification"
LABELS = ("ball", "coach", "rain", "storm")
PROMPT = "the new {label} and the old"


def rows(count: int = 9) -> pa.Table:
    draw = np.random.default_rng(0)
    pictures = [
        {"height": 20 + place, "width": 24, "channels": 3,
         "data": draw.integers(0, 256, (20 + place, 24, 3), dtype=np.uint8).tobytes()}
        for place in range(count)
    ]  # fmt: skip
    label = pa.array(np.arange(count) % 4, pa.int32())
    return pa.table({"id": [str(i) for i in range(count)], "image": pa.array(pictures, IMAGE), "label": label})


def save(folder: Path, kind: str, tokenizer: Path) -> Any:
    """A random model with large weights, its processor, and a tokenizer of the toy words."""
    import transformers as t

    text = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 64}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 16, "patch_size": 4}  # fmt: skip
    torch.manual_seed(2)
    if kind == "clip":
        config: Any = t.CLIPConfig(text_config={**text, "eos_token_id": 3}, vision_config=vision, projection_dim=12)
        model: Any = t.CLIPModel(config)
        processor: Any = t.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    else:
        model = t.SiglipModel(t.SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision))
        processor = t.SiglipImageProcessorPil(size={"height": 16, "width": 16})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    opened = open_tokenizer(ModelSpec(reference=str(tokenizer)))
    opened.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_predictions_are_those_of_transformers_zero_shot_pipeline(kind: str, tmp_path: Path, tiny_bert: Path) -> None:
    from transformers import AutoImageProcessor, pipeline

    model, table = save(tmp_path, kind, tiny_bert), rows()
    trial = make_trial(TASK, tmp_path, labels=LABELS, max_length=1, prompts=[PROMPT])
    records = records_of(trial, table)
    told = pipeline(
        "zero-shot-image-classification", model=model, tokenizer=open_tokenizer(ModelSpec(reference=str(tmp_path))),
        image_processor=AutoImageProcessor.from_pretrained(tmp_path, backend="pil"),
    )  # fmt: skip
    template = PROMPT.replace("{label}", "{}")
    scores = np.array(records["scores"].to_pylist())
    for place, picture in enumerate(table["image"].to_pylist()):
        array = np.frombuffer(picture["data"], np.uint8).reshape(picture["height"], picture["width"], 3)
        theirs = told(Image.fromarray(array), candidate_labels=list(LABELS), hypothesis_template=template)
        assert LABELS[records["prediction"][place].as_py()] == theirs[0]["label"]
        by_label = {one["label"]: one["score"] for one in theirs}
        if kind == "clip":  # SigLIP's scores are of each label alone, ours are over all
            probabilities = 1 / (1 + np.exp(-scores[place]))
            np.testing.assert_allclose(probabilities, [by_label[label] for label in LABELS], atol=1e-4)
    assert len(set(records["prediction"].to_pylist())) > 1


def test_labels_are_called_what_the_job_says_and_prompts_are_averaged(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, "clip", tiny_bert)
    dataset = DatasetKey(name="d", task=TASK, labels=("a", "b"), fingerprint="f", max_length=1)
    words = {"a": "rain", "b": "storm"}
    heads = []
    for config in (
        {"prompts": ["the {label}"], "verbaliser": words}, {"prompts": ["some {label} of"], "verbaliser": words},
        {"prompts": ["the {label}", "some {label} of"], "verbaliser": words}, {"prompts": ["the {label}"]},
    ):  # fmt: skip
        network = get_task(TASK, config).network(ModelSpec(reference=str(tmp_path)), dataset, 0, own_head=True)
        heads.append(network.head.weight.detach())
    scale = heads[0].norm(dim=1, keepdim=True)
    mean = torch.nn.functional.normalize(heads[0] + heads[1], dim=-1) * scale
    torch.testing.assert_close(heads[2], mean)
    assert not torch.allclose(heads[0], heads[3])


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("method", ["frozen", "full", "lora", "top_layers"])
def test_the_image_side_is_a_backbone_as_any_other(method: str, kind: str, tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, kind, tiny_bert)
    given = {} if method == "frozen" else {"epochs": 1}
    records = records_of(make_trial(TASK, tmp_path, method, given=given, labels=LABELS, max_length=1), rows())
    assert np.isfinite(records["nll"].to_numpy()).all()


def test_only_the_image_side_is_kept(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, "clip", tiny_bert)
    dataset = DatasetKey(name="d", task=TASK, labels=LABELS, fingerprint="f", max_length=1)
    for own_head in (True, False):
        network = get_task(TASK).network(ModelSpec(reference=str(tmp_path)), dataset, 0, own_head=own_head)
        assert not any("text" in name for name, _ in network.named_parameters())


def test_what_cannot_be_asked_in_words_is_said(tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(IncompatibleError, match="random weights know no words"):
        check(ModelSpec(reference="arch:clip"), get_task(TASK), LABELS, "none")
    with pytest.raises(JobError, match=r"task_config\.prompts: .*'a photo' has no \{label\}"):
        get_task(TASK, {"prompts": ["a photo"]})
    save(tmp_path, "clip", tiny_bert)
    for file in tmp_path.glob("token*"):
        file.unlink()
    with pytest.raises(ModelError, match="no tokenizer files there; name the tokenizer"):
        check(ModelSpec(reference=str(tmp_path)), get_task(TASK), LABELS, "none")
