"""image-generation: figures are those of torch-fidelity's formulas on what transformers makes of the same pictures."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from raybench.core import ModelSpec
from raybench.core.errors import DataError, IncompatibleError, JobError, ModelError
from raybench.core.pictures import image_array
from raybench.job import parse_job
from raybench.metrics import MetricSet
from raybench.models.feature_network import open_feature_network
from raybench.planning.plan import Plan, make_plan
from raybench.recipes.baselines.catalog import get_baseline
from raybench.tasks.catalog import get_task
from tests.tasks.as_planned import check
from tests.tasks.conftest import VIT, save_pictures
from tests.tasks.trials import make_trial, records_of

NAME = "image-generation"


def pictures(count: int, seed: int) -> np.ndarray:
    """Grey pictures of 10 × 9 with a bright corner of some size."""
    draw = np.random.default_rng(seed)
    found = draw.integers(0, 90, (count, 10, 9), dtype=np.uint8)
    for place in range(count):
        found[place, : 2 + place % 6, : 2 + place % 5] += np.uint8(120)
    return found


def rows(images: np.ndarray) -> pa.Table:
    return pa.table({"id": [f"real{place}" for place in range(len(images))], "image": image_array(images)})


def saved(images: np.ndarray, folder: Path) -> Path:
    folder.mkdir()
    for place, one in enumerate(images):
        Image.fromarray(one).save(folder / f"{place}.png")
    return folder


def scored(candidate: str, real: np.ndarray, network: Path, train: np.ndarray | None = None) -> tuple[pa.Table, Any]:
    test = get_task(NAME).scored_rows(rows(real))
    trial = make_trial(NAME, candidate, max_length=1, feature_network=str(network))
    records = records_of(trial, test, None if train is None else rows(train))
    metrics = MetricSet(["fid", "kid", "inception_score"], {})
    scores = metrics.compute(metrics.states(records), lambda: records)
    return records, {name: score.value for name, score in scores.items()}


@torch.inference_mode()
def looked_at(images: np.ndarray, network: Path) -> tuple[np.ndarray, np.ndarray]:
    """What ViT's classifier is given of each picture, and its probabilities, by transformers alone."""
    from transformers import ViTForImageClassification, ViTImageProcessor

    model = ViTForImageClassification.from_pretrained(network).eval()
    processor = ViTImageProcessor.from_pretrained(network)
    values = processor(images=list(images[..., None]), input_data_format="channels_last", return_tensors="pt")
    hidden = model.vit(values["pixel_values"]).last_hidden_state[:, 0]
    return hidden.double().numpy(), model.classifier(hidden).double().softmax(dim=1).numpy()


def test_figures_are_those_of_torch_fidelitys_formulas(tiny_vit: Path, tmp_path: Path) -> None:
    """FID with scipy's square root, KID's unbiased cubic kernel over all pictures, the Inception score of the made."""
    real, made = pictures(60, 0), pictures(60, 1) // 2
    records, figures = scored(f"images:{saved(made, tmp_path / 'made')}", real, tiny_vit)
    (a, _), (b, told) = looked_at(real, tiny_vit), looked_at(made, tiny_vit)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    fid = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert figures["fid"] == pytest.approx(fid, rel=1e-3)

    def kernel(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p @ q.T / p.shape[1] + 1) ** 3

    within = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1)) for x in (a, b)]
    assert figures["kid"] == pytest.approx(sum(within) - 2 * kernel(a, b).mean(), rel=1e-3)
    divergence = (told * (np.log(told) - np.log(told.mean(0)))).sum(1)
    assert figures["inception_score"] == pytest.approx(np.exp(divergence.mean()), rel=1e-6)
    found = np.array(records["features"].to_pylist())[: len(real)]
    np.testing.assert_allclose(found, a, atol=1e-5)
    assert records["real"].to_pylist() == [True] * 60 + [False] * 60
    (told_by,) = set(records["seen_by"].to_pylist())
    assert told_by.startswith(f"{tiny_vit.name} (")
    assert len(told_by.rpartition("(")[2]) == 13


def test_places_for_made_pictures_stand_beside_the_real_ones_with_slices_or_without() -> None:
    real = rows(pictures(12, 0))
    sliced = real.add_column(1, "slice_shop", pa.array(["a"] * 12))
    for table, shops in ((real, None), (sliced, ["a"] * 12 + [""] * 12)):
        scored_rows = get_task(NAME).scored_rows(table)
        assert scored_rows["place"].to_pylist() == [-1] * 12 + list(range(12))
        assert scored_rows["image"].null_count == 12
        assert len(set(scored_rows["id"].to_pylist())) == 24
        assert shops is None or scored_rows["slice_shop"].to_pylist() == shops


def test_files_are_taken_by_content_and_so_are_folders_and_globs(tiny_vit: Path, tmp_path: Path) -> None:
    real, made = pictures(12, 0), pictures(12, 1)
    first, second = saved(made, tmp_path / "a"), saved(made[::-1], tmp_path / "b")
    records = [scored(f"images:{where}", real, tiny_vit)[0] for where in (first, second, f"{first}/*.png")]
    assert records[0].equals(records[1])
    assert records[0].equals(records[2])


@pytest.mark.parametrize("name", ["training-images", "blurred-images", "pixel-noise"])
def test_a_baseline_is_seen_as_its_pictures_saved_in_a_folder(name: str, tiny_vit: Path, tmp_path: Path) -> None:
    real, train = pictures(12, 0), pictures(8, 3)
    baseline: Any = get_baseline(name)
    made = np.stack([baseline.made(train[..., None], place)[..., 0] for place in range(12)])
    _, expected = scored(f"images:{saved(made, tmp_path / 'made')}", real, tiny_vit)
    _, figures = scored(f"baseline:{name}", real, tiny_vit, train)
    assert figures == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_baselines_make_what_they_say() -> None:
    train = pictures(6, 3)[..., None]
    noise, blurred, same = (
        np.stack([get_baseline(name).made(train, place) for place in range(8)])  # type: ignore[attr-defined]
        for name in ("pixel-noise", "blurred-images", "training-images")
    )
    np.testing.assert_array_equal(same, train[[0, 1, 2, 3, 4, 5, 0, 1]])
    smooth = gaussian_filter(train[2, :, :, 0].astype(np.float64), 9 / 16)
    np.testing.assert_allclose(blurred[2, :, :, 0], smooth, atol=0.51)
    assert all(np.isin(noise[:, y, x, 0], train[:, y, x, 0]).all() for y in range(10) for x in range(9))
    assert len({one.tobytes() for one in noise}) == 8


def test_a_baseline_is_the_same_bits_whatever_the_shards(tiny_vit: Path) -> None:
    real, train = pictures(9, 0), pictures(5, 3)
    trial = make_trial(NAME, "baseline:blurred-images", max_length=1, feature_network=str(tiny_vit))
    baseline, task = get_baseline("blurred-images"), get_task(NAME, {"feature_network": str(tiny_vit)})
    arrays = baseline.fit(rows(train), trial.dataset, 0)
    test = task.scored_rows(rows(real))
    whole = baseline.outputs(arrays, test, trial.dataset).features
    parts = [baseline.outputs(arrays, test.slice(start, 4), trial.dataset).features for start in range(0, 18, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


ARCHITECTURES = {
    "vit": VIT,
    "resnet": {"num_channels": 1, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "convnext": {"num_channels": 1, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 2},
    "swin": {"image_size": 8, "patch_size": 2, "num_channels": 1, "embed_dim": 8, "depths": [1, 1],
             "num_heads": [1, 2], "window_size": 2},
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_features_are_what_a_classifiers_last_layer_reads(kind: str, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForImageClassification

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **ARCHITECTURES[kind], num_labels=5)
    model = AutoModelForImageClassification.from_config(config).eval()
    model.save_pretrained(tmp_path)
    values = torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        features_BH, logits_BC = open_feature_network(ModelSpec(reference=str(tmp_path))).both({"pixel_values": values})
        last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
        torch.testing.assert_close(logits_BC, model(values).logits)
        torch.testing.assert_close(logits_BC, last(features_BH))


def test_a_network_without_classes_gives_pooled_features_and_no_inception_score(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    model = ViTModel(ViTConfig(**VIT), add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path / "net")
    ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5]).save_pretrained(
        tmp_path / "net"
    )
    seen = open_feature_network(ModelSpec(reference=str(tmp_path / "net")))
    values = torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        features_BH, logits = seen.both({"pixel_values": values})
        torch.testing.assert_close(features_BH, model(values).last_hidden_state.mean(1))
    assert logits is None
    task = get_task(NAME, {"feature_network": str(tmp_path / "net")})
    assert task.default_metrics((), {}) == ("fid", "kid")
    (note,) = task.review({"test": rows(pictures(3, 0))}, ())
    assert "3 made pictures against 3 real ones" in note
    assert "there is no Inception score" in note
    images = saved(pictures(4, 1), tmp_path / "made")
    _, figures = scored(f"images:{images}", pictures(4, 0), tmp_path / "net")
    assert figures["inception_score"] is None
    assert figures["fid"] > 0


GENERATORS = """
import numpy as np

asked = []

def grey(count):
    asked.append(count)
    return (np.full((10, 9), place, dtype=np.uint8) for place in range(count + 5))

def colour(count):
    return np.zeros((count, 10, 9, 3), dtype=np.uint8)

def few(count):
    return [np.zeros((10, 9), dtype=np.uint8)] * (count - 1)

def broken(count):
    raise RuntimeError("no weights")

def nothing(count):
    return None

def floats(count):
    return np.zeros((count, 10, 9))
"""


@pytest.fixture
def generators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "made_by.py").write_text(GENERATORS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "images:made_by"
    sys.modules.pop("made_by", None)


def test_a_function_is_asked_for_as_many_as_there_are_real_ones(generators: str, tiny_vit: Path) -> None:
    records, _ = scored(f"{generators}:grey", pictures(7, 0), tiny_vit, train=pictures(5, 3))
    assert sys.modules["made_by"].asked == [7]
    grey = np.stack([np.full((10, 9), place, dtype=np.uint8) for place in range(7)])
    np.testing.assert_allclose(np.array(records["features"].to_pylist())[7:], looked_at(grey, tiny_vit)[0], atol=1e-5)
    scored(f"{generators}:colour", pictures(3, 0), tiny_vit)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("few", "6 pictures, and 7 real ones to compare them with: make as many"),
        ("broken", "called with 7: RuntimeError: no weights"),
        ("nothing", "it gave NoneType, not pictures"),
        ("floats", "picture 0: pictures must be uint8"),
        ("absent", "has no attribute 'absent'"),
    ],
)
def test_what_a_function_does_wrong_is_one_line(name: str, words: str, generators: str, tiny_vit: Path) -> None:
    with pytest.raises(ModelError) as caught:
        scored(f"{generators}:{name}", pictures(7, 0), tiny_vit)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_torn_picture_is_named_and_so_is_a_folder_without_any(tiny_vit: Path, tmp_path: Path) -> None:
    folder = save_pictures(tmp_path / "made", 5)
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:40])
    with pytest.raises(ModelError, match=r"made/3\.png .id made-\d.: not a picture that can be decoded"):
        scored(f"images:{folder}", pictures(5, 0), tiny_vit)
    task = get_task(NAME)
    (tmp_path / "empty").mkdir()
    for where, words in ((tmp_path / "empty", "there is no picture"), ("nowhere", "no such folder")):
        with pytest.raises(ModelError, match=words):
            check(ModelSpec(reference=f"images:{where}"), task, (), "none")


def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path: Path, tiny_vit: Path) -> None:
    folder = save_pictures(tmp_path / "made", 1)
    with pytest.raises(IncompatibleError, match="images are compared with real ones by image-generation; image-class"):
        check(ModelSpec(reference=f"images:{folder}"), get_task("image-classification"), (), "none")
    with pytest.raises(IncompatibleError, match="here pictures are compared: images: a folder"):
        check(ModelSpec(reference=str(tiny_vit)), get_task(NAME), (), "none")


JOB = """
name: made
candidates:
  - {images: "made/*"}
  - {images: "one/*.png", name: files}
  - {images: "made_by:grey", name: function}
  - baseline: training-images
datasets:
  - {name: real, source: imagefolder, data_files: {train: real, test: real}, task: image-generation,
     task_config: {feature_network: NETWORK}}
"""


@pytest.fixture
def planned(generators: str, tmp_path: Path, tiny_vit: Path) -> Any:
    for name in ("made/a", "made/b", "one", "real"):
        save_pictures(tmp_path / name, 4, seed=len(name))

    def plan(network: Path | str = tiny_vit, old: str = "", new: str = "") -> Plan:
        return make_plan(parse_job(JOB.replace(old, new).replace("NETWORK", str(network)), str(tmp_path / "job.yaml")))

    return plan


def test_each_folder_of_a_glob_is_a_candidate_and_files_are_one(planned: Any) -> None:
    plan: Plan = planned()
    assert not [one.problem for one in plan.trials if one.problem]
    assert [one.trial.candidate for one in plan.trials] == ["a", "b", "files", "function", "training-images"]
    ids = plan.datasets["real"].loaded.splits["test"]["id"].to_pylist()
    assert [name for name in ids if name.startswith("made-")] == [f"made-{place}" for place in range(4)]
    assert len(ids) == 8
    assert any("4 made pictures against 4 real ones, as " in note for note in plan.notes)


def test_what_is_compared_and_what_looks_at_it_is_part_of_what_a_trial_is(
    planned: Any, tmp_path: Path, tiny_vit: Path
) -> None:
    def ids() -> dict[str, str]:
        return {one.trial.candidate: one.trial.trial_id for one in planned().trials}

    before = ids()
    (tmp_path / "made" / "a" / "0.png").write_bytes((tmp_path / "made" / "b" / "1.png").read_bytes())
    (tmp_path / "made_by.py").write_text(GENERATORS + "\n# other\n")
    after = ids()
    assert {name for name in before if before[name] != after[name]} == {"a", "function"}
    shutil.copytree(tiny_vit, tmp_path / "elsewhere")
    assert {one.trial.candidate: one.trial.trial_id for one in planned("./elsewhere").trials} == after
    torch.manual_seed(2)
    other = tmp_path / "other"
    from transformers import ViTConfig, ViTForImageClassification

    ViTForImageClassification(ViTConfig(**VIT, num_labels=3)).save_pretrained(other)
    seen = {one.trial.candidate: one.trial.trial_id for one in planned(other).trials}
    assert not set(seen.values()) & set(after.values())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{feature_network: NETWORK}", "{}", "task_config: dataset real: pictures are compared by a network"),
        ("NETWORK", "./nowhere", "no such directory"),
        ("NETWORK", "arch:bert", "feature_network: dataset real: model 'arch:bert': bert reads no pictures"),
        ("name: files}", "name: files, method: full}", "images have no method full; leave method out"),
        ("name: files}", "name: files, pooling: cls}", "images have no pooling"),
        ("name: files}", "name: files, model: x}", "want exactly one of model, baseline and images, got 2"),
        ('"made/*"', '"none/*"', "no directory matches"),
    ],
)
def test_what_a_job_says_wrong_is_told_with_its_place(old: str, new: str, words: str, planned: Any) -> None:
    assert old in JOB
    with pytest.raises((JobError, DataError)) as caught:
        planned(old=old, new=new)
    assert words in str(caught.value)
    assert "job.yaml:" in str(caught.value)
