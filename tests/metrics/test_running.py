"""A metric fed batch by batch: the score of the whole, no wait for the device, merges that count every row once."""

import pickle
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench import metrics
from raybench.core.errors import MergeError, MetricError
from raybench.metrics import running as module

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(90, 4, generator=GENERATOR)
TARGET = torch.randint(0, 4, (90,), generator=GENERATOR)
NAMES = ["macro_f1", "log_loss", "ece", "roc_auc", "top_2_accuracy"]


def batches() -> Iterator[slice]:
    return (slice(start, start + 32) for start in range(0, 90, 32))  # the last is shorter


def fed(names=NAMES, **options):
    found = metrics.state(names, **options)
    for rows in batches():
        found.update(target=TARGET[rows], logits=LOGITS[rows])
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_batches_give_the_scores_of_the_whole(dtype):
    logits = LOGITS.to(dtype)
    found = metrics.state(NAMES)
    for rows in batches():
        found.update(logits=logits[rows], target=TARGET[rows])
    whole = metrics.evaluate(NAMES, target=TARGET, logits=logits)
    for name, score in found.compute().items():
        rel = 1e-12 if dtype == torch.float64 else 1e-6
        assert score.value == pytest.approx(whole[name].value, rel=rel), name
        assert (score.n, list(score.per_class)) == (90, list(whole[name].per_class)), name


def test_one_name_gives_one_score_and_more_rows_may_follow():
    found = metrics.state("accuracy")
    assert (found.compute().value, found.compute().reason, found.n) == (None, "no examples", 0)
    found.update(target=torch.tensor([0, 1]), prediction=torch.tensor([0, 0]))
    assert found.compute().value == 0.5
    found.update(target=torch.tensor([1, 1]), prediction=torch.tensor([1, 1]))
    assert (found.compute().value, found.n) == (0.75, 4)
    found.reset()
    assert found.compute().n == 0


@pytest.mark.parametrize(
    "make",
    [list, np.array, torch.tensor, pa.array, lambda codes: [str(code) for code in codes]],
    ids=["list", "numpy", "torch", "arrow", "strings"],
)
def test_batches_of_every_kind_are_taken(make):
    found = metrics.state("macro_f1")
    for target, prediction in (([0, 1], [0, 0]), ([1, 2], [1, 2]), ([0, 0], [0, 2])):
        found.update(target=make(target), prediction=make(prediction))
    whole = metrics.evaluate("macro_f1", target=[0, 1, 1, 2, 0, 0], prediction=[0, 0, 1, 2, 0, 2])
    assert found.compute() == whole
    table = metrics.state("macro_f1")
    table.update([{"target": "a", "prediction": "b"}])
    table.update(pa.table({"target": ["b"], "prediction": pa.array(["b"]).dictionary_encode()}))
    assert table.compute().n == 2


def test_an_update_asks_the_device_for_nothing(monkeypatch):
    with_logits, with_classes = metrics.state(NAMES), metrics.state("macro_f1")
    with monkeypatch.context() as patched:
        for name in ("cpu", "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero"):
            patched.setattr(torch.Tensor, name, lambda *_, name=name: pytest.fail(f"{name} copies from the device"))
        for start in (0, 32, 64):
            rows = slice(start, start + 26)
            with_logits.update(target=TARGET[rows], logits=LOGITS[rows], id=[f"r{k}" for k in range(start, start + 26)])
            with_classes.update(target=TARGET[rows], prediction=TARGET[rows].int())
    assert with_logits.n == with_classes.n == 78
    assert with_logits.compute()["macro_f1"].n == with_classes.compute().n == 78


def test_the_batches_travel_in_one_copy(monkeypatch):
    found = fed()
    copies = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: copies.append(self.shape) or self)
    monkeypatch.setattr(torch.Tensor, "item", lambda self: pytest.fail("a value was asked for"))
    found.flush()
    assert len(copies) == 1
    found.flush()
    assert len(copies) == 1


def test_memory_on_the_device_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_FLUSH_BYTES", 3000)
    found = fed()
    assert found._pending_bytes < 3000
    assert found.compute()["macro_f1"] == fed().compute()["macro_f1"]


def test_an_update_costs_the_same_however_many_have_been():
    found = metrics.state("accuracy")
    batch = {"target": torch.tensor([0, 1]), "prediction": torch.tensor([0, 1])}

    def seconds() -> float:
        start = time.process_time()
        for _ in range(500):
            found.update(**batch)
        return time.process_time() - start

    first = min(seconds() for _ in range(2))
    for _ in range(10):
        last = seconds()
    assert min(last, seconds(), seconds()) < 5 * first
    assert found.compute().n == 2 * 500 * 14


def test_a_buffer_may_be_written_again_after_an_update():
    for make in (torch.tensor, np.array, lambda rows: pa.array(np.array(rows))):
        found = metrics.state("accuracy")
        target, prediction = make([0, 1]), make([0, 1])
        found.update(target=target, prediction=prediction)
        if not isinstance(target, pa.Array):
            target[:] = 1 - target
        assert found.compute().value == 1.0
    logits, found = torch.tensor([[0.0, 1.0]]), metrics.state("accuracy")
    found.update(target=torch.tensor([1]), logits=logits)
    logits.neg_()
    assert found.compute().value == 1.0


def test_merging_gives_the_whole_and_leaves_its_inputs_alone():
    parts = []
    for rows in batches():
        part = metrics.state(NAMES)
        part.update(target=TARGET[rows], logits=LOGITS[rows])
        parts.append(pickle.loads(pickle.dumps(part)))
    before = [part.compute() for part in parts]
    merged = parts[0].merge(*parts[1:])
    assert merged.compute() == fed().compute()
    assert [part.compute() for part in parts] == before
    assert metrics.state(NAMES).merge(merged).compute() == merged.compute()
    with_ids = []
    for rows in (slice(0, 50), slice(50, 90)):
        part = metrics.state(NAMES)
        part.update({"id": [f"r{k}" for k in range(90)][rows]}, target=TARGET[rows], logits=LOGITS[rows])
        with_ids.append(part)
    assert with_ids[0].merge(with_ids[1]).compute() == with_ids[1].merge(with_ids[0]).compute()


def test_rows_are_merged_once_and_with_their_like_alone():
    first, second = fed("accuracy"), fed("accuracy")
    both = first.merge(second)
    for states in ((first, first), (both, first), (pickle.loads(pickle.dumps(first)), first)):
        with pytest.raises(MergeError, match="merged twice"):
            states[0].merge(*states[1:])
    fresh = metrics.state("accuracy")
    copies = [pickle.loads(pickle.dumps(fresh)) for _ in range(2)]  # one for each process
    for copy in copies:
        copy.update(target=[0], prediction=[0])
    assert copies[0].merge(copies[1]).compute().n == 2
    for other in (fed("macro_f1"), fed("accuracy", ignore_index=3), fed(["accuracy"]), 3):
        with pytest.raises(MergeError, match="cannot be merged"):
            first.merge(other)
    shared = [metrics.state("accuracy") for _ in range(2)]
    for part in shared:
        part.update(id=["a"], target=[0], prediction=[0])
    with pytest.raises(MergeError, match="'a' was to be merged twice"):
        shared[0].merge(shared[1])


WRONG_UPDATES = [
    ({"target": torch.tensor([0]), "prediction": torch.tensor([0, 1])}, "'prediction' has 2 rows and column"),
    ({"target": [0], "prediction": [0, 1]}, "'prediction' has 2 rows and column 'target' has 1"),
    ({"target": torch.tensor(0), "prediction": torch.tensor(0)}, "'target' is one value"),
    ({"target": torch.tensor([0]), "predicton": torch.tensor([0])}, "did you mean prediction"),
    ({"target": torch.tensor([0]), "logits": torch.zeros(1, 3), "labels": ["a"]}, "'labels' is an option"),
    ({}, "there are no columns"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "expected"), WRONG_UPDATES)
def test_a_wrong_batch_is_told_at_once(columns, expected):
    with pytest.raises(MetricError, match=expected):
        metrics.state("accuracy").update(**columns)


def test_what_only_values_can_tell_is_told_by_compute_with_its_row():
    found = metrics.state("log_loss", labels=["a", "b"])
    found.update(target=torch.tensor([0, 1]), logits=torch.zeros(2, 2))
    found.update(target=torch.tensor([0, 7]), logits=torch.zeros(2, 2))
    with pytest.raises(MetricError, match=r"target 7 \(row 3\) is no class: expected 0 to 1"):
        found.compute()
    with pytest.raises(MetricError, match="the scores have 3 entries a row; expected 2, one a label"):
        found.update(target=torch.tensor([0]), logits=torch.zeros(1, 3))
    other = metrics.state("accuracy")
    other.update(target=torch.tensor([0]), prediction=torch.tensor([0]))
    other.update(target=["a"], prediction=["b"])
    with pytest.raises(MetricError, match="column 'target' is int64 and string in different updates"):
        other.compute()
    with pytest.raises(MetricError, match="lacks column 'prediction'"):
        other.update(target=["a"])
    with pytest.raises(MetricError, match=r"given by name, in any order: update\(target=…, prediction=…\)"):
        other.update(torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(MetricError, match="'target' is a column; give columns to `update`"):
        metrics.state("accuracy", target=[0])
