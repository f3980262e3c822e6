"""What training sees of a picture hangs on seed, example and epoch alone, and scoring sees pictures as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import JobError
from raybench.core.pictures import IMAGE
from raybench.runtime.trial import fit_trial
from raybench.tasks.augmentation import AugmentOptions, drawn, views, warped
from raybench.tasks.catalog import get_task
from tests.tasks.conftest import VIT
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
TASK = "image-classification"
MODEL = ModelSpec(reference="arch:vit", config=VIT)


def rows(count: int = 12) -> pa.Table:
    draw = np.random.default_rng(0)
    cells = [
        {"height": 8, "width": 8, "channels": 1, "data": draw.integers(0, 256, 64, dtype=np.uint8).tobytes()}
        for _ in range(count)
    ]
    label = pa.array(np.arange(count) % 2, pa.int32())
    return pa.table({"id": [f"p{i}" for i in range(count)], "image": pa.array(cells, IMAGE), "label": label})


def examples(table: pa.Table, **config: Any) -> Any:
    task = get_task(TASK, config)
    dataset = DatasetKey(name="d", task=TASK, labels=("a", "b"), fingerprint="f", max_length=1, task_config=config)
    return task.examples(task.prepare(table, MODEL, 1), MODEL, dataset)


def seen(given: Any, indices: list[int]) -> torch.Tensor:
    return given.batch(np.array(indices), 16, CPU).inputs["pixel_values"]


def test_a_picture_is_seen_the_same_whoever_is_beside_it() -> None:
    table = rows()
    whole = examples(table, crop=0.5, flip=True).in_epoch(3, 2)
    few = examples(table.take(pa.array([7, 2])), crop=0.5, flip=True).in_epoch(3, 2)
    torch.testing.assert_close(seen(whole, [2, 7]), seen(few, [1, 0]), rtol=0, atol=0)


def test_seed_and_epoch_change_what_is_seen_and_scoring_sees_it_as_it_is() -> None:
    given, plain = examples(rows(), crop=0.5, flip=True), examples(rows())
    places = list(range(12))
    shown = [seen(given.in_epoch(seed, epoch), places) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert not any(torch.equal(one, two) for place, one in enumerate(shown) for two in shown[:place])
    assert torch.equal(seen(given, places), seen(plain, places))
    assert plain.in_epoch(0, 0) is plain


def test_a_mirror_image_is_one_and_about_every_second() -> None:
    given = examples(rows(12), flip=True)
    shown, plain = seen(given.in_epoch(0, 0), list(range(12))), seen(given, list(range(12)))
    mirrored = [torch.allclose(one, two.flip(-1), atol=1e-5) for one, two in zip(shown, plain, strict=True)]
    upright = [torch.allclose(one, two, atol=1e-5) for one, two in zip(shown, plain, strict=True)]
    assert [a != b for a, b in zip(mirrored, upright, strict=True)] == [True] * 12
    share = (drawn([str(i) for i in range(4000)], 0, 0)[:, 4] < 0.5).mean()
    assert abs(share - 0.5) < 0.03


def test_a_crop_lies_within_its_picture_and_has_its_share() -> None:
    draws = drawn([str(i) for i in range(2000)], 1, 5)
    theta = views(draws, AugmentOptions(crop=0.3))
    wide, high = theta[:, 0, 0], theta[:, 1, 1]
    assert (np.abs(theta[:, 0, 2]) + wide).max() <= 1 + 1e-6
    assert (np.abs(theta[:, 1, 2]) + high).max() <= 1 + 1e-6
    assert 0.25 < (wide * high).min() < 0.35
    assert (wide / high).max() <= 4 / 3 + 1e-5
    ramp = torch.arange(64.0).repeat(64, 1)[None, None].expand(2000, -1, -1, -1)[:4]
    shown = warped(ramp.contiguous(), theta[:4])
    middle = (theta[:4, 0, 2] + 1) * 32 - 0.5  # where the middle of a part lies in its picture
    np.testing.assert_allclose(shown[:, 0, 32, 31:33].mean(dim=-1).numpy(), middle, atol=0.05)


def test_a_fit_uses_them_and_records_do_not_change_with_the_micro_batch() -> None:
    table, given = rows(), {"epochs": 2, "batch_size": 6, "learning_rate": 1e-2}
    arrays = []
    for config, tokens in (({}, 0), ({"crop": 0.5, "flip": True}, 0), ({"crop": 0.5, "flip": True}, 32)):
        h = {**given, "micro_batch_tokens": tokens}
        trial = make_trial(TASK, MODEL, "full", given=h, labels=("a", "b"), max_length=1, **config)
        train = get_task(TASK, config).prepare(table, MODEL, 1)
        arrays.append(fit_trial(trial, train, CPU).arrays["head.weight"])
    assert not np.allclose(arrays[0], arrays[1], atol=1e-3)
    np.testing.assert_allclose(arrays[1], arrays[2], atol=1e-3)
    trial = make_trial(TASK, MODEL, "full", given=given, labels=("a", "b"), max_length=1, crop=0.5)
    assert records_of(trial, table).num_rows == 12


@pytest.mark.parametrize("config", [{"crop": 0}, {"crop": 1.5}, {"flip": "perhaps"}])
def test_options_that_cannot_be_are_one_line(config: dict[str, Any]) -> None:
    with pytest.raises(JobError, match=rf"task_config\.{next(iter(config))}"):
        get_task(TASK, config)
