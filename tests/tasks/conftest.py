"""A toy of each task: rows, labels and a tiny model, for what every task must keep. A new task adds its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raybench.core import DatasetKey, ModelSpec
from raybench.core.pictures import IMAGE
from raybench.tasks.catalog import get_task
from tests.tasks.tiny_audio import WAV2VEC2, save_ctc, save_whisper, sounds
from tests.tasks.tiny_language import save_tiny_causal

TEXTS = ("text-classification", "multilabel-text-classification", "text-regression")
IMAGES = ("image-classification", "multilabel-image-classification", "image-regression")
VIT = {
    "image_size": 8, "patch_size": 2, "num_channels": 1, "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
LLAMA = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 32,
}  # fmt: skip
SEGFORMER = {
    "depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2],
    "mlp_ratios": [2, 2, 2, 2], "decoder_hidden_size": 16,
}  # fmt: skip
YOLOS = {
    "image_size": [32, 48], "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "num_detection_tokens": 5, "initializer_range": 0.3,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Toy:
    """What a task is tried on."""

    task: str
    rows: pa.Table
    model: ModelSpec
    labels: tuple[str, ...] = ()
    max_length: int = 24  # the longest rows are longer
    task_config: Mapping[str, Any] = field(default_factory=dict)
    method: str = "full"

    @property
    def dataset(self) -> DatasetKey:
        task = get_task(self.task, self.task_config)
        return DatasetKey(
            name="toy", task=self.task, labels=self.labels, fingerprint="toy", max_length=self.max_length,
            task_config=dict(self.task_config), statistics=task.statistics(self.rows),
        )  # fmt: skip


@pytest.fixture(scope="session")
def tiny_causal(tmp_path_factory: pytest.TempPathFactory, make_texts: Callable[..., pa.Table]) -> Path:
    texts = make_texts(30).column("text").to_pylist()
    return save_tiny_causal(tmp_path_factory.mktemp("models") / "tiny-llama", texts)


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory, make_texts: Callable[..., pa.Table]) -> Path:
    texts = make_texts(30).column("text").to_pylist()
    return save_tiny_causal(tmp_path_factory.mktemp("models") / "tiny-gpt2", texts, "gpt2")


@pytest.fixture(scope="session")
def tiny_masked(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with large random weights and a head of words, whose tokenizer has a mask."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    path = tmp_path_factory.mktemp("models") / "tiny-masked"
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    config = BertConfig.from_pretrained(tiny_bert, vocab_size=len(tokenizer), initializer_range=0.3)
    BertForMaskedLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_t5(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of 2 + 2 layers and 32 features that writes the toy words; [SEP] ends a text."""
    import torch
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    path = tmp_path_factory.mktemp("models") / "tiny-t5"
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=32, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=3, initializer_factor=4.0,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ctc(tmp_path_factory.mktemp("models") / "tiny-ctc")


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("models") / "tiny-whisper")


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT with a classifier of three, large random weights and a processor that resizes to 8 × 8."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    path = tmp_path_factory.mktemp("models") / "tiny-vit"
    torch.manual_seed(1)
    ViTForImageClassification(ViTConfig(**VIT, num_labels=3, initializer_range=0.3)).save_pretrained(path)
    size = {"height": 8, "width": 8}
    ViTImageProcessor(size=size, image_mean=[0.5], image_std=[0.25]).save_pretrained(path)
    return path


def save_pictures(folder: Path, count: int, seed: int = 5) -> Path:
    """Grey pictures of 10 × 9 as PNG files."""
    from PIL import Image

    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    for place in range(count):
        Image.fromarray(draw.integers(0, 256, (10, 9), dtype=np.uint8)).save(folder / f"{place}.png")
    return folder


@pytest.fixture(scope="session")
def make_toy(
    tiny_bert: Path,
    tiny_causal: Path,
    tiny_masked: Path,
    tiny_t5: Path,
    tiny_ctc: Path,
    tiny_whisper: Path,
    tiny_vit: Path,
    make_texts: Callable[..., pa.Table],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Toy]:
    """The toy of a task, by its name."""

    def make(name: str) -> Toy:
        labels = ("money", "sport", "weather")
        if name in TEXTS:
            rows = _with_targets(make_texts(30, seed=3))
            return Toy(task=name, rows=rows, model=ModelSpec(reference=str(tiny_bert)), labels=_labels(name, labels))
        if name in IMAGES:
            rows = _with_targets(_pictures(20))
            model = ModelSpec(reference="arch:vit", config=VIT)
            return Toy(task=name, rows=rows, model=model, labels=_labels(name, labels))
        if name == "object-detection":
            rows, model = _scenes(12), ModelSpec(reference="arch:yolos", config=YOLOS)
            return Toy(task=name, rows=rows, model=model, labels=labels)
        if name == "semantic-segmentation":
            rows, model = _masked_pictures(12), ModelSpec(reference="arch:segformer", config=SEGFORMER)
            return Toy(task=name, rows=rows, model=model, labels=labels)
        if name == "token-classification":
            rows = _tagged(make_texts(30, seed=3))
            tags = ("B-money", "B-sport", "I-sport", "O")
            return Toy(task=name, rows=rows, model=ModelSpec(reference=str(tiny_bert)), labels=tags, max_length=12)
        if name.startswith("tabular"):
            rows = _recorded(make_texts(30, seed=3))
            return Toy(task=name, rows=rows, model=ModelSpec(reference=str(tiny_bert)), labels=_labels(name, labels))
        if name == "causal-lm":
            return Toy(task=name, rows=make_texts(20, seed=4), model=ModelSpec(reference=str(tiny_causal)))
        if name == "masked-lm":
            rows, model = make_texts(16, seed=4), ModelSpec(reference=str(tiny_masked))
            return Toy(task=name, rows=rows, model=model, max_length=16)
        if name.startswith("prompted-classification"):
            model = ModelSpec(reference=str(tiny_masked if name.endswith("masks") else tiny_causal))
            config = {"verbaliser": {"money": "bank loan"}, "template": "{text} of {answer} the"}
            task = "prompted-classification"
            return Toy(task=task, rows=make_texts(20, seed=4), model=model, labels=labels, task_config=config)
        if name.startswith("multiple-choice"):
            rows, config = _chosen(make_texts(20, seed=4)), {"shots": 0}
            model = ModelSpec(reference=str(tiny_bert if name.endswith("pairs") else tiny_causal))
            return Toy(task="multiple-choice", rows=rows, model=model, task_config=config)
        if name == "question-answering":
            return Toy(task=name, rows=_asked(make_texts(30, seed=3)), model=ModelSpec(reference=str(tiny_bert)))
        if name == "text-generation":
            texts = make_texts(24, seed=3)
            words = [text.split() for text in texts["text"].to_pylist()]
            target = [[" ".join(own[::-1][:6])] for own in words]
            rows = pa.table({"id": texts["id"], "source": texts["text"], "target": target})
            model = ModelSpec(reference=str(tiny_t5))
            return Toy(task=name, rows=rows, model=model, task_config={"max_new_tokens": 12})
        if name == "retrieval":
            queries, texts = make_texts(24, seed=3), make_texts(24, seed=4)["text"].to_pylist()
            document = [texts[place : place + 1 + place % 2] for place in range(24)]
            rows = pa.table({"id": queries["id"], "query": queries["text"], "document": document})
            rows = rows.append_column("negative", pa.array([texts] * 24))  # the corpus of each row alone is that of all
            return Toy(task=name, rows=rows, model=ModelSpec(reference=str(tiny_bert)), task_config={"depth": 10})
        if name == "image-generation":
            rows = get_task(name).scored_rows(_pictures(20).drop_columns(["label"]))
            folder = save_pictures(tmp_path_factory.mktemp("made") / "samples", 20)
            config = {"feature_network": str(tiny_vit)}
            return Toy(task=name, rows=rows, model=ModelSpec(reference=f"images:{folder}"), task_config=config,
                       method="none")  # fmt: skip
        if name.startswith("recommendation"):
            texts = make_texts(24, seed=4)["text"].to_pylist()
            model = ModelSpec(reference=str(tiny_bert))
            if name.endswith("items"):
                model = ModelSpec(reference="arch:llama", config=LLAMA)
            return Toy(task="recommendation", rows=_taken(texts), model=model, task_config={"depth": 8})
        if name == "sentence-similarity":
            rows = _with_targets(make_texts(30, seed=3)).append_column("text_pair", make_texts(30, seed=4)["text"])
            return Toy(task=name, rows=rows, model=ModelSpec(reference=str(tiny_bert)))
        if name == "audio-classification" or name.startswith("speech-recognition"):
            task, _, kind = name.partition(" ")
            spec = ModelSpec(reference="arch:wav2vec2", config=WAV2VEC2)
            model = {"letters": ModelSpec(reference=str(tiny_ctc)), "writer": ModelSpec(reference=str(tiny_whisper))}
            config: dict[str, Any] = {"window_seconds": 1} | ({"max_new_tokens": 6} if kind == "writer" else {})
            own = labels if task == "audio-classification" else ()
            return Toy(task=task, rows=sounds(14), model=model.get(kind, spec), labels=own, task_config=config)
        raise AssertionError(f"{name} has no toy: add one here")

    return make


def _labels(task: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    return () if "regression" in task else labels


def _with_targets(rows: pa.Table) -> pa.Table:
    """Each kind of target beside the other, from the label."""
    label = rows.column("label").to_numpy()
    lists = [list(range(int(one))) for one in label]
    return rows.append_column("labels", pa.array(lists, pa.list_(pa.int32()))).append_column(
        "value", pa.array(label * 1.5 + 7)
    )


def _recorded(rows: pa.Table) -> pa.Table:
    """A number and a category a row, some empty, beside the targets."""
    label = rows.column("label").to_numpy()
    records = [
        {"size": None if place % 7 == 3 else float(one) + place % 2, "kind": None if place % 5 == 1 else f"rain {one}"}
        for place, one in enumerate(label)
    ]
    kind = pa.struct({"size": pa.float64(), "kind": pa.string()})
    return _with_targets(rows.drop_columns(["text"])).append_column("features", pa.array(records, kind))


def _tagged(rows: pa.Table) -> pa.Table:
    """The words of the texts, with a tag by their length; one row has none, one a single word."""
    words = [[], ["goal"], *(text.split() for text in rows.column("text").to_pylist()[2:])]
    tags = [[len(word) % 4 for word in row] for row in words]
    kind = pa.list_(pa.int32())
    return pa.table({"id": rows.column("id"), "tokens": words, "tags": pa.array(tags, kind)})


def _asked(rows: pa.Table) -> pa.Table:
    """Texts with their first long word to be found; some have no answer, one has no context, one a single word."""
    contexts = ["", "goal", *rows.column("text").to_pylist()[2:]]
    long = [next((word for word in text.split() if len(word) > 3), None) for text in contexts]
    answers = [
        {"texts": [], "starts": []}
        if word is None or place % 5 == 4
        else {"texts": [word], "starts": [text.find(word)]}
        for place, (word, text) in enumerate(zip(long, contexts, strict=True))
    ]
    kind = pa.struct({"texts": pa.list_(pa.string()), "starts": pa.list_(pa.int32())})
    questions = [f"{word or 'the'} of some" for word in long]
    return pa.table(
        {"id": rows.column("id"), "question": questions, "context": contexts, "answers": pa.array(answers, kind)}
    )


def _taken(texts: list[str]) -> pa.Table:
    """Twenty users with no to many items of the catalogue, in turn, and one or two that they take then."""
    draw, users = np.random.default_rng(0), 20
    drawn = [draw.permutation(len(texts)).tolist() for _ in range(users)]
    cuts = [[0, 1, 5, 18, 3][user % 5] for user in range(users)]
    kind = pa.list_(pa.int32())
    everywhere = pa.array(np.zeros(users, dtype=np.int32))
    names = pa.array([f"item {place}" for place in range(len(texts))])
    return pa.table(
        {
            "id": [f"u{user}" for user in range(users)],
            "history": pa.array([own[:cut] for own, cut in zip(drawn, cuts, strict=True)], kind),
            "catalogue": pa.DictionaryArray.from_arrays(everywhere, names),
            "catalogue_text": pa.DictionaryArray.from_arrays(everywhere, pa.array(texts)),
            "item": pa.array([own[cut : cut + 1 + cut % 2] for own, cut in zip(drawn, cuts, strict=True)], kind),
        }
    )


def _chosen(rows: pa.Table) -> pa.Table:
    """Texts with two to four words to choose from; one question is empty, one a word, one text stands twice."""
    texts = ["", "goal", *rows.column("text").to_pylist()[2:]]
    texts[5] = texts[4]
    choices = [
        [" ".join(text.split()[start : start + 1 + start % 3]) or f"rain {start}" for start in range(2 + place % 3)]
        for place, text in enumerate(texts)
    ]
    label = pa.array([place % len(own) for place, own in enumerate(choices)], pa.int32())
    return pa.table({"id": rows.column("id"), "question": texts, "choices": choices, "label": label})


def _pictures(count: int) -> pa.Table:
    draw = np.random.default_rng(0)
    pictures = [
        {"height": 8, "width": 8, "channels": 1, "data": draw.integers(0, 256, 64, dtype=np.uint8).tobytes()}
        for _ in range(count)
    ]
    label = pa.array(np.arange(count) % 3, pa.int32())
    return pa.table({"id": [f"p{place}" for place in range(count)], "image": pictures, "label": label})


def _masked_pictures(count: int) -> pa.Table:
    """Pictures of two sizes with masks of three classes, of which some pixels do not count."""
    draw = np.random.default_rng(0)
    pictures, masks = [], []
    for place in range(count):
        size = {"height": 32, "width": 32 + 16 * (place % 2)}
        pixels = draw.integers(0, 256, (32, size["width"], 3), dtype=np.uint8)
        classes = np.where(pixels[:, :, :1] > 240, 255, pixels[:, :, 1:2] // 86).astype(np.uint8)
        pictures.append({**size, "channels": 3, "data": pixels.tobytes()})
        masks.append({**size, "channels": 1, "data": classes.tobytes()})
    ids = [f"p{place}" for place in range(count)]
    return pa.table({"id": ids, "image": pa.array(pictures, IMAGE), "mask": pa.array(masks, IMAGE)})


def _scenes(count: int) -> pa.Table:
    """Pictures of two sizes with no to three boxes of areas of every range, one of them a crowd."""
    rows, draw = _masked_pictures(count), np.random.default_rng(1)
    objects: dict[str, list[Any]] = {"labels": [], "boxes": [], "areas": [], "crowd": []}
    for place in range(count):
        number = place % 4
        corners = draw.uniform(0, 20, (number, 2))
        objects["boxes"].append(np.concatenate([corners, draw.uniform(4, 11, (number, 2))], axis=1).tolist())
        objects["labels"].append([(place + one) % 3 for one in range(number)])
        objects["areas"].append([[100.0, 2000.0, 20000.0][one] for one in range(number)])
        objects["crowd"].append([int(place == 3 and one == 0) for one in range(number)])
    kinds = [pa.list_(kind) for kind in (pa.int32(), pa.list_(pa.float64()), pa.float64(), pa.int8())]
    columns = {name: pa.array(objects[name], kind) for name, kind in zip(objects, kinds, strict=True)}
    return pa.table({"id": rows["id"], "image": rows["image"], **columns})
