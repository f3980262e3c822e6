"""recommendation: items are ranked as by brute force over all of them, those taken are out, and what is learned is in
the order."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import IncompatibleError, ModelError
from raybench.metrics import MetricSet
from raybench.runtime.trial import fit_trial
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task
from raybench.tasks.items import item_words, rank_unseen
from raybench.tasks.task import LossOptions
from tests.tasks.as_planned import check
from tests.tasks.trials import CPU, make_trial, records_of

NAME = "recommendation"
METRICS = ("ndcg_at_5", "hit_rate_at_5", "mrr_at_5")
LLAMA = ModelSpec(
    reference="arch:llama",
    config={
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2,
    },
)  # fmt: skip


def users(histories: list[list[int]], items: list[list[int]], texts: list[str]) -> pa.Table:
    kind, everywhere = pa.list_(pa.int32()), pa.array(np.zeros(len(histories), dtype=np.int32))
    return pa.table(
        {
            "id": [f"u{number}" for number in range(len(histories))],
            "history": pa.array(histories, kind),
            "catalogue": pa.DictionaryArray.from_arrays(everywhere, pa.array([f"i{n}" for n in range(len(texts))])),
            "catalogue_text": pa.DictionaryArray.from_arrays(everywhere, pa.array(texts)),
            "item": pa.array(items, kind),
        }
    )


@pytest.fixture
def rows(make_texts: Callable[..., pa.Table]) -> pa.Table:
    """Thirty users with 0 to 12 of 40 items, who then take one or two, one of them nothing."""
    texts, draw = make_texts(40, seed=6)["text"].to_pylist(), np.random.default_rng(1)
    texts[:2] = ["", "goal"]
    taste = [draw.permutation(40)[np.argsort(draw.permutation(40) // 4 + draw.random(40))].tolist() for _ in range(30)]
    sizes = [number * 5 % 13 for number in range(30)]
    items = [own[size : size + 1 + size % 2] for own, size in zip(taste, sizes, strict=True)]
    items[3] = []
    return users([own[:size] for own, size in zip(taste, sizes, strict=True)], items, texts)


def trial_of(model: Any, rows: pa.Table, method: str = "none", max_length: int = 16, **given: Any) -> Trial:
    config = {name: given.pop(name) for name in ("depth", "negatives", "shown") if name in given}
    trial = make_trial(NAME, model, method, given=given, max_length=max_length, **config)
    statistics = get_task(NAME).statistics(rows)
    return dataclasses.replace(trial, dataset=dataclasses.replace(trial.dataset, statistics=statistics))


def figures(records: pa.Table) -> dict[str, float]:
    metrics = MetricSet(METRICS, {})
    scores = metrics.compute(metrics.states(records), lambda: records)
    return {name: scores[name].value for name in METRICS}  # type: ignore[misc]


def by_hand(scores_BN: np.ndarray, rows: pa.Table, cutoff: int = 5) -> dict[str, float]:
    """The figures by sorting all items, in the words of their definitions; of equal scores the first item is better."""
    sums, count = dict.fromkeys(METRICS, 0.0), 0
    for scores_N, history, wanted in zip(scores_BN, rows["history"].to_pylist(), rows["item"].to_pylist(), strict=True):
        if not wanted:
            continue
        order = [int(item) for item in np.argsort(-scores_N, kind="stable") if item not in history]
        hits = [place for place, item in enumerate(order[:cutoff]) if item in wanted]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(cutoff, len(wanted))))
        sums["ndcg_at_5"] += sum(1 / math.log2(place + 2) for place in hits) / ideal
        sums["hit_rate_at_5"] += bool(hits)
        sums["mrr_at_5"] += 1 / (hits[0] + 1) if hits else 0.0
        count += 1
    return {name: total / count for name, total in sums.items()}


def matrix(rows: pa.Table, *names: str) -> np.ndarray:
    taken_BN = np.zeros((rows.num_rows, len(item_words(rows))))
    for name in names:
        for user, own in enumerate(rows[name].to_pylist()):
            taken_BN[user, own] = 1
    return taken_BN


def assert_scored_as(records: pa.Table, scores_BN: np.ndarray, rows: pa.Table, depth: int) -> None:
    """A record's best are the best of all that is not taken, with their scores, and the rest is what is wanted."""
    histories, wanted = rows["history"].to_pylist(), rows["item"].to_pylist()
    for user, (names, scores) in enumerate(
        zip(records["items"].to_pylist(), records["scores"].to_pylist(), strict=True)
    ):
        items = [int(name[1:]) for name in names]
        unseen = np.setdiff1d(np.arange(scores_BN.shape[1]), histories[user])
        assert not set(items) & set(histories[user])
        assert set(items[depth:]) == set(wanted[user]) - set(items[:depth])
        np.testing.assert_allclose(scores[:depth], np.sort(scores_BN[user, unseen])[::-1][:depth], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(scores, scores_BN[user, items], rtol=1e-4, atol=1e-5)
        assert (np.diff(np.array(scores, dtype=np.float32)) < 0).all()


@pytest.mark.parametrize("depth", [5, 100])
def test_texts_rank_as_the_mean_of_embeddings_does_by_brute_force(depth: int, tiny_bert: Path, rows: pa.Table) -> None:
    """One text at a time with transformers alone, without padding; then the figures' definitions."""
    from transformers import AutoModel, AutoTokenizer

    network, tokenizer = AutoModel.from_pretrained(tiny_bert).eval(), AutoTokenizer.from_pretrained(tiny_bert)
    embedded = []
    with torch.inference_mode():
        for text in item_words(rows):
            given = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
            embedded.append(network(**given).last_hidden_state[0].mean(0).double())
    items_NH = torch.nn.functional.normalize(torch.stack(embedded), dim=1).numpy()
    means_BH = matrix(rows, "history") @ items_NH
    norms_B = np.maximum(np.linalg.norm(means_BH, axis=1, keepdims=True), 1e-12)
    records = records_of(trial_of(tiny_bert, rows, depth=depth), rows)
    assert_scored_as(records, means_BH / norms_B @ items_NH.T, rows, depth)
    assert figures(records) == pytest.approx(by_hand(means_BH / norms_B @ items_NH.T, rows), abs=1e-6)


def neighbor_scores(train: pa.Table, rows: pa.Table) -> np.ndarray:
    """Item-based nearest neighbours with scikit-learn and dense matrices; there are fewer items than neighbours."""
    from sklearn.metrics.pairwise import cosine_similarity

    near_NN = cosine_similarity(matrix(train, "history", "item").T)
    np.fill_diagonal(near_NN, 0)
    return matrix(rows, "history") @ near_NN


def popularity_scores(train: pa.Table, rows: pa.Table) -> np.ndarray:
    return np.tile(matrix(train, "history", "item").sum(axis=0), (rows.num_rows, 1))


def als_scores(train: pa.Table, rows: pa.Table) -> np.ndarray:
    """The library's factors; each user's vector by the normal equations of Hu, Koren and Volinsky."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(alpha=40.0, random_state=0, num_threads=1)
        model.fit(csr_matrix(matrix(train, "history", "item"), dtype=np.float32), show_progress=False)
    items_NF = model.item_factors.astype(np.float64)
    found = []
    for own in rows["history"].to_pylist():
        weighed = items_NF.T @ items_NF + 0.01 * np.eye(100) + 39.0 * items_NF[own].T @ items_NF[own]
        found.append(items_NF @ np.linalg.solve(weighed, 40.0 * items_NF[own].sum(axis=0)))
    return np.stack(found)


@pytest.mark.parametrize(
    ("name", "scores"), [("popularity", popularity_scores), ("item-neighbors", neighbor_scores), ("als", als_scores)]
)
def test_baselines_score_as_their_definitions_on_dense_matrices(
    name: str, scores: Callable[..., np.ndarray], rows: pa.Table
) -> None:
    if name == "als":
        pytest.importorskip("implicit")
    train = rows.slice(10)
    expected = scores(train, rows)
    records = records_of(trial_of(f"baseline:{name}", rows, depth=100), rows, train)
    assert_scored_as(records, expected, rows, 100)
    if name != "als":  # whose equal scores are equal in float64 alone
        assert figures(records) == pytest.approx(by_hand(expected.astype(np.float32), rows), abs=1e-6)


def test_only_the_nearest_hundred_of_an_item_count() -> None:
    count = 150  # item 0 is with each other item n in n of the users
    histories = [[0, *range(start, count)] for start in range(1, count)]
    rows = users(histories, [[] for _ in histories], ["x"] * count)
    asked = users([[0]], [[1]], ["x"] * count)
    records = records_of(trial_of("baseline:item-neighbors", rows, depth=count), asked, rows)
    scored = [score > 1e-6 for score in records["scores"].to_pylist()[0]]
    assert scored == [True] * 100 + [False] * 49
    assert records["items"].to_pylist()[0][:100] == [f"i{n}" for n in range(count - 1, count - 101, -1)]


@pytest.mark.parametrize("depth", [5, 6, 40])
def test_equal_scores_go_by_place_and_figures_are_those_of_all_items_at_any_depth(depth: int, rows: pa.Table) -> None:
    draw = np.random.default_rng(0)
    scores_BN = draw.integers(0, 3, (rows.num_rows, 40)).astype(np.float32)  # most are equal
    histories, wanted = (
        [np.array(own, dtype=np.int64) for own in rows[name].to_pylist()] for name in ("history", "item")
    )
    for size in (7, 40):
        pieces = iter(torch.from_numpy(scores_BN).split(size, dim=1))
        ranked = rank_unseen(pieces, histories, wanted, depth)
        records = get_task(NAME).records(ranked, rows, trial_of("baseline:popularity", rows).dataset)
        assert figures(records) == pytest.approx(by_hand(scores_BN, rows), abs=1e-9)


def sequence_scores(trial: Trial, rows: pa.Table, longest: int) -> list[np.ndarray]:
    """Logits after each user's items alone, with transformers' own classes and the weights that a fit begins with."""
    network: Any = get_task(NAME).network(trial.model, trial.dataset, 0, own_head=False)
    found = []
    with torch.inference_mode():
        for own in rows["history"].to_pylist():
            ids = torch.tensor([[0, *(item + 1 for item in own)][-longest:]])
            if len(own) + 1 > longest:
                ids[0, 0] = 0  # the beginning stands before what is left
            found.append(network.backbone(input_ids=ids).logits[0, -1, 1:].numpy())
    return found


@pytest.mark.parametrize("longest", [6, 16])
def test_a_sequence_model_scores_each_user_as_its_row_alone_of_its_newest_items(longest: int, rows: pa.Table) -> None:
    trial = trial_of(LLAMA, rows, "full", max_length=longest, depth=100, epochs=1, learning_rate=1e-30)
    records = records_of(trial, rows)
    expected = np.stack(sequence_scores(trial, rows, longest))
    assert_scored_as(records, expected, rows, 100)
    assert figures(records) == pytest.approx(by_hand(expected, rows), abs=1e-6)


def test_the_loss_of_a_sequence_is_that_of_every_next_item(rows: pa.Table) -> None:
    trial, task = trial_of(LLAMA, rows), get_task(NAME)
    network: Any = task.network(trial.model, trial.dataset, 0, own_head=False)
    examples = task.examples(task.prepare(rows, trial.model, 16), trial.model, trial.dataset)
    batch = examples.batch(np.arange(rows.num_rows), 16, CPU)
    expected, terms = 0.0, 0
    with torch.inference_mode():
        loss = float(task.loss(network(batch.inputs), batch, LossOptions()))
        for own, wanted in zip(rows["history"].to_pylist(), rows["item"].to_pylist(), strict=True):
            ids = torch.tensor([[0, *(item + 1 for item in own)]])
            targets = torch.tensor([item + 1 for item in [*own, *wanted[:1]]])
            logits = network.backbone(input_ids=ids).logits[0, : len(targets)]
            expected += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
            terms += len(targets)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert examples.units(np.arange(rows.num_rows)) == terms


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_sequence_model_learns_what_follows_what(kind: str) -> None:
    histories = [[(start + step) % 12 for step in range(1 + start % 5)] for start in range(60)]
    rows = users(histories, [[(own[-1] + 1) % 12] for own in histories], ["x"] * 12)
    gpt2 = ModelSpec(reference="arch:gpt2", config={"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 16})
    given = {"epochs": 12, "learning_rate": 2e-2, "batch_size": 10}
    records = records_of(trial_of(LLAMA if kind == "llama" else gpt2, rows, "full", **given), rows)
    assert figures(records)["mrr_at_5"] > 0.95


@pytest.mark.parametrize(("method", "given"), [("full", {}), ("top_layers", {"layers": 0}), ("lora", {})])
def test_learning_brings_what_is_taken_together_nearer(
    method: str, given: dict[str, Any], tiny_bert: Path, rows: pa.Table
) -> None:
    task, losses = get_task(NAME), []
    for epochs in (1, 6):
        steps = {"epochs": epochs, "batch_size": 8, "learning_rate": 5e-3, "warmup": 0.0, "decay": "constant"}
        trial = trial_of(tiny_bert, rows, method, **steps, **given)
        checkpoint = fit_trial(trial, task.prepare(rows, trial.model, 16), CPU)
        losses.append(checkpoint.meta["loss"])
        assert "head.weight" in checkpoint.arrays
    assert losses[1] < losses[0]
    assert method != "top_layers" or set(checkpoint.arrays) == {"head.weight"}


def test_a_head_begins_as_if_it_were_not_there(tiny_bert: Path, rows: pa.Table) -> None:
    plain = records_of(trial_of(tiny_bert, rows), rows)
    begun = records_of(trial_of(tiny_bert, rows, "top_layers", layers=0, epochs=1, learning_rate=1e-30), rows)
    np.testing.assert_allclose(plain["scores"][0].as_py(), begun["scores"][0].as_py(), atol=1e-5)


def test_what_a_text_model_learns_from_is_the_right_one_and_others_not_taken(tiny_bert: Path, rows: pa.Table) -> None:
    task = get_task(NAME, {"negatives": 3, "shown": 4})
    prepared = task.prepare(rows, ModelSpec(reference=str(tiny_bert)), 16)
    for history, wanted, shown, compared in zip(
        *(prepared[name].to_pylist() for name in ("history", "item", "shown", "compared")), strict=True
    ):
        assert set(shown) <= set(history)
        assert len(shown) == min(4, len(history))
        assert compared[:1] == wanted[:1]
        assert len(set(compared)) == (4 if wanted else 0)
        assert not set(compared[1:]) & {*history, *wanted}


def test_a_network_over_other_items_is_another_network(rows: pa.Table) -> None:
    fewer, all_of_them = trial_of(LLAMA, users([[0]], [[1]], ["x", "y"]), "full"), trial_of(LLAMA, rows, "full")
    workspace = Workspace(CPU)
    words = [workspace.network(trial, get_task(NAME), own_head=True).backbone.config.vocab_size  # type: ignore[union-attr]
             for trial in (fewer, all_of_them)]  # fmt: skip
    assert words == [3, 41]


def test_without_texts_names_are_read(tiny_bert: Path, rows: pa.Table) -> None:
    task, bare = get_task(NAME), rows.drop_columns(["catalogue_text"])
    assert item_words(bare)[:2] == ["i0", "i1"]
    assert any("text models read the items' names" in note for note in task.review({"test": bare}, ()))
    records_of(trial_of(tiny_bert, bare), bare)


def test_als_without_its_library_is_one_line(rows: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    trial, task = trial_of("baseline:als", rows), get_task(NAME)
    with pytest.raises(ModelError, match=r"baseline 'als': .*; pip install 'raybench\[recommendation\]'"):
        fit_trial(trial, task.prepare(rows, trial.model, 16), CPU)


def test_what_cannot_be_asked_is_refused_in_a_line(tiny_bert: Path) -> None:
    task = get_task(NAME)
    with pytest.raises(IncompatibleError, match="frozen"):
        check(ModelSpec(reference=str(tiny_bert)), task, (), "frozen")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(LLAMA, task, (), "none")
    with pytest.raises(IncompatibleError, match="its words are the items; leave vocab_size out"):
        check(dataclasses.replace(LLAMA, config={"vocab_size": 9}), task, (), "full")
    with pytest.raises(IncompatibleError, match="has no vocabulary"):
        check(ModelSpec(reference="arch:vit"), task, (), "full")
    with pytest.raises(IncompatibleError, match="does recommendation, not retrieval"):
        check(ModelSpec(reference="baseline:popularity"), get_task("retrieval"), (), "none")
