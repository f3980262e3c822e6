"""References, configurations, fingerprints and what is refused, in one clear line each."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, ModelError
from raybench.models.configuration import open_config
from raybench.models.fingerprint import weights_fingerprint
from raybench.models.reference import Architecture, HubId, LocalPath, resolve
from raybench.recipes.recipe import recipe_of
from raybench.tasks.catalog import get_task
from raybench.tasks.task import Task

TEXTS = get_task("text-classification")


def check(model: ModelSpec, task: Task, labels: tuple[str, ...], method: str) -> None:
    recipe = recipe_of(model, method)
    recipe.check(task, model, labels, recipe.resolve({}))


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_reference_is_a_path_a_package_a_hub_id_or_an_architecture(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert resolve("mine", tmp_path) == LocalPath(tmp_path / "mine")
    assert resolve("arch:vit", tmp_path) == Architecture("vit")
    assert resolve("owner/name", tmp_path) == HubId("owner/name")
    assert isinstance(resolve("pkg:raybench/models", tmp_path), LocalPath)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("./nothing", "no such directory"),
        ("pkg:no_such_package/model", "pip install"),
        ("pkg:raybench/nothing", "holds no 'nothing'"),
        ("arch:brt", "did you mean"),
        ("a b/c", "not a hub id"),
    ],
)
def test_what_leads_nowhere_is_one_line(reference: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        check(ModelSpec(reference=reference), TEXTS, ("a", "b"), "full")
    assert reference.split(":")[-1].split("/")[-1] in one_line(error)


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be reached") as error:
        check(ModelSpec(reference="owner/name"), TEXTS, ("a", "b"), "full")
    assert "owner/name" in one_line(error)


def test_a_directory_without_config_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_bert / "model.safetensors", tmp_path)
    with pytest.raises(ModelError, match=r"no config\.json"):
        check(ModelSpec(reference=str(tmp_path)), TEXTS, ("a", "b"), "full")


def test_pickled_weights_are_refused_unless_allowed(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = tmp_path / "pickled"
    shutil.copytree(tiny_bert, model)
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="allow_pickle: true"):
        check(ModelSpec(reference=str(model)), TEXTS, ("a", "b"), "full")
    check(ModelSpec(reference=str(model), allow_pickle=True), TEXTS, ("a", "b"), "full")


def test_weights_that_lack_a_layer_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    from raybench.models.backbone import open_backbone

    model = tmp_path / "deeper"
    shutil.copytree(tiny_bert, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    with pytest.raises(ModelError, match=r"lack 16 of the network's parameters, such as encoder\.layer\.3"):
        open_backbone(ModelSpec(reference=str(model)), seed=0)


def test_layers_are_cut_where_there_is_a_list_of_them(tiny_bert: Path) -> None:
    from raybench.models.backbone import open_backbone
    from raybench.models.layers import find_blocks

    assert len(find_blocks(open_backbone(ModelSpec(reference=str(tiny_bert), num_layers=2), seed=0))) == 2
    with pytest.raises(IncompatibleError, match="1 to 3 would do"):
        open_config(ModelSpec(reference=str(tiny_bert), num_layers=4))
    with pytest.raises(IncompatibleError, match="no list of layers"):
        open_config(ModelSpec(reference="arch:resnet", num_layers=2))


def test_an_unknown_override_is_refused_with_a_suggestion(tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match="did you mean 'hidden_size'"):
        open_config(ModelSpec(reference=str(tiny_bert), config={"hiden_size": 3}))


def test_the_fingerprint_is_of_the_content_not_of_the_place(tiny_bert: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_bert, copy)
    here = weights_fingerprint(ModelSpec(reference=str(tiny_bert)))
    assert weights_fingerprint(ModelSpec(reference=str(copy))) == here
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    assert weights_fingerprint(ModelSpec(reference=str(copy))) != here


@pytest.mark.parametrize("change", [{"num_layers": 2}, {"pooling": "cls"}, {"init": "scratch"}, {"dtype": "bfloat16"}])
def test_what_changes_the_network_changes_the_fingerprint(tiny_bert: Path, change: dict[str, object]) -> None:
    plain = ModelSpec(reference=str(tiny_bert))
    assert weights_fingerprint(ModelSpec(reference=str(tiny_bert), **change)) != weights_fingerprint(plain)  # type: ignore[arg-type]


def test_a_text_model_is_incompatible_with_images_and_the_other_way_round(tiny_bert: Path) -> None:
    with pytest.raises(IncompatibleError, match="reads no images"):
        check(ModelSpec(reference=str(tiny_bert)), get_task("image-classification"), ("a", "b"), "full")
    with pytest.raises(IncompatibleError, match="reads no text"):
        check(ModelSpec(reference="arch:vit"), TEXTS, ("a", "b"), "full")
    with pytest.raises(IncompatibleError, match="text-classification"):
        check(ModelSpec(reference="baseline:pixels-logistic"), TEXTS, ("a", "b"), "none")


def test_a_head_of_other_labels_is_incompatible_with_none(tiny_bert: Path, tiny_classifier: Path) -> None:
    with pytest.raises(IncompatibleError, match="no trained head"):
        check(ModelSpec(reference=str(tiny_bert)), TEXTS, ("money", "sport"), "none")
    with pytest.raises(IncompatibleError, match=r"its head knows Weather, MONEY, sport, the dataset has cats, dogs"):
        check(ModelSpec(reference=str(tiny_classifier)), TEXTS, ("cats", "dogs"), "none")
    check(ModelSpec(reference=str(tiny_classifier)), TEXTS, ("money", "sport", "weather"), "none")


def test_opening_a_model_prints_nothing(tiny_classifier: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from raybench.models.backbone import open_backbone

    open_backbone(ModelSpec(reference=str(tiny_classifier)), seed=0)
    assert capfd.readouterr() == ("", "")


def test_an_architecture_takes_the_vocabulary_of_its_tokenizer(tiny_bert: Path) -> None:
    config = open_config(ModelSpec(reference="arch:bert", tokenizer=str(tiny_bert)))
    assert (config.vocab_size, config.pad_token_id) == (29, 0)
