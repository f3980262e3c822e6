"""retrieval: every document is ranked as by brute force, whatever the pieces, and what is learned is in the order."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.core.errors import DataError, IncompatibleError
from raybench.data import load_dataset
from raybench.data.qrels import judged_rows
from raybench.job.spec import DatasetSpec
from raybench.metrics import MetricSet
from raybench.models.embedding import EmbeddingNetwork
from raybench.models.tokenizer import open_tokenizer
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.tasks.catalog import get_task
from raybench.tasks.corpus import judge
from raybench.tasks.ranking import rank
from tests.tasks.as_planned import check

CPU = torch.device("cpu")
NAME = "retrieval"


@pytest.fixture
def rows(make_texts: Callable[..., pa.Table]) -> pa.Table:
    """Queries with one to three documents; empty ones, one of one word, some longer than the model takes."""
    queries, texts = make_texts(20, seed=5)["text"].to_pylist(), make_texts(45, seed=6)["text"].to_pylist()
    queries[:2], texts[:2] = ["", "ball"], ["", "goal"]
    document = [texts[place * 2 : place * 2 + 1 + place % 3] for place in range(20)]
    negative = [texts[40:45] if place == 7 else [] for place in range(20)]
    ids = [f"q{place}" for place in range(20)]
    return pa.table(
        {"id": ids, "query": queries, "document": document, "negative": pa.array(negative, pa.list_(pa.string()))}
    )


def trial_of(model: ModelSpec, method: str = "none", given: dict[str, Any] | None = None, **config: Any) -> Trial:
    dataset = DatasetKey(name="toy", task=NAME, labels=(), fingerprint="toy", max_length=16, task_config=config)
    hyperparameters = {} if model.baseline else get_method(method).resolve(given or {})
    return Trial(
        trial_id=method, candidate="toy", model=model, dataset=dataset, method=method, hyperparameters=hyperparameters,
        seed=0, weights_fingerprint=candidate_fingerprint(model),
    )  # fmt: skip


def scored(trial: Trial, rows: pa.Table, *, fit: bool = False) -> tuple[pa.Table, dict[str, float]]:
    task = get_task(NAME, trial.dataset.task_config)
    data = prepare_data(task, {"train": rows, "test": rows}, trial.model, trial.dataset)
    predictor = open_predictor(trial, fit_trial(trial, data.train, CPU) if fit else None, CPU)
    metrics = MetricSet(["ndcg_at_5", "mrr_at_5", "recall_at_5", "mean_average_precision_at_5"], {})
    records = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records
    scores = metrics.compute(metrics.states(records), lambda: records)
    place = {name: number for number, name in enumerate(records["id"].to_pylist())}
    ordered = records.take(pa.array([place[name] for name in rows["id"].to_pylist()]))
    return ordered, {name: score.value for name, score in scores.items()}


def by_hand(cosines: np.ndarray, relevant: list[set[int]], cutoff: int) -> dict[str, float]:
    """The four figures of a query × document matrix without equal scores, in the words of their definitions."""
    sums: Counter[str] = Counter()
    for row, own in zip(cosines, relevant, strict=True):
        found = [int(place) in own for place in np.argsort(-row)[:cutoff]]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(cutoff, len(own))))
        hits = [place for place, hit in enumerate(found) if hit]
        sums["ndcg_at_5"] += sum(1 / math.log2(place + 2) for place in hits) / ideal
        sums["mrr_at_5"] += 1 / (hits[0] + 1) if hits else 0.0
        sums["recall_at_5"] += len(hits) / len(own)
        sums["mean_average_precision_at_5"] += sum((n + 1) / (place + 1) for n, place in enumerate(hits)) / len(own)
    return {name: total / len(relevant) for name, total in sums.items()}


@pytest.mark.parametrize("depth", [5, 100])
def test_figures_are_those_of_brute_force_over_all_pairs(depth: int, tiny_bert: Path, rows: pa.Table) -> None:
    """One text at a time with transformers alone, without padding; then the figures' definitions."""
    from transformers import AutoModel

    model = ModelSpec(reference=str(tiny_bert))
    network, tokenizer = AutoModel.from_pretrained(tiny_bert).eval(), open_tokenizer(model)

    @torch.inference_mode()
    def embed(texts: list[str]) -> np.ndarray:
        found = []
        for text in texts:
            given = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
            found.append(torch.nn.functional.normalize(network(**given).last_hidden_state[0].mean(0), dim=0))
        return torch.stack(found).numpy()

    judged = judge(rows)
    cosines = embed(rows["query"].to_pylist()) @ embed(judged.texts).T
    records, figures = scored(trial_of(model, depth=depth), rows)
    expected = by_hand(cosines.astype(np.float64), [set(own) for own in judged.documents], 5)
    assert figures == pytest.approx(expected, abs=1e-6)
    for row, (scores, relevance) in enumerate(zip(records["scores"], records["relevance"], strict=True)):
        np.testing.assert_allclose(scores.as_py()[:5], np.sort(cosines[row])[::-1][:5], atol=1e-5)
        assert sum(relevance.as_py()) == len(judged.documents[row])  # however low they are


def test_the_best_are_the_same_in_pieces_of_any_size_and_ties_go_by_place() -> None:
    draw = np.random.default_rng(0)
    scores = torch.from_numpy(draw.integers(0, 6, (7, 40)).astype(np.float32))  # many are equal
    relevant = [draw.choice(40, size=place % 4, replace=False).astype(np.int64) for place in range(7)]
    for size in (1, 3, 7, 40):
        ranked = rank(iter(scores.split(size, dim=1)), relevant, 6)
        for row in range(7):
            order = np.argsort(-scores[row].numpy(), kind="stable")[:6]
            assert ranked.indices[row][:6].tolist() == order.tolist(), size
            lower = [place for place in relevant[row].tolist() if place not in order]
            assert ranked.indices[row][6:].tolist() == lower
            np.testing.assert_array_equal(ranked.scores[row], scores[row].numpy()[ranked.indices[row]])


def test_bm25_is_its_formula(rows: pa.Table) -> None:
    texts, queries = judge(rows).texts, rows["query"].to_pylist()
    words = [text.lower().split() for text in texts]
    mean = sum(map(len, words)) / len(words)

    def score(query: str, own: list[str]) -> float:
        total = 0.0
        for word in query.lower().split():
            holding, count = sum(word in other for other in words), own.count(word)
            idf = math.log(1 + (len(words) - holding + 0.5) / (holding + 0.5))
            total += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(own) / mean)) if count else 0.0
        return total

    records, _ = scored(trial_of(ModelSpec(reference="baseline:bm25")), rows, fit=True)
    for query, found in zip(queries, records["scores"].to_pylist(), strict=True):
        np.testing.assert_allclose(found, sorted((score(query, own) for own in words), reverse=True), rtol=1e-5)


def test_a_query_that_is_a_document_finds_it_first(rows: pa.Table) -> None:
    texts = [own[-1] for own in rows["document"].to_pylist()]
    asked = pa.table({"id": rows["id"], "query": texts, "document": [[text] for text in texts]}).slice(2)
    for baseline in ("bm25", "tfidf-search"):
        _, figures = scored(trial_of(ModelSpec(reference=f"baseline:{baseline}")), asked, fit=True)
        assert figures["mrr_at_5"] > 0.9, baseline


@pytest.mark.parametrize("method", ["full", "lora", "top_layers", "gradual_unfreeze", "prompt_tuning", "prefix"])
def test_fine_tuning_brings_relevant_documents_forward(method: str, tiny_bert: Path, rows: pa.Table) -> None:
    task, losses = get_task(NAME), []
    for epochs in (1, 15):
        given = {"epochs": epochs, "batch_size": 8, "learning_rate": 1e-2, "warmup": 0.0, "decay": "constant"}
        trial = trial_of(ModelSpec(reference=str(tiny_bert)), method, given)
        losses.append(fit_trial(trial, task.prepare(rows, trial.model, 16), CPU).meta["loss"])
    assert losses[1] < losses[0]


def test_training_compares_a_relevant_document_with_others_that_are_not(tiny_bert: Path, rows: pa.Table) -> None:
    task, model = get_task(NAME, {"negatives": 3}), ModelSpec(reference=str(tiny_bert))
    compared, judged = task.prepare(rows, model, 16)["compared"].to_pylist(), judge(rows)
    for row, (own, relevant) in enumerate(zip(compared, judged.documents, strict=True)):
        assert own[0] in relevant
        assert len(set(own)) == 4
        assert not set(own[1:]) & set(relevant)
        assert row != 7 or set(own[1:]) <= set(judged.negatives[7])  # its own first


def test_the_corpus_is_embedded_once_and_again_when_a_weight_changed(
    tiny_bert: Path, rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, trial = get_task(NAME), trial_of(ModelSpec(reference=str(tiny_bert)))
    network: Any = task.network(trial.model, trial.dataset, 0, own_head=True)
    examples = task.examples(task.prepare(rows, trial.model, 16), trial.model, trial.dataset)
    forwarded: list[int] = []
    forward = EmbeddingNetwork.forward

    def counted(self: EmbeddingNetwork, inputs: Any) -> torch.Tensor:
        forwarded.append(len(inputs["input_ids"]))
        return forward(self, inputs)

    monkeypatch.setattr(EmbeddingNetwork, "forward", counted)
    count = len(judge(rows).texts)

    def predict(asked: Any) -> int:
        forwarded.clear()
        with torch.inference_mode():
            task.predict(asked, examples.batch(np.arange(4), 16, CPU))
        return sum(forwarded)

    assert [predict(network), predict(network)] == [count + 4, 4]
    assert predict(copy.deepcopy(network)) == count + 4
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    assert predict(network) == count + 4


def test_cosines_are_compared_in_float32_whatever_the_network_computes_in(tiny_bert: Path, rows: pa.Table) -> None:
    task, trial = get_task(NAME), trial_of(ModelSpec(reference=str(tiny_bert)))
    network: Any = task.network(trial.model, trial.dataset, 0, own_head=True)
    examples = task.examples(task.prepare(rows, trial.model, 16), trial.model, trial.dataset)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        scores = np.concatenate(task.predict(network, examples.batch(np.arange(8), 16, CPU)).scores)
    rounded = torch.from_numpy(scores).to(torch.bfloat16).float().numpy()
    assert (scores != rounded).mean() > 0.9


def test_prompts_of_a_checkpoint_go_before_its_texts(tiny_bert: Path, rows: pa.Table, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "model")
    said = {"prompts": {"query": "goal ", "passage": "the "}}
    (tmp_path / "model" / "config_sentence_transformers.json").write_text(json.dumps(said))
    model, plain = ModelSpec(reference=str(tmp_path / "model")), ModelSpec(reference=str(tiny_bert))
    given = {"query_prompt": "goal ", "document_prompt": "the "}
    own, told = get_task(NAME), get_task(NAME, given)
    assert own.prepare(rows, model, 16).equals(told.prepare(rows, plain, 16))
    assert not own.prepare(rows, model, 16).equals(own.prepare(rows, plain, 16))
    assert own.processor_key(model) != own.processor_key(plain)


def test_rows_of_one_query_share_documents_and_grades_order_them() -> None:
    rows = pa.table(
        {"id": ["a", "b", "c"], "query": ["x", "x", "y"], "document": [["one"], ["two", "one"], ["three"]],
         "grade": [[1.0], [2.0, 3.0], [0.0]]}
    )  # fmt: skip
    judged = judge(rows)
    assert judged.texts == ["one", "three", "two"]
    assert judged.documents == [[0, 2], [0, 2], [1]]
    assert judged.grades == [[3.0, 2.0], [3.0, 2.0], [0.0]]
    notes = " ".join(get_task(NAME, {"depth": 2}).review({"test": rows}, ()))
    for words in ("1 of 3 test queries have no relevant", "1 test rows repeat a query", "3 documents", "rank 2"):
        assert words in notes
    with pytest.raises(DataError, match="row 1 has 2 documents and 1 grades"):
        judge(rows.set_column(3, "grade", pa.array([[1.0], [2.0], [0.0]])))


def test_judgements_in_three_tables_are_rows_over_the_whole_corpus(tmp_path: Path) -> None:
    queries = {"q1": "red", "q2": "blue", "q3": "never judged"}
    corpus = {f"d{number}": f"text {number}" for number in range(9)}
    table = judged_rows(queries, corpus, [("q1", "d1", 2), ("q1", "d0", 0), ("q2", "d5", 1)])
    pq.write_table(table, tmp_path / "test.parquet")
    files = {"test": str(tmp_path / "test.parquet")}
    spec = DatasetSpec.model_validate({"name": "d", "source": "parquet", "data_files": files, "task": NAME})
    read = load_dataset(spec, get_task(NAME).columns, tmp_path).splits["test"]
    judged = judge(read)
    assert judged.texts == sorted(corpus.values())
    relevant = dict(zip(read["query"].to_pylist(), zip(judged.documents, judged.grades, strict=True), strict=True))
    assert relevant == {"red": ([1, 0], [2.0, 0.0]), "blue": ([5], [1.0])}
    with pytest.raises(DataError, match="names document 'd99'"):
        judged_rows(queries, corpus, [("q1", "d99", 1)])


def test_a_pair_a_row_with_one_grade_is_read_too(tmp_path: Path) -> None:
    pairs = {"query": ["x", "y"], "document": ["one", "two"], "grade": [2, 1]}
    pq.write_table(pa.table(pairs), tmp_path / "test.parquet")
    files = {"test": str(tmp_path / "test.parquet")}
    spec = DatasetSpec.model_validate({"name": "d", "source": "parquet", "data_files": files, "task": NAME})
    rows = load_dataset(spec, get_task(NAME).columns, tmp_path).splits["test"].sort_by("query")
    assert rows["document"].to_pylist() == [["one"], ["two"]]
    assert rows["grade"].to_pylist() == [[2.0], [1.0]]


def test_what_cannot_be_asked_is_refused_in_a_line(tiny_bert: Path) -> None:
    model, task = ModelSpec(reference=str(tiny_bert)), get_task(NAME)
    with pytest.raises(IncompatibleError, match="frozen"):
        check(model, task, (), "frozen")
    with pytest.raises(IncompatibleError, match="random weights"):
        check(dataclasses.replace(model, init="scratch"), task, (), "none")
    with pytest.raises(IncompatibleError, match="does retrieval, not sentence-similarity"):
        check(ModelSpec(reference="baseline:bm25"), get_task("sentence-similarity"), (), "none")
