"""BLEU, chrF, TER, ROUGE, answers, word errors, entities and perplexity against their reference implementations."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest

from raybench.core.errors import MergeError
from raybench.metrics import MetricSet, evaluate

OVERLAP = ["bleu", "chrf", "chrf++", "ter", "rouge1", "rouge2", "rougeL"]
ANSWERS = ["exact_match", "qa_f1"]
WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat,", "ran", ".", "fast!", "slowly", "über", "12", "it's", "(here)"]


def texts(num_rows: int, seed: int = 0, *, references: int = 2) -> pa.Table:
    rng = random.Random(seed)
    rows = []
    for _ in range(num_rows):
        truth = [rng.choice(WORDS) for _ in range(rng.randint(1, 12))]
        several = [
            " ".join(word if rng.random() < 0.9 else rng.choice(WORDS) for word in truth)
            for _ in range(rng.randint(1, references))
        ]
        heard = " ".join(word if rng.random() < 0.8 else rng.choice(WORDS) for word in truth if rng.random() < 0.95)
        rows.append((heard, several))
    return text_table(*zip(*rows, strict=True))


def text_table(hypotheses, references) -> pa.Table:
    return pa.table(
        {
            "id": [f"r{k}" for k in range(len(hypotheses))],
            "hypothesis": pa.array(hypotheses, type=pa.string()),
            "references": pa.array(references, type=pa.list_(pa.string())),
        }
    )


def streams(table: pa.Table) -> tuple[list[str], list[list[str | None]]]:
    references = table["references"].to_pylist()
    most = max(map(len, references))
    return table["hypothesis"].to_pylist(), [
        [row[k] if k < len(row) else None for row in references] for k in range(most)
    ]


def tagged(target_tags, tags) -> pa.Table:
    column = pa.list_(pa.string())
    return pa.table(
        {
            "id": [f"r{k}" for k in range(len(tags))],
            "target_tags": pa.array(target_tags, column),
            "tags": pa.array(tags, column),
        }
    )


def random_tags(num_rows: int, seed: int, names: str = "BI") -> tuple[list[list[str]], list[list[str]]]:
    rng = random.Random(seed)
    labels = ["O", "O", *(f"{prefix}-{kind}" for prefix in names for kind in ("PER", "LOC"))]
    lengths = [rng.randint(1, 9) for _ in range(num_rows)]
    one, two = ([[rng.choice(labels) for _ in range(length)] for length in lengths] for _ in range(2))
    return one, [
        [a if rng.random() < 0.7 else b for a, b in zip(x, y, strict=True)] for x, y in zip(one, two, strict=True)
    ]


def test_overlap_conforms(conforms):
    conforms([*OVERLAP, *ANSWERS], texts(25), {}, examples=3)


def test_word_errors_conform(conforms):
    conforms(["wer", "cer"], texts(30, references=1), {"transform": "words"}, examples=3)


def test_entities_conform(conforms):
    table = tagged(*random_tags(30, seed=1))
    conforms(
        ["entity_f1", "entity_precision", "entity_recall", "entity_macro_f1"], table, {"labels": ["B-PER", "B-LOC"]}
    )


def test_perplexities_conform(conforms):
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 50, 40)
    table = pa.table(
        {
            "id": [f"r{k}" for k in range(40)],
            "nll": rng.random(40) * tokens,
            "num_tokens": tokens,
            "num_words": tokens // 2 + 1,
            "num_bytes": tokens * 4,
        }
    )
    conforms(["perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "token_nll"], table, {}, examples=3)


@pytest.mark.parametrize("seed", range(4))
def test_overlap_equals_sacrebleu(seed):
    import sacrebleu

    table = texts(40 if seed else 2, seed)
    hypotheses, references = streams(table)
    scores = evaluate(OVERLAP, table, {})
    assert scores["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(hypotheses, references).score, abs=1e-10)
    assert scores["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(hypotheses, references).score, abs=1e-10)
    assert scores["chrf++"].value == pytest.approx(
        sacrebleu.corpus_chrf(hypotheses, references, word_order=2).score, abs=1e-10
    )
    assert scores["ter"].value == pytest.approx(sacrebleu.corpus_ter(hypotheses, references).score, abs=1e-10)


def test_signature_is_the_source():
    source = MetricSet(["bleu"], {}).info("bleu").source
    assert "tok:13a" in source
    assert "smooth:exp" in source
    assert "version:" in source


def test_rouge_equals_rouge_score():
    from rouge_score.rouge_scorer import RougeScorer

    table = texts(30, 5)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    rows = list(zip(table["hypothesis"].to_pylist(), table["references"].to_pylist(), strict=True))
    found = evaluate(["rouge1", "rouge2", "rougeL"], table, {})
    for name in ("rouge1", "rouge2", "rougeL"):
        expected = np.mean([max(scorer.score(r, h)[name].fmeasure for r in references) for h, references in rows])
        assert found[name].value == pytest.approx(expected, abs=1e-12)


def test_word_errors_equal_jiwer():
    import jiwer

    table = texts(40, 7, references=1)
    truth = [references[0] for references in table["references"].to_pylist()]
    heard = table["hypothesis"].to_pylist()
    scores = evaluate(["wer", "cer"], table, {})
    assert scores["wer"].value == pytest.approx(jiwer.wer(truth, heard), abs=1e-15)
    assert scores["cer"].value == pytest.approx(jiwer.cer(truth, heard), abs=1e-15)


@pytest.mark.parametrize(("transform", "value"), [("none", 1.0), ("lower", 0.5), ("words", 0.0), ("squad", 0.0)])
def test_transforms_are_those_named(transform, value):
    table = text_table(["the Cat!"], [["The cat"]])
    wanted = {"none": 1.0, "lower": 0.5, "words": 0.0, "squad": 0.0}
    assert evaluate(["wer"], table, {"transform": transform})["wer"].value == wanted[transform] == value


def test_answers_of_known_cases():
    table = text_table(["the cat", "a big dog", "", "guess", ""], [["Cat."], ["dog", "big cat"], [], [], ["x"]])
    scores = evaluate(ANSWERS, table, {})
    assert scores["exact_match"].value == 2 / 5
    assert scores["qa_f1"].value == pytest.approx((1 + 2 / 3 + 1 + 0 + 0) / 5)


@pytest.mark.parametrize("seed", range(5))
def test_entities_equal_seqeval(seed):
    seqeval = pytest.importorskip("seqeval.metrics")
    from seqeval.scheme import IOB2, IOBES

    options = {"labels": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}
    for scheme, names, arguments in (
        ("lenient", "BIES", {}),
        ("IOB2", "BI", {"mode": "strict", "scheme": IOB2}),
        ("IOBES", "BIES", {"mode": "strict", "scheme": IOBES}),
    ):
        truth, tags = random_tags(40, seed, names)
        found = evaluate(
            ["entity_precision", "entity_recall", "entity_f1", "entity_macro_f1"],
            tagged(truth, tags),
            {**options, "scheme": scheme},
        )
        assert found["entity_precision"].value == pytest.approx(seqeval.precision_score(truth, tags, **arguments)), (
            scheme
        )
        assert found["entity_recall"].value == pytest.approx(seqeval.recall_score(truth, tags, **arguments))
        assert found["entity_f1"].value == pytest.approx(seqeval.f1_score(truth, tags, **arguments))
        assert found["entity_macro_f1"].value == pytest.approx(
            seqeval.f1_score(truth, tags, average="macro", **arguments)
        )


def test_perplexity_is_by_token_word_and_byte():
    table = pa.table(
        {"id": ["a", "b"], "nll": [3.0, 5.0], "num_tokens": [4, 4], "num_words": [2, 2], "num_bytes": [16, 16]}
    )
    scores = evaluate(["perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"], table, {})
    assert scores["perplexity"].value == pytest.approx(math.exp(1))
    assert scores["word_perplexity"].value == pytest.approx(math.exp(2))
    assert scores["byte_perplexity"].value == pytest.approx(math.exp(0.25))
    assert scores["bits_per_byte"].value == pytest.approx(0.25 / math.log(2))


def test_states_counted_with_another_tokenizer_do_not_merge():
    table = texts(6)
    one = MetricSet(["bleu"], {"tokenize": "13a"}).states(table.slice(0, 3))
    with pytest.raises(MergeError):
        one.merge(MetricSet(["bleu"], {"tokenize": "char"}).states(table.slice(3)))
