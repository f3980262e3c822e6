"""Answers are spans of the raw context, the best over all windows, as run_qa and transformers' pipeline find them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.core.errors import IncompatibleError, RaybenchError
from raybench.data.kinds import read_cells
from raybench.job import load_job
from raybench.metrics import MetricSet, evaluate
from raybench.models.tokenizer import open_tokenizer
from raybench.planning.plan import make_plan
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.methods.catalog import METHODS, get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.tasks.answer_spans import Span, best_spans, find_answer
from raybench.tasks.catalog import get_task, task_of
from tests.tasks.as_planned import check

CPU = torch.device("cpu")
WORDS = ["the", "bank", "goal", "coach", "rain", "said", "new", "loan", "wind", "of", "storm", "price"]
ANSWERS = pa.struct({"texts": pa.list_(pa.string()), "starts": pa.list_(pa.int32())})


@pytest.fixture(scope="module")
def answerer(tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with a random head of start and end."""
    from transformers import BertConfig, BertForQuestionAnswering

    path = tmp_path_factory.mktemp("models") / "answerer"
    torch.manual_seed(7)
    model = BertForQuestionAnswering(BertConfig.from_pretrained(tiny_classifier, num_labels=2))
    with torch.no_grad():  # so that scores differ from word to word
        model.bert.embeddings.word_embeddings.weight.mul_(50)
        model.qa_outputs.weight.mul_(20)
    model.save_pretrained(path)
    open_tokenizer(ModelSpec(reference=str(tiny_classifier))).save_pretrained(path)
    return path


def rows_of(contexts: list[str], answers: list[dict[str, list]] | None = None, question: str = "new loan") -> pa.Table:
    none = {"texts": [], "starts": []}
    return pa.table(
        {
            "id": [f"r{place:03d}" for place in range(len(contexts))],
            "question": [question] * len(contexts),
            "context": contexts,
            "answers": pa.array(answers or [none] * len(contexts), ANSWERS),
        }
    )


def some_contexts(lengths: list[int]) -> list[str]:
    draw = np.random.default_rng(1)
    return ["  ".join(draw.choice(WORDS, length)) for length in lengths]  # two blanks: characters are not pieces


def trial_of(model: ModelSpec, *, method: str = "none", max_length: int = 64, **options: Any) -> Trial:
    dataset = DatasetKey(
        name="toy", task="question-answering", labels=(), fingerprint="toy", max_length=max_length, task_config=options
    )
    given = {"epochs": 2} if "epochs" in get_method(method).hyperparameters.model_fields else {}
    return Trial(
        trial_id="toy", candidate="toy", model=model, dataset=dataset, method=method, seed=0,
        hyperparameters=get_method(method).resolve(given), weights_fingerprint=model.reference,
    )  # fmt: skip


def scored(trial: Trial, rows: pa.Table, checkpoint: Any = None) -> pa.Table:
    task = task_of(trial.dataset)
    data = prepare_data(task, {"test": rows}, trial.model, trial.dataset)
    predictor = open_predictor(trial, checkpoint, CPU)
    shard = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), MetricSet(("qa_f1",), {}))
    return shard.records.sort_by("id")


def test_answers_of_one_window_are_those_of_transformers_pipeline(answerer: Path) -> None:
    from transformers import AutoModelForQuestionAnswering
    from transformers.pipelines.document_question_answering import select_starts_ends  # what its pipelines share

    rows = rows_of(some_contexts([1, 2, 5, 9, 14, 20]))
    records = scored(trial_of(ModelSpec(reference=str(answerer)), max_answer_length=4), rows)
    model = AutoModelForQuestionAnswering.from_pretrained(answerer).eval()
    tokenizer = open_tokenizer(ModelSpec(reference=str(answerer)))
    for row, found in zip(rows.to_pylist(), records["hypothesis"].to_pylist(), strict=True):
        given = tokenizer(row["question"], row["context"], return_offsets_mapping=True, return_tensors="pt")
        offsets = given.pop("offset_mapping")[0].tolist()
        with torch.inference_mode():
            output = model(**given)
        outside = np.array([[part != 1 for part in given.sequence_ids(0)]], dtype=int)
        first, last, _, _ = select_starts_ends(
            output.start_logits.numpy(), output.end_logits.numpy(), outside, given["attention_mask"].numpy(),
            max_answer_len=4,
        )  # fmt: skip
        assert found == row["context"][offsets[int(first[0])][0] : offsets[int(last[0])][1]]


@pytest.mark.parametrize(("max_length", "stride", "most"), [(16, 4, 30), (12, 0, 3), (20, None, 2), (64, 16, 30)])
@pytest.mark.parametrize("unanswerable", [True, False])
def test_windows_are_joined_before_the_best_span_is_taken(
    answerer: Path, max_length: int, stride: int | None, most: int, unanswerable: bool
) -> None:
    """Every span of every window by its sum of scores, as SQuAD 2's and run_qa's post-processing."""
    from transformers import AutoModelForQuestionAnswering

    rows = rows_of(some_contexts([60, 1, 33, 8, 47]))
    options = {"stride": stride, "max_answer_length": most, "unanswerable": unanswerable, "null_threshold": 0.5}
    records = scored(trial_of(ModelSpec(reference=str(answerer)), max_length=max_length, **options), rows)
    model = AutoModelForQuestionAnswering.from_pretrained(answerer).eval()
    tokenizer = open_tokenizer(ModelSpec(reference=str(answerer)))
    overlap = (max_length - 5) // 4 if stride is None else stride
    empty = 0
    for row, record in zip(rows.to_pylist(), records.to_pylist(), strict=True):
        given = tokenizer(
            row["question"], row["context"], truncation="only_second", max_length=max_length, stride=overlap,
            return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True, verbose=False,
        )  # fmt: skip
        spans, nulls = [], []
        for window, ids in enumerate(given["input_ids"]):
            types = torch.tensor([given["token_type_ids"][window]])
            with torch.inference_mode():
                output = model(torch.tensor([ids]), token_type_ids=types)
            start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
            nulls.append(start[0] + end[0])
            of_context = [place for place, part in enumerate(given.sequence_ids(window)) if part == 1]
            offsets = given["offset_mapping"][window]
            spans += [
                (start[a] + end[b], row["context"][offsets[a][0] : offsets[b][1]])
                for a in of_context
                for b in of_context
                if a <= b < a + most
            ]
        score, text = max(spans, key=lambda span: span[0])
        assert record["null_odds"] == pytest.approx(min(nulls) - score, abs=1e-4)
        none = unanswerable and min(nulls) - score > 0.5
        empty += none
        assert record["hypothesis"] == ("" if none else text)
    assert unanswerable or empty == 0


def test_spans_of_equal_scores_are_the_earliest_and_shortest_and_none_is_outside() -> None:
    start, stop = torch.zeros(3, 6), torch.zeros(3, 6)
    inside = torch.tensor([[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0]], dtype=torch.bool)
    start[2], stop[2] = float("nan"), 1.0
    first, last, scores = best_spans(start, stop, inside, 30)
    assert (first[0], last[0]) == (1, 1)
    assert scores.tolist() == [0.0, -np.inf, -np.inf]


@pytest.mark.parametrize(
    ("context", "answers", "expected"),
    [
        ("ab ab ab", [("ab", 3)], (3, 5)),
        ("ab ab ab", [("ab", -1)], (0, 2)),
        ("ab ab ab", [("ab", 5)], (6, 8)),
        ("no such", [("cd", 0), ("such", 3)], (3, 7)),
        ("été à l'été", [("été", 8)], (8, 11)),
        ("no", [("cd", 0)], None),
    ],
)
def test_an_answer_stands_where_it_is_said_or_where_its_text_is_nearest(
    context: str, answers: list[tuple[str, int]], expected: tuple[int, int] | None
) -> None:
    found = find_answer(context, answers)
    assert (None if found is None else found[:2]) == expected


def test_what_is_taught_is_the_answer_in_raw_characters(answerer: Path) -> None:
    """In each window that holds it whole; else, and for a question without an answer, the place of the class piece."""
    context = "été\u2003goal   said \U0001f600 storm " + "of " * 20 + "rain"
    said = [("storm", context.index("storm")), ("rain", context.index("rain")), ("goal   said", 4)]
    rows = rows_of(
        [context] * 4 + [""], [*({"texts": [t], "starts": [s]} for t, s in said), *[{"texts": [], "starts": []}] * 2]
    )
    task, model = get_task("question-answering", {"stride": 3}), ModelSpec(reference=str(answerer))
    examples = task.examples(task.prepare(rows, model, 20), model, DatasetKey(**DATASET))
    for row, (text, start) in enumerate(said):
        batch = examples.batch(np.array([row]), 20, CPU)
        targets, held = batch.targets, 0
        for window, (first, last) in enumerate(zip(targets.first.tolist(), targets.last.tolist(), strict=True)):
            if first:
                assert (targets.starts[window, first], targets.stops[window, last]) == (start, start + len(text))
                held += 1
            else:
                assert last == 0
        assert held >= 1
    without = examples.batch(np.array([3, 4]), 20, CPU)
    assert not without.targets.first.any()
    assert examples.units(np.array([3, 4])) == len(without.targets.first)


DATASET: dict[str, Any] = {
    "name": "toy", "task": "question-answering", "labels": (), "fingerprint": "toy", "max_length": 20,
}  # fmt: skip


def test_an_answer_that_is_not_in_its_context_teaches_nothing(answerer: Path) -> None:
    rows = rows_of(
        ["goal of rain", "goal of rain"], [{"texts": ["snow"], "starts": [0]}, {"texts": ["of"], "starts": [5]}]
    )
    task, model = get_task("question-answering"), ModelSpec(reference=str(answerer))
    examples = task.examples(task.prepare(rows, model, 20), model, DatasetKey(**DATASET))
    assert [examples.units(np.array([row])) for row in (0, 1)] == [1, 1]  # at least 1: it divides
    assert examples.units(np.arange(2)) == 1
    batch = examples.batch(np.array([0]), 12, CPU)
    network = task.network(model, DatasetKey(**DATASET), 0, own_head=True)
    from raybench.tasks.task import LossOptions

    assert task.loss(network(batch.inputs), batch, LossOptions()).item() == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_changes_no_loss(answerer: Path, smoothing: float) -> None:
    from raybench.tasks.task import LossOptions

    rows = rows_of(["goal of rain"], [{"texts": ["of"], "starts": [5]}])
    task, model = get_task("question-answering"), ModelSpec(reference=str(answerer))
    examples = task.examples(task.prepare(rows, model, 20), model, DatasetKey(**DATASET))
    network = task.network(model, DatasetKey(**DATASET), 0, own_head=True)
    losses = []
    for padded in (8, 20):
        batch = examples.batch(np.array([0]), padded, CPU)
        losses.append(task.loss(network(batch.inputs), batch, LossOptions(label_smoothing=smoothing)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert np.isfinite(losses[0])


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_learns_to_answer_or_says_in_a_line_why_not(method: str, tiny_bert: Path, answerer: Path) -> None:
    made = get_method(method)
    resolved = trial_of(ModelSpec(reference=str(tiny_bert if made.needs_fit else answerer)), method=method)
    trial = trial_of(made.adapt(resolved.model, resolved.hyperparameters), method=method, max_length=24)
    task = task_of(trial.dataset)
    contexts = some_contexts([30, 3, 0, 1, 9, 12])
    answers = [
        {"texts": [text.split()[0]], "starts": [0]} if text else {"texts": [], "starts": []} for text in contexts
    ]
    rows = rows_of(contexts, answers)
    if made.on_features:
        with pytest.raises(IncompatibleError, match="no one vector a row; full, lora or top_layers do"):
            check(trial.model, task, (), method)
        return
    check(trial.model, task, (), method)
    checkpoint = fit_trial(trial, task.prepare(rows, trial.model, 24), CPU) if made.needs_fit else None
    records = scored(trial, rows, checkpoint)
    assert all(text in context for text, context in zip(records["hypothesis"].to_pylist(), contexts, strict=True))
    assert records["hypothesis"][2].as_py() == ""
    assert checkpoint is None or np.isfinite(checkpoint.meta["loss"])


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix", "full"])
def test_an_own_head_is_trained_on_from_where_it_is(method: str, answerer: Path) -> None:
    trial = trial_of(ModelSpec(reference=str(answerer)), method=method)
    rows = rows_of(some_contexts([4, 9]), [{"texts": ["the"], "starts": [0]}, {"texts": [], "starts": []}])
    checkpoint = fit_trial(trial, task_of(trial.dataset).prepare(rows, trial.model, 64), CPU)
    assert any("qa_outputs" in name for name in checkpoint.arrays)
    assert scored(trial, rows, checkpoint).num_rows == 2


def test_a_fit_learns_which_word_answers_and_when_none_does(tiny_bert: Path) -> None:
    draw = np.random.default_rng(0)
    contexts, answers = [], []
    for row in range(80):
        words = draw.choice(["the", "of", "said", "wind"], size=draw.integers(2, 20)).tolist()
        none = row % 3 == 0
        place = int(draw.integers(0, len(words)))
        words[place] = "wind" if none else "goal"
        contexts.append(" ".join(words))
        answers.append({"texts": [] if none else ["goal"], "starts": [] if none else [contexts[-1].index("goal")]})
    rows = rows_of(contexts, answers)
    trial = trial_of(ModelSpec(reference=str(tiny_bert)), method="full", max_length=16, unanswerable=True)
    hyperparameters = get_method("full").resolve({"epochs": 8, "learning_rate": 3e-3})
    trial = Trial(**{f: getattr(trial, f) for f in trial.__dataclass_fields__} | {"hyperparameters": hyperparameters})
    records = scored(trial, rows, fit_trial(trial, task_of(trial.dataset).prepare(rows, trial.model, 16), CPU))
    scores = evaluate(["exact_match", "answerable_exact_match", "unanswerable_accuracy"], records, {})
    assert all(score.value is not None and score.value > 0.95 for score in scores.values()), scores


def test_baselines_answer_with_a_sentence_and_by_pattern() -> None:
    dataset = DatasetKey(**DATASET)
    contexts = [f"Tool {n} is quick. It is written in {lang}. It prints pages." for n, lang in enumerate("CPR")]
    answers = [
        {"texts": [lang], "starts": [text.index(f"in {lang}") + 3]} for lang, text in zip("CPR", contexts, strict=True)
    ]
    question = "What language is it written in?"
    train = rows_of(contexts, answers, question)
    test = rows_of(["A game. It is written in Ada. Fun.", "", "Nothing of the kind"], question=question)
    sentence = get_baseline("best-sentence")
    found = sentence.outputs(sentence.fit(train, dataset, 0), test, dataset)
    assert [test["context"][row].as_py()[span.start : span.stop] for row, span in enumerate(found[:1])] == [
        "It is written in Ada."
    ]
    assert found[1] == Span(-1, -1)
    pattern = get_baseline("answer-pattern")
    found = pattern.outputs(pattern.fit(train, dataset, 0), test, dataset)
    assert test["context"][0].as_py()[found[0].start : found[0].stop] == "Ada"
    assert found[1:] == [Span(-1, -1)] * 2
    records = get_task("question-answering").records(found, test, dataset)
    assert records.schema.equals(get_task("question-answering").record_schema(()))


@pytest.mark.parametrize(
    "cell",
    [
        {"text": ["goal", "the goal"], "answer_start": [4, 0]},  # SQuAD on a hub: a struct of lists
        [{"text": "goal", "answer_start": 4}, {"text": "the goal", "answer_start": 0}],  # SQuAD's own JSON
    ],
)
def test_the_usual_shapes_of_answers_are_one(cell: Any) -> None:
    read = read_cells("answers", pa.chunked_array([pa.array([cell])]), "answers").to_pylist()
    assert read == [{"texts": ["goal", "the goal"], "starts": [4, 0]}]


def test_of_several_answers_the_best_counts() -> None:
    texts = {"hypothesis": ["the goal"], "references": [["goal of rain", "goal"]]}
    assert evaluate("qa_f1", pa.table({"id": ["a"], **texts}), {}).value == 1.0


def test_metrics_apart_are_those_of_squad_2() -> None:
    table = pa.table(
        {
            "id": list("abcd"),
            "hypothesis": ["red house", "", "cat", ""],
            "references": pa.array([["house"], ["dog"], [], []], pa.list_(pa.string())),
        }
    )
    found = evaluate(["answerable_f1", "answerable_exact_match", "unanswerable_accuracy", "exact_match"], table, {})
    assert [score.value for score in found.values()] == [pytest.approx(1 / 3), 0.0, 0.5, 0.25]


JOB = """
name: answers
store: {store}
candidates: [{{baseline: best-sentence}}]
datasets: [{{name: d, source: json, data_files: {{train: {train}, test: {train}}}, task: question-answering{more}}}]
"""


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., Any]:
    def make(rows: list[dict[str, Any]], more: str = "", head: str = "") -> Any:
        train, job = tmp_path / "train.jsonl", tmp_path / "job.yaml"
        train.write_text("\n".join(map(json.dumps, rows)))
        job.write_text(JOB.format(store=tmp_path / "store", train=train, more=more) + head)
        return make_plan(load_job(job))

    return make


def squad(text: list[str], start: list[int], context: str = "Anna sat down.") -> dict[str, Any]:
    return {"question": "Who sat?", "context": context, "answers": {"text": text, "answer_start": start}}


def test_the_plan_measures_questions_apart_where_some_have_no_answer_and_says_what_is_odd(
    plan_of: Callable[..., Any],
) -> None:
    plain = plan_of([squad(["Anna"], [0])])
    assert (set(plain.rank_by.values()), len(plain.notes)) == ({"qa_f1"}, 1)  # that test rows are train rows
    assert plain.datasets["d"].metrics == ("qa_f1", "exact_match")
    both = plan_of([squad(["Anna"], [0]), squad([], []), squad(["Anna"], [2]), squad(["Bob"], [0])])
    assert {"answerable_f1", "unanswerable_accuracy"} <= set(both.datasets["d"].metrics)
    assert "1 of 3 training answers are not in their context; those rows teach nothing" in both.notes[1]
    assert "1 of 3 training answers do not stand where answer_start says" in both.notes[2]
    without = plan_of([squad([], []), squad(["Anna"], [0])], ", task_config: {unanswerable: false}")
    assert "1 of 2 test questions have no answer, and every question will be given one" in without.notes[-1]


@pytest.mark.parametrize(
    ("rows", "more", "head", "expected"),
    [
        ([squad(["Bob"], [0])], "", "", "none of the 1 training rows with answers has the text of one in its context"),
        ([squad(["a", "b"], [0])], "", "", "row 0 has 2 texts and 1 starts"),
        ([{"question": "Who?", "context": "Anna"}], "", "", "has no column 'answers'"),
        ([{"question": "Who?", "context": None, "answers": "Anna"}], "", "", "'context' is empty (null)"),
        ([{"question": "Who?", "context": "Anna", "answers": 3}], "", "", "row 0 holds no 'text'; want SQuAD's"),
        ([squad(["Anna"], [0])], ", task_config: {max_answer_length: 0}", "", "max_answer_length: 0: Input should be"),
        ([squad(["Anna"], [0])], ", task_config: {null_treshold: 1}", "", "did you mean null_threshold?"),
        ([squad(["Anna"], [0])], "", "metrics: [macro_f1]\n", "metrics that fit question-answering: "),
    ],
)
def test_wrong_rows_are_one_line(plan_of: Callable[..., Any], rows: Any, more: str, head: str, expected: str) -> None:
    with pytest.raises(RaybenchError) as caught:
        plan_of(rows, more, head)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_candidates_that_cannot_are_incompatible_in_a_line(answerer: Path, tiny_bert: Path) -> None:
    task = get_task("question-answering")
    for model, method, expected in (
        (ModelSpec(reference="arch:vit"), "full", "reads no text; question-answering needs a text model"),
        (ModelSpec(reference=str(tiny_bert)), "none", "no trained head of start and end"),
        (ModelSpec(reference="baseline:majority"), "", "not question-answering; leave it out"),
    ):
        with pytest.raises(IncompatibleError, match=expected):
            check(model, task, (), method)
    with pytest.raises(IncompatibleError, match="inputs of 4 pieces leave no place for the text"):
        task.prepare(rows_of(["goal"]), ModelSpec(reference=str(answerer)), 4)
