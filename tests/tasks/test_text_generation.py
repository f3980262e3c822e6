"""text-generation: the texts are those that transformers writes one example at a time, whatever stands beside it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import DataError, IncompatibleError, JobError
from raybench.data import load_dataset
from raybench.job.spec import DatasetSpec
from raybench.metrics import MetricSet
from raybench.models import writing
from raybench.models.configuration import open_config
from raybench.models.prompts import add_prompt
from raybench.models.tokenizer import open_tokenizer
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.tasks.catalog import get_task
from tests.tasks.as_planned import check
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
NAME = "text-generation"
BART_LIKE = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64, "init_std": 0.5,
}  # fmt: skip
LIKE_GPT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.5}
SHAPES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "initializer_factor": 4.0},
    "marian": BART_LIKE,
    "bart": BART_LIKE,
    "gpt2": {**LIKE_GPT, "n_positions": 64},
    "llama": {**LIKE_GPT, "intermediate_size": 64, "max_position_embeddings": 64},
}
CAUSAL = ("gpt2", "llama")
FORCED = {"marian": {"forced_eos_token_id": 3}, "bart": {"forced_bos_token_id": 7, "forced_eos_token_id": 3}}


@pytest.fixture(scope="module")
def saved(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A random checkpoint of an architecture, with the tokenizer of the toy words, whose [SEP] ends a text."""
    import transformers

    folder = tmp_path_factory.mktemp("writers")

    def make(kind: str) -> Path:
        path = folder / kind
        if not path.exists():
            ids = {"vocab_size": 32, "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2}
            start = {} if kind in CAUSAL else {"decoder_start_token_id": 0}
            config = transformers.AutoConfig.for_model(kind, **SHAPES[kind], **ids, **start)
            auto = transformers.AutoModelForCausalLM if kind in CAUSAL else transformers.AutoModelForSeq2SeqLM
            torch.manual_seed(4)
            model = auto.from_config(config)
            model.generation_config.update(**FORCED.get(kind, {"forced_eos_token_id": None}))
            model.save_pretrained(path)
            open_tokenizer(ModelSpec(reference=str(tiny_bert))).save_pretrained(path)
        return path

    return make


@pytest.fixture(scope="module")
def rows(make_texts: Callable[..., pa.Table]) -> pa.Table:
    """Sources of 0 to 40 words, and their first words backwards; a second reference for each."""
    texts = make_texts(16, seed=9)
    sources = ["", "ball", *texts["text"].to_pylist()[2:]]
    target = [[" ".join(text.split()[:6][::-1]) or "rain", "the"] for text in sources]
    return pa.table({"id": texts["id"], "source": sources, "target": target})


trial_of, records = partial(make_trial, NAME, max_length=24), records_of


def one_at_a_time(
    path: Path, rows: pa.Table, template: str = "{source}", **options: Any
) -> tuple[list[str], list[bool]]:
    """What transformers' own generate writes for each source alone, without any padding."""
    import transformers

    causal = path.name in CAUSAL
    auto = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSeq2SeqLM
    model, tokenizer = auto.from_pretrained(path).eval(), open_tokenizer(ModelSpec(reference=str(path)))
    texts, unended = [], []
    for source in rows["source"].to_pylist():
        ids = tokenizer(template.replace("{source}", source), truncation=True, max_length=50)["input_ids"]
        ids = torch.tensor([ids[:-1] if causal else ids])  # a prompt goes on: it has no end
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        written = model.generate(**given, do_sample=False, **options)[0].tolist()
        own = written[given["input_ids"].shape[1] if causal else 1 :]
        texts.append(tokenizer.decode(own, skip_special_tokens=True))
        forced = path.name in FORCED
        unended.append(len(own) == options["max_new_tokens"] and (own[-1] != 3 or forced))
    return texts, unended


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("kind", list(SHAPES))
def test_a_batch_writes_what_transformers_writes_for_each_example_alone(
    kind: str, num_beams: int, saved: Callable[[str], Path], rows: pa.Table
) -> None:
    path = saved(kind)
    trial = trial_of(path, num_beams=num_beams, max_new_tokens=10, template="{source} and", max_length=50)
    found = records(trial, rows)
    texts, unended = one_at_a_time(path, rows, "{source} and", num_beams=num_beams, max_new_tokens=10)
    assert found["hypothesis"].to_pylist() == texts
    if num_beams == 1:
        assert found["at_limit"].to_pylist() == unended


def test_a_batch_writes_what_the_pipeline_writes(saved: Callable[[str], Path], rows: pa.Table) -> None:
    """That of causal models is the one that transformers 5 has left; the others are held to `generate` above."""
    from transformers import pipeline

    path = saved("llama")
    tokenizer = open_tokenizer(ModelSpec(reference=str(path)))
    writer = pipeline("text-generation", model=str(path), tokenizer=tokenizer, device="cpu")
    prompts = [f"[CLS] {source} and" for source in rows["source"].to_pylist()]  # how its texts begin
    expected = [
        writer(prompt, max_new_tokens=10, do_sample=False, return_full_text=False, add_special_tokens=False)
        for prompt in prompts
    ]
    found = records(trial_of(path, max_new_tokens=10, template="{source} and", max_length=50), rows)
    assert found["hypothesis"].to_pylist() == [one[0]["generated_text"].strip() for one in expected]


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_greedy_search_is_ours_and_ends_rows_early(
    kind: str, saved: Callable[[str], Path], rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are done are forwarded no more: all steps have little more rows than tokens are written."""
    monkeypatch.setattr(writing, "_by_transformers", None)
    trial = trial_of(saved(kind), max_new_tokens=30, reference_loss=False)
    task = get_task(NAME, trial.dataset.task_config)
    examples = task.examples(task.prepare(rows, trial.model, 24), trial.model, trial.dataset)
    network = task.network(trial.model, trial.dataset, 0, own_head=True)
    forwarded: list[int] = []
    network.base.register_forward_pre_hook(
        lambda module, args, given: forwarded.append(len(given.get("input_ids", given.get("decoder_input_ids")))),
        with_kwargs=True,
    )
    with torch.inference_mode():
        inputs = network.encode(examples.batch(np.arange(16), 24, CPU).inputs)
        freely = writing.write(network, inputs)
        used = Counter(token for row in freely for token in set(row))
        seldom = next(token for token, count in sorted(used.items()) if 4 <= count <= 12)
        network.writing = dataclasses.replace(network.writing, stops=(seldom,))
        forwarded.clear()
        written = writing.write(network, inputs)
    counts = sorted(map(len, written))
    assert counts[0] < counts[-1]  # some are done early
    assert sum(counts) <= sum(forwarded[-counts[-1] :]) <= sum(counts) + 2 * counts[-1]


@pytest.mark.parametrize("kind", list(SHAPES))
def test_the_loss_of_the_reference_is_that_of_the_model_alone(
    kind: str, saved: Callable[[str], Path], rows: pa.Table
) -> None:
    path = saved(kind)
    trial = trial_of(path, max_new_tokens=4, template="{source} and")
    task = get_task(NAME, trial.dataset.task_config)
    prepared = task.prepare(rows, trial.model, 24)
    network = task.network(trial.model, trial.dataset, 0, own_head=True)
    expected = []
    for ids, own in zip(prepared["input_ids"].to_pylist(), prepared["target_ids"].to_pylist(), strict=True):
        source, target = torch.tensor([ids]), torch.tensor([own])
        with torch.inference_mode():
            if kind in CAUSAL:
                logits = network.base(torch.cat([source, target], dim=1)).logits[:, len(ids) - 1 : -1]
            else:
                started = torch.cat([torch.zeros_like(target[:, :1]), target[:, :-1]], dim=1)
                logits = network.base(input_ids=source, decoder_input_ids=started).logits
        expected.append(-logits.log_softmax(-1).gather(2, target[:, :, None]).sum().item())
    found = records(trial, rows)
    np.testing.assert_allclose(found["nll"].to_numpy(), expected, rtol=1e-4)
    assert found["num_tokens"].to_pylist() == [len(own) for own in prepared["target_ids"].to_pylist()]


@pytest.mark.parametrize("kind", ["t5", "marian", "llama"])
def test_neighbours_change_no_text(kind: str, saved: Callable[[str], Path], rows: pa.Table) -> None:
    trial = trial_of(saved(kind), max_new_tokens=10)
    together = records(trial, rows)["hypothesis"].to_pylist()
    assert [records(trial, rows.slice(row, 1))["hypothesis"][0].as_py() for row in range(rows.num_rows)] == together
    backwards = rows.take(pa.array(range(rows.num_rows)[::-1]))
    assert records(trial, backwards)["hypothesis"].to_pylist() == together[::-1]


METHODS: dict[str, dict[str, Any]] = {
    "full": {}, "top_layers": {"layers": 1}, "gradual_unfreeze": {}, "lora": {}, "prompt_tuning": {}, "prefix": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["t5", "llama"])
@pytest.mark.parametrize("method", list(METHODS))
def test_what_a_method_learns_of_its_rows_is_in_the_checkpoint(
    method: str, kind: str, saved: Callable[[str], Path], rows: pa.Table
) -> None:
    optimizer = {"epochs": 6, "batch_size": 4, "learning_rate": 1e-2, "warmup": 0.0, "decay": "constant"}
    trial = trial_of(saved(kind), method, given={**optimizer, **METHODS[method]}, max_new_tokens=4)
    before = records(trial_of(saved(kind), max_new_tokens=4), rows)
    after = records(trial, rows)
    assert sum(after["nll"].to_pylist()) < sum(before["nll"].to_pylist())
    assert after["num_tokens"].equals(before["num_tokens"])


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", ["t5", "bart", "gpt2", "llama"])
def test_learned_positions_count_alike_for_every_row_however_it_is_padded(
    kind: str, deep: bool, saved: Callable[[str], Path], rows: pa.Table
) -> None:
    """Against peft's own forward pass of each row alone, without padding, token by token."""
    trial = trial_of(saved(kind), max_new_tokens=6)
    task = get_task(NAME, trial.dataset.task_config)
    network = task.network(trial.model, trial.dataset, 0, own_head=True)
    torch.manual_seed(0)
    add_prompt(network, 3, deep=deep)
    for name, parameter in network.named_parameters():
        if "prompt_encoder" in name:
            nn.init.normal_(parameter)
    examples = task.examples(task.prepare(rows, trial.model, 24), trial.model, trial.dataset)
    peft: Any = network.backbone
    with torch.inference_mode():
        batch = examples.batch(np.arange(rows.num_rows), 24, CPU)
        written, nll = writing.write(network, batch.inputs), network.reference_nll(batch.inputs)
        for row in range(rows.num_rows):
            alone = examples.batch(np.array([row]), 24, CPU).inputs
            ids = alone["input_ids"][:, alone["attention_mask"][0] == 1]
            own = alone["labels"][:, alone["labels"][0] != -100]

            def logits(tokens: torch.Tensor, ids: torch.Tensor = ids) -> torch.Tensor:
                if kind in CAUSAL:
                    return peft(input_ids=torch.cat([ids, tokens], dim=1)).logits[:, -tokens.shape[1] - 1 :]
                first = network.special.start
                started = torch.cat([torch.full((1, 1), first), tokens], dim=1)
                return peft(input_ids=ids, decoder_input_ids=started, attention_mask=torch.ones_like(ids)).logits

            expected = -logits(own)[:, :-1].log_softmax(-1).gather(2, own[:, :, None]).sum().item()
            assert nll[row].item() == pytest.approx(expected, rel=1e-4)
            tokens = torch.zeros((1, 0), dtype=torch.long)
            for _ in range(len(written[row])):
                chosen = logits(tokens)[:, -1].argmax(-1)
                forced = kind == "bart" and tokens.shape[1] == 0
                tokens = torch.cat([tokens, torch.tensor([[7]]) if forced else chosen[None]], dim=1)
            assert written[row] == tokens[0].tolist()
        network.writing = dataclasses.replace(network.writing, num_beams=3)
        if deep:
            with pytest.raises(IncompatibleError, match="writes greedily alone"):
                writing.write(network, batch.inputs)
            return
        by_beams = writing.write(network, batch.inputs)
        for row in range(0, rows.num_rows, 5):
            mask = batch.inputs["attention_mask"][row] == 1
            ids = batch.inputs["input_ids"][row][mask][None]
            alone = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            assert writing.write(network, alone) == [by_beams[row]]


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_an_instruction_goes_before_the_template(kind: str, saved: Callable[[str], Path], rows: pa.Table) -> None:
    told = trial_of(saved(kind), "instruction", given={"instruction": "the new "}, max_new_tokens=6, max_length=50)
    written = trial_of(saved(kind), template=f"the new {{source}}{'' if kind == 't5' else chr(10)}", max_new_tokens=6,
                       max_length=50)  # fmt: skip
    assert records(told, rows).equals(records(written, rows))
    assert records(told, rows)["hypothesis"] != records(trial_of(saved(kind), max_new_tokens=6), rows)["hypothesis"]


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_int8_weights_write_too(kind: str, saved: Callable[[str], Path], rows: pa.Table) -> None:
    trial = trial_of(ModelSpec(reference=str(saved(kind)), dtype="int8"), max_new_tokens=6)
    assert all(np.isfinite(records(trial, rows)["nll"].to_numpy()))


def test_what_reaches_the_limit_is_marked_and_a_stop_ends_a_text(saved: Callable[[str], Path], rows: pa.Table) -> None:
    long = records(trial_of(saved("t5"), max_new_tokens=40), rows)
    short = records(trial_of(saved("t5"), max_new_tokens=2), rows)
    ended = [not mark for mark in long["at_limit"].to_pylist()]
    assert any(ended)
    assert not all(ended)
    assert sum(short["at_limit"].to_pylist()) >= sum(long["at_limit"].to_pylist())
    word = next(word for text in long["hypothesis"].to_pylist() for word in text.split()[1:])
    stopped = records(trial_of(saved("t5"), max_new_tokens=40, stop=word), rows)
    for cut, whole in zip(stopped["hypothesis"].to_pylist(), long["hypothesis"].to_pylist(), strict=True):
        assert cut.strip() == whole.partition(word)[0].strip()


def test_a_prompt_that_is_too_long_loses_the_end_of_its_source_and_keeps_its_template(
    saved: Callable[[str], Path], rows: pa.Table
) -> None:
    trial = trial_of(saved("gpt2"), template="the {source} said", max_new_tokens=4)
    task, tokenizer = get_task(NAME, trial.dataset.task_config), open_tokenizer(trial.model)
    prompts = task.prepare(rows, trial.model, 24)["input_ids"].to_pylist()
    assert max(map(len, prompts)) == 24
    for ids, source in zip(prompts, rows["source"].to_pylist(), strict=True):
        words = tokenizer.decode(ids, skip_special_tokens=True).split()
        assert words[0] == "the"
        assert words[-1] == "said"
        assert words[1:-1] == source.split()[: len(words) - 2]


@pytest.mark.parametrize("baseline", ["copy-source", "translation-memory", "dictionary"])
def test_baselines_write_what_they_say(baseline: str, rows: pa.Table) -> None:
    found = records(trial_of(f"baseline:{baseline}"), rows)
    texts = found["hypothesis"].to_pylist()
    if baseline == "copy-source":
        assert texts == rows["source"].to_pylist()
    elif baseline == "translation-memory":  # every source is in it
        assert texts[1:] == [target[0] for target in rows["target"].to_pylist()][1:]
    else:
        assert texts[1] == "ball"
    assert not any(found["at_limit"].to_pylist())
    assert get_task(NAME).record_schema(()).equals(found.schema)


def test_a_dictionary_learns_which_word_becomes_which() -> None:
    pairs = {"das haus": "the house", "das buch": "the book", "ein buch": "a book", "ein haus": "a house"}
    train = pa.table({"id": list(pairs), "source": list(pairs), "target": [[text] for text in pairs.values()]})
    asked = pa.table({"id": ["x"], "source": ["ein haus Oslo"], "target": [["a house Oslo"]]})
    trial = trial_of("baseline:dictionary")
    task = get_task(NAME)
    fitted = fit_trial(trial, task.prepare(train, trial.model, 24), CPU)
    predictor = open_predictor(trial, fitted, CPU)
    data = prepare_data(task, {"test": asked}, trial.model, trial.dataset)
    metrics = MetricSet(["exact_match"], {"transform": "none"})
    scored = score_shard(predictor, data.test, data.plan.batches(0, 1), metrics)
    assert scored.records["hypothesis"].to_pylist() == ["a house Oslo"]


def test_what_cannot_write_is_refused_in_a_line(saved: Callable[[str], Path], tiny_bert: Path) -> None:
    task = get_task(NAME)
    bert = ModelSpec(reference=str(tiny_bert))
    with pytest.raises(IncompatibleError, match="bert writes no text"):
        task.check(bert, open_config(bert))
    t5 = ModelSpec(reference=str(saved("t5")))
    for method in ("frozen", "nearest_neighbors"):
        with pytest.raises(IncompatibleError, match="one vector a row"):
            check(t5, task, (), method)
    with pytest.raises(IncompatibleError, match="random weights"):
        check(dataclasses.replace(t5, init="scratch"), task, (), "none")
    with pytest.raises(IncompatibleError, match="no token for the language 'xx'"):
        check(t5, get_task(NAME, {"target_language": "xx"}), (), "none")
    with pytest.raises(IncompatibleError, match="leave compile out"):
        check(dataclasses.replace(t5, compile=True), task, (), "none")
    gpt2 = ModelSpec(reference=str(saved("gpt2")))
    with pytest.raises(IncompatibleError, match="64 positions, and max_new_tokens is 64; 1 to 63"):
        check(gpt2, task, (), "none")
    rows = pa.table({"id": ["a", "b"], "source": ["x", "y"], "target": [["z"], []]})
    with pytest.raises(DataError, match="split 'test': 1 of 2 rows have no target text, such as the one with id b"):
        task.review({"test": rows}, ())
    with pytest.raises(JobError, match=r"want \{source\} once"):
        get_task(NAME, {"template": "English:"})


def test_a_language_forces_the_first_token(saved: Callable[[str], Path], rows: pa.Table) -> None:
    found = records(trial_of(saved("t5"), max_new_tokens=6, target_language="storm", max_length=50), rows)
    texts, _ = one_at_a_time(saved("t5"), rows, max_new_tokens=6, forced_bos_token_id=open_tokenizer(
        ModelSpec(reference=str(saved("t5")))).convert_tokens_to_ids("storm"))  # fmt: skip
    assert found["hypothesis"].to_pylist() == texts
    assert all(text.startswith("storm") for text in texts)


def test_translations_of_the_hub_are_read_by_their_languages(tmp_path: Path) -> None:
    """A Translation feature is a struct of languages in Parquet; several references are a list."""
    pairs = [{"translation": {"de": f"haus {number}", "en": f"house {number}"}} for number in range(12)]
    pq.write_table(pa.Table.from_pylist(pairs), tmp_path / "train.parquet")
    entry = {"name": "d", "source": "parquet", "data_files": {"train": str(tmp_path / "train.parquet")}, "task": NAME}
    columns = {"source": "translation.de", "target": "translation.en"}
    spec = DatasetSpec.model_validate({**entry, "columns": columns})
    table = load_dataset(spec, get_task(NAME).columns, tmp_path).splits["train"]
    for row in table.to_pylist():
        assert row["target"] == [row["source"].replace("haus", "house")]
