"""Words get their tags once, wherever their pieces fall, as transformers' pipeline gives them."""

from __future__ import annotations

import itertools
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
from raybench.job import load_job
from raybench.metrics import MetricSet, evaluate
from raybench.metrics.entity import scheme_of
from raybench.models.tokenizer import open_tokenizer
from raybench.planning.plan import make_plan
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.methods.catalog import METHODS, get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.tasks.catalog import get_task, task_of
from raybench.tasks.overlapping_windows import cut
from raybench.tasks.words import best_windows
from tests.tasks.as_planned import check

CPU = torch.device("cpu")
TAGS = ("B-money", "B-sport", "I-sport", "O")
WORDS = ["the", "bank's", "goal", "old-coach", "rain", "said", "new", "loan", "wind", "of"]


@pytest.fixture(scope="module")
def tagger(tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with a random head for the tags, in another order."""
    from transformers import BertConfig, BertForTokenClassification

    path = tmp_path_factory.mktemp("models") / "tagger"
    torch.manual_seed(5)
    names = ["O", "I-SPORT", "b-money", "B-sport"]
    shape = BertConfig.from_pretrained(tiny_classifier).to_dict() | {"id2label": dict(enumerate(names))}
    config = BertConfig(**{**shape, "label2id": {name: place for place, name in enumerate(names)}})
    model = BertForTokenClassification(config)
    with torch.no_grad():  # so that tags differ from word to word
        model.bert.embeddings.word_embeddings.weight.mul_(50)
    model.save_pretrained(path)
    open_tokenizer(ModelSpec(reference=str(tiny_classifier))).save_pretrained(path)
    return path


def rows_of(words: list[list[str]]) -> pa.Table:
    tags = [[place % 4 for place in range(len(row))] for row in words]
    kinds = {"tokens": pa.array(words, pa.list_(pa.string())), "tags": pa.array(tags, pa.list_(pa.int32()))}
    return pa.table({"id": [f"r{place:03d}" for place in range(len(words))], **kinds})


def some_rows(lengths: list[int]) -> pa.Table:
    draw = np.random.default_rng(1)
    return rows_of([draw.choice(WORDS, length).tolist() for length in lengths])


def trial_of(model: ModelSpec, *, method: str = "none", max_length: int = 64, **options: Any) -> Trial:
    dataset = DatasetKey(
        name="toy", task="token-classification", labels=TAGS, fingerprint="toy", max_length=max_length,
        task_config=options,
    )  # fmt: skip
    return Trial(
        trial_id="toy", candidate="toy", model=model, dataset=dataset, method=method, seed=0,
        hyperparameters=get_method(method).resolve({"epochs": 2} if "epochs" in fields(method) else {}),
        weights_fingerprint=model.reference,
    )  # fmt: skip


def fields(method: str) -> Any:
    return get_method(method).hyperparameters.model_fields


def scored(trial: Trial, rows: pa.Table, checkpoint: Any = None) -> pa.Table:
    task = task_of(trial.dataset)
    data = prepare_data(task, {"test": rows}, trial.model, trial.dataset)
    predictor = open_predictor(trial, checkpoint, CPU)
    metrics = MetricSet(("token_accuracy",), {"labels": list(TAGS)})
    return score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records.sort_by("id")


def test_tags_are_those_of_transformers_pipeline(tagger: Path) -> None:
    from transformers import pipeline

    rows = some_rows([1, 2, 3, 5, 8, 13, 20])
    records = scored(trial_of(ModelSpec(reference=str(tagger))), rows)
    pipe = pipeline("token-classification", model=str(tagger), aggregation_strategy="none", ignore_labels=[])
    seen = set()
    for words, tags in zip(rows["tokens"].to_pylist(), records["tags"].to_pylist(), strict=True):
        begins = np.cumsum([0, *(len(word) + 1 for word in words)])[:-1].tolist()
        found = {piece["start"]: piece["entity"] for piece in pipe([words], is_split_into_words=True)[0]}
        expected = [found[start] for start in begins]
        assert [tag.lower() for tag in tags] == [tag.lower() for tag in expected]
        seen |= set(tags)
    assert len(seen) >= 3


@pytest.mark.parametrize(("max_length", "stride"), [(10, 2), (16, 7), (9, 0), (64, None)])
def test_a_word_of_a_long_row_has_the_tag_of_the_window_where_it_has_most_context(
    tagger: Path, max_length: int, stride: int | None
) -> None:
    from transformers import AutoModelForTokenClassification

    rows = some_rows([40, 7, 0, 1, 33])
    model = AutoModelForTokenClassification.from_pretrained(tagger).eval()
    tokenizer = open_tokenizer(ModelSpec(reference=str(tagger)))
    shared = (max_length - 2) // 4 if stride is None else stride
    records = scored(trial_of(ModelSpec(reference=str(tagger)), max_length=max_length, stride=stride), rows)
    for words, tags in zip(rows["tokens"].to_pylist(), records["tags"].to_pylist(), strict=True):
        if not words:
            assert tags == []
            continue
        given = tokenizer(
            words, is_split_into_words=True, truncation=True, max_length=max_length, stride=shared,
            return_overflowing_tokens=True, return_attention_mask=False, verbose=False,
        )  # fmt: skip
        windows = len(given["input_ids"])
        context = np.full((windows, len(words)), -1)
        tag_of = np.zeros((windows, len(words)), dtype=object)
        for window in range(windows):
            ids = torch.tensor([given["input_ids"][window]])
            with torch.inference_mode():
                best = model(ids).logits[0].argmax(-1).tolist()
            of_word = given.word_ids(window)
            for place, word in enumerate(of_word):
                if word is None or given.token_to_chars(window, place).start != 0:
                    continue  # only a word's first piece begins where it does
                left = 999 if window == 0 else place - 1
                right = 999 if window == windows - 1 else len(of_word) - 2 - place
                context[window, word], tag_of[window, word] = min(left, right), model.config.id2label[best[place]]
        chosen = context.argmax(axis=0)
        expected = [tag_of[window, word].lower() for word, window in enumerate(chosen)]
        assert [tag.lower() for tag in tags] == expected


def test_windows_cover_all_and_each_word_is_judged_once() -> None:
    draw = np.random.default_rng(0)
    for _ in range(300):
        length, room = int(draw.integers(0, 60)), int(draw.integers(1, 20))
        overlap = int(draw.integers(0, 20))
        windows = cut(length, room, overlap)
        covered = [piece for start, stop in windows for piece in range(start, stop)]
        assert sorted(set(covered)) == list(range(length))
        assert all(0 < stop - start <= room for start, stop in windows) or length == 0
        assert np.bincount(covered).max(initial=0) <= 2
        shared = min(overlap, room // 2)
        assert all(before[1] - after[0] == shared for before, after in itertools.pairwise(windows))
        chosen = best_windows(np.arange(length), windows, length)
        assert all(windows[w][0] <= piece < windows[w][1] for piece, w in enumerate(chosen))


def test_words_without_a_piece_are_counted_and_teach_nothing(tagger: Path) -> None:
    rows = rows_of([["goal", "", "rain", " "], ["", " "], []])
    trial = trial_of(ModelSpec(reference=str(tagger)))
    records = scored(trial, rows)
    tags = records["tags"].to_pylist()
    assert [len(row) for row in tags] == [4, 2, 0]
    assert [tags[0][1], tags[0][3], *tags[1]] == ["O"] * 4
    task = task_of(trial.dataset)
    examples = task.examples(task.prepare(rows, trial.model, 64), trial.model, trial.dataset)
    batch = examples.batch(np.arange(3), 8, CPU)
    assert int((batch.targets.tags != -100).sum()) == examples.units(np.arange(3)) == 2
    score = evaluate("token_accuracy", records, {"labels": list(TAGS)})
    hits = sum(a == b for r in records.to_pylist() for a, b in zip(r["tags"], r["target_tags"], strict=True))
    assert score.value == hits / 6


def test_byte_level_words_keep_the_space_before_them(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    byte_level = Tokenizer(models.BPE())
    byte_level.pre_tokenizer, byte_level.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<pad>"], show_progress=False)
    byte_level.train_from_iterator([" ".join(WORDS)] * 20, trainer)
    PreTrainedTokenizerFast(tokenizer_object=byte_level, pad_token="<pad>").save_pretrained(tmp_path)
    model = ModelSpec(reference="arch:gpt2", tokenizer=str(tmp_path), config={"n_layer": 1, "n_embd": 8, "n_head": 1})
    task = get_task("token-classification")
    prepared = task.prepare(rows_of([["rain", "of", "wind"], []]), model, 32)
    assert open_tokenizer(model).decode(prepared["input_ids"][0].as_py()) == " rain of wind"
    assert prepared["window_lengths"][1].as_py() == [1]  # a row without a piece: attention needs one position


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_learns_the_tags_or_says_in_a_line_why_not(method: str, tiny_bert: Path, tagger: Path) -> None:
    made = get_method(method)
    fitted = made.needs_fit
    resolved = trial_of(ModelSpec(reference=str(tiny_bert if fitted else tagger)), method=method)
    trial = trial_of(made.adapt(resolved.model, resolved.hyperparameters), method=method, max_length=20)
    task, rows = task_of(trial.dataset), some_rows([30, 3, 0, 1, 9, 12])
    if made.on_features:
        with pytest.raises(IncompatibleError, match="no one vector a row; full, lora or top_layers do"):
            check(trial.model, task, TAGS, method)
        return
    check(trial.model, task, TAGS, method)
    checkpoint = fit_trial(trial, task.prepare(rows, trial.model, 20), CPU) if fitted else None
    records = scored(trial, rows, checkpoint)
    assert [len(row) for row in records["tags"].to_pylist()] == [30, 3, 0, 1, 9, 12]
    assert not fitted or np.isfinite(checkpoint.meta["loss"])


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix", "lora", "full"])
def test_an_own_head_is_trained_on_from_where_it_is(method: str, tagger: Path) -> None:
    trial = trial_of(ModelSpec(reference=str(tagger)), method=method)
    rows = some_rows([4, 9, 12, 20])
    checkpoint = fit_trial(trial, task_of(trial.dataset).prepare(rows, trial.model, 64), CPU)
    assert any("classifier" in name for name in checkpoint.arrays)
    assert [len(row) for row in scored(trial, rows, checkpoint)["tags"].to_pylist()] == [4, 9, 12, 20]


def test_a_fit_learns_the_tag_of_each_word(tiny_bert: Path) -> None:
    draw = np.random.default_rng(0)
    words = [draw.choice(["goal", "rain", "loan", "the"], size=draw.integers(1, 30)).tolist() for _ in range(60)]
    tag_of = {"goal": 1, "rain": 3, "loan": 0, "the": 2}
    tags = pa.array([[tag_of[word] for word in row] for row in words], pa.list_(pa.int32()))
    rows = rows_of(words).set_column(2, "tags", tags)
    trial = trial_of(ModelSpec(reference=str(tiny_bert)), method="full", max_length=16)
    hyperparameters = get_method("full").resolve({"epochs": 4, "learning_rate": 3e-3})
    trial = Trial(**{f: getattr(trial, f) for f in trial.__dataclass_fields__} | {"hyperparameters": hyperparameters})
    records = scored(trial, rows, fit_trial(trial, task_of(trial.dataset).prepare(rows, trial.model, 16), CPU))
    assert records["tags"].to_pylist() == records["target_tags"].to_pylist()


def test_baselines_know_words_and_their_looks() -> None:
    labels = ("NAME", "VERB", "OTHER")
    dataset = DatasetKey(name="t", task="token-classification", labels=labels, fingerprint="t", max_length=8)
    words = [["Anna", "walked", "home"], ["Berta", "talked", "often"], ["Anna", "sat", "down"], []]
    kind = pa.list_(pa.int32())
    train = pa.table({"tokens": pa.array(words), "tags": pa.array([[0, 1, 2]] * 3 + [[]], kind)})
    test = pa.table({"tokens": pa.array([["Anna", "sat"], [], ["Cleo", "baked", "home"]])})
    commonest = get_baseline("most-frequent-tag")
    found = commonest.outputs(commonest.fit(train, dataset, 0), test, dataset)
    assert [row.tolist() for row in found] == [[0, 1], [], [0, 0, 2]]  # of unknown words the first of the commonest
    logistic = get_baseline("token-logistic")
    found = logistic.outputs(logistic.fit(train, dataset, 0), test, dataset)
    assert [row.tolist() for row in found] == [[0, 1], [], [0, 1, 2]]


def test_schemes_are_told_apart() -> None:
    assert scheme_of(["O", "B-x", "I-x"]) == scheme_of(["I-x", "O"]) == "BIO"
    assert scheme_of(["O", "B-x", "E-x", "S-x"]) == "BIOES"
    assert scheme_of(["O", "B-x", "L-x", "U-x"]) == "BILOU"
    assert [scheme_of(tags) for tags in (["O"], ["nn", "vb"], ["O", "B-x", "nn"], ["B", "I", "O"])] == [None] * 4


JOB = """
name: tags
store: {store}
candidates: [{{baseline: most-frequent-tag}}]
datasets: [{{name: d, source: json, data_files: {{train: {train}, test: {train}}}, task: token-classification{more}}}]
"""


def plan_of(tmp_path: Path, rows: list[dict[str, Any]], more: str = "", head: str = "") -> Any:
    train, job = tmp_path / "train.jsonl", tmp_path / "job.yaml"
    train.write_text("\n".join(map(json.dumps, rows)))
    job.write_text(JOB.format(store=tmp_path / "store", train=train, more=more) + head)
    return make_plan(load_job(job))


def test_entities_are_measured_where_tags_write_them_and_the_plan_says_so(tmp_path: Path) -> None:
    named = plan_of(tmp_path, [{"tokens": ["Anna", "sat"], "tags": ["B-PER", "O"]}])
    assert named.rank_by == {"d": "entity_f1"}
    assert named.notes[-1] == "d: the 2 tags are BIO, so whole entities are measured"
    spoken = plan_of(tmp_path, [{"tokens": ["Anna", "sat"], "tags": ["np", "vbd"]}])
    assert spoken.rank_by["d"] == "token_macro_f1"
    assert "follow no scheme of entities" in spoken.notes[-1]


def test_class_labels_of_a_hub_set_are_the_names_of_a_file(tmp_path: Path, make_jobless: Callable[..., Any]) -> None:
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    names = ["O", "B-PER", "I-PER"]
    features = Features({"tokens": Sequence(Value("string")), "tags": Sequence(ClassLabel(names=names))})
    rows = {"tokens": [["Anna", "Bell", "sat"], ["rain"]], "tags": [[1, 2, 0], [0]]}
    hub = make_jobless(Dataset.from_dict(rows, features=features))
    spelled = make_jobless(
        pa.table({"tokens": rows["tokens"], "tags": [[names[tag] for tag in row] for row in rows["tags"]]})
    )
    assert hub.labels == spelled.labels == ("B-PER", "I-PER", "O")
    assert hub.fingerprint == spelled.fingerprint
    assert hub.splits["test"].equals(spelled.splits["test"])


@pytest.fixture
def make_jobless(tmp_path: Path) -> Callable[..., Any]:
    """A dataset of these rows, loaded as a job's."""
    from raybench.data import load_dataset
    from raybench.job import DatasetSpec

    def make(rows: Any) -> Any:
        place = tmp_path / f"saved-{type(rows).__name__}"
        if isinstance(rows, pa.Table):
            import pyarrow.parquet as pq

            pq.write_table(rows, f"{place}.parquet")
            source: dict[str, Any] = {"source": "parquet", "data_files": {"test": f"{place}.parquet"}}
        else:
            from datasets import DatasetDict

            DatasetDict({"test": rows}).save_to_disk(str(place))
            source = {"source": str(place)}
        spec = DatasetSpec.model_validate({"name": "d", "task": "token-classification", **source})
        return load_dataset(spec, get_task("token-classification").columns, tmp_path)

    return make


@pytest.mark.parametrize(
    ("rows", "more", "head", "expected"),
    [
        ([{"tokens": ["a", "b"], "tags": ["X"]}], "", "", "has 2 tokens and 1 tags; each token needs its own"),
        ([{"tokens": "a b", "tags": ["X", "Y"]}], "", "", "has 1 tokens and 2 tags"),
        ([{"tokens": ["a"], "tags": "X"}], "", "", "'tags' holds string; want lists of labels"),
        ([{"tokens": ["a", None], "tags": ["X", "Y"]}], "", "", "row 0 holds an empty"),
        ([{"tokens": ["a"], "labels": ["X"]}], "", "", "has no column 'tags'"),
        ([{"tokens": ["a", "b"], "tags": ["X", "X"]}], "", "", "every token has the tag 'X'"),
        ([{"tokens": [1, 2], "tags": ["X", "Y"]}], "", "", "not lists of texts"),
        (
            [{"tokens": ["a", "b"], "tags": ["X", "Y"]}],
            ", task_config: {stride: -1}",
            "",
            "stride: -1: Input should be",
        ),
        ([{"tokens": ["a", "b"], "tags": ["X", "Y"]}], "", "metrics: [entity_f1]\n", "no tag of entities"),
        ([{"tokens": ["a", "b"], "tags": ["X", "Y"]}], "", "metrics: [accuracy]\n", "metrics that fit token-class"),
    ],
)
def test_wrong_rows_are_one_line(tmp_path: Path, rows: Any, more: str, head: str, expected: str) -> None:
    with pytest.raises(RaybenchError) as caught:
        plan_of(tmp_path, rows, more, head)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_candidates_that_cannot_are_incompatible_in_a_line(tagger: Path, tiny_bert: Path) -> None:
    task = get_task("token-classification")
    for model, method, labels, expected in (
        (ModelSpec(reference="arch:vit"), "full", TAGS, "reads no text; token-classification needs a text model"),
        (ModelSpec(reference=str(tiny_bert)), "none", TAGS, "no trained head"),
        (ModelSpec(reference=str(tagger)), "none", ("nn", "vb"), "its head knows O, I-SPORT"),
        (ModelSpec(reference="baseline:tfidf-logistic"), "", TAGS, "not token-classification; leave it out"),
    ):
        with pytest.raises(IncompatibleError, match=expected):
            check(model, task, labels, method)
    with pytest.raises(IncompatibleError, match="inputs of 2 pieces leave no place for the text beside 2 others"):
        task.prepare(some_rows([3]), ModelSpec(reference=str(tagger)), 2)
