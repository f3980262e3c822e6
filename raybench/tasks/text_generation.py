"""text-generation: a text written from a source (translation, summarisation, text to text).

With an encoder and a decoder the source is read as it is; a causal language model goes on from a prompt. Greedy unless
the options say beams. Training and the reference's loss are teacher-forced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.models.tokenizer import open_tokenizer, tokenizer_hash
from raybench.tasks.generation_ids import has_encoder, language_token, special_ids, stop_ids
from raybench.tasks.generation_inputs import GenerationExamples, tokenize_generation
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions
from raybench.tasks.text import plain_rows
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.generation import Writing
    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["Generated", "GenerationOptions", "TextGeneration"]


class GenerationOptions(TaskOptions):
    """How a text is asked for and written. References are cut at `max_length` tokens for the loss alone."""

    template: str = Field(
        default="",
        description="holds {source}; left out: the source alone, and a line break after it for a causal model",
    )
    max_new_tokens: int = Field(default=64, ge=1, description="tokens written at most")
    min_new_tokens: int = Field(default=0, ge=0, description="tokens written at least")
    num_beams: int = Field(default=1, ge=1, description="of beam search; 1: greedy")
    length_penalty: float = Field(default=1.0, description="with beams: above 0 for longer texts")
    source_language: str = Field(default="", description="the tokenizer's own name for it (mBART, NLLB, M2M100)")
    target_language: str = Field(default="", description="the tokenizer's own name for it")
    stop: str = Field(
        default="", description="a text that ends what is written, such as a line break, for models that know no end"
    )
    reference_loss: bool = Field(default=True, description="also −ln p of the first reference")

    @field_validator("template")
    @classmethod
    def _has_source(cls, template: str) -> str:
        if template and template.count("{source}") != 1:
            raise ValueError("want {source} once, where the source goes, such as 'English: {source}\\nGerman:'")
        return template


class Generated(NamedTuple):
    """What was written for each example; of a baseline without what only a network has.

    `nll` is the sum over the `num_tokens` tokens of the first reference; NaN and 0 where it was not asked for.
    """

    texts: list[str]
    at_limit: list[bool]
    nll: np.ndarray
    num_tokens: np.ndarray

    @classmethod
    def of(cls, texts: list[str]) -> Generated:
        """A baseline's."""
        unknown = np.full(len(texts), np.nan)
        return cls(texts, [False] * len(texts), unknown, np.zeros(len(texts), dtype=np.int64))


class TextGeneration(Task):
    """Source → text, compared with one reference or several."""

    name = "text-generation"
    columns = (Column("source", "text"), Column("target", "texts", role="target"))
    metrics = ("bleu", "chrf", "rougeL", "exact_match")
    primary = "bleu"
    options = GenerationOptions
    own_head_needed = True

    def metric_config(self, labels: Sequence[str], task_config: Mapping[str, Any]) -> dict[str, Any]:
        return {"transform": "none", **super().metric_config(labels, task_config)}

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        texts = {"id": pa.string(), "hypothesis": pa.string(), "references": pa.list_(pa.string())}
        loss = {"nll": pa.float64(), **dict.fromkeys(("num_tokens", "num_words", "num_bytes"), pa.int64())}
        return pa.schema({**texts, "at_limit": pa.bool_(), **(loss if self.settings.reference_loss else {})})

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        for split, rows in splits.items():
            counts = rows.column("target").combine_chunks().value_lengths().to_pylist()
            if 0 in counts:
                name = rows.column("id")[counts.index(0)]
                raise DataError(
                    f"split {split!r}: {counts.count(0)} of {len(counts)} rows have no target text, such as the one "
                    f"with id {name}; leave them out",
                    key=("columns", "target"),
                )
        return ()

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        kind = "source" if has_encoder(model, open_config(model)) else "prompt"
        return f"{kind}:{tokenizer_hash(model)}:{num_positions(model)}:{special_ids(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is not None:
            return plain_rows(rows, ["source"])
        return tokenize_generation(rows, model, max_length, self.settings)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return GenerationExamples(prepared, model, encoder=has_encoder(model, open_config(model)))

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        has_encoder(model, config)
        if model.compile:
            raise IncompatibleError(
                f"model {model.reference!r}: {self.name} is not compiled, for its shapes change with every token; "
                "leave compile out"
            )
        special_ids(model)
        language_token(model, self.settings.target_language)
        positions, wanted = num_positions(model), self.settings.max_new_tokens
        if positions is not None and positions <= wanted:
            raise IncompatibleError(
                f"model {model.reference!r}: it has {positions} positions, and max_new_tokens is {wanted}; "
                f"1 to {positions - 1} would do"
            )

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        if from_scratch(model):
            raise IncompatibleError(f"model {model.reference!r}: random weights have nothing to write as they are")

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        import transformers

        from raybench.models.backbone import open_pretrained
        from raybench.models.generation import GenerationNetwork

        config = open_config(model)
        kind = "AutoModelForSeq2SeqLM" if has_encoder(model, config) else "AutoModelForCausalLM"
        opened = open_pretrained(getattr(transformers, kind), model, config, seed).eval()
        return GenerationNetwork(opened, special_ids(model), self.writing(model), model, num_positions(model))

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        from raybench.models.generation import IGNORED

        told = batch.targets[batch.targets != IGNORED]
        return cross_entropy(outputs, told, reduction="sum", label_smoothing=options.label_smoothing)

    def writing(self, model: ModelSpec) -> Writing:
        """How a model of this candidate writes under the task's options."""
        from raybench.models.generation import Writing

        own = self.settings
        return Writing(
            max_new_tokens=own.max_new_tokens,
            min_new_tokens=own.min_new_tokens,
            num_beams=own.num_beams,
            length_penalty=own.length_penalty,
            forced_first=language_token(model, own.target_language),
            stops=stop_ids(model, own.stop),
        )

    def predict(self, network: Any, batch: Batch) -> Generated:
        from raybench.models.generation import IGNORED
        from raybench.models.writing import write

        inputs = network.encode(batch.inputs)
        count = len(batch.targets)
        nll, num_tokens = np.full(count, np.nan), np.zeros(count, dtype=np.int64)
        if self.settings.reference_loss:
            nll = network.reference_nll(inputs).cpu().numpy()
            num_tokens = (batch.targets != IGNORED).sum(dim=1).cpu().numpy()
        ids, ends = write(network, inputs), set(network.ends)
        tokenizer: Any = open_tokenizer(network.spec)
        texts = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
        at_limit = [not (row and row[-1] in ends) for row in ids]
        if not network.has_encoder:
            texts = [text.removeprefix(" ") for text in texts]
        if self.settings.stop:
            cut = [text.partition(self.settings.stop) for text in texts]
            texts = [before for before, _, _ in cut]
            at_limit = [limit and not found for limit, (_, found, _) in zip(at_limit, cut, strict=True)]
        return Generated(texts, at_limit, nll, num_tokens)

    def records(self, predictions: Generated, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        given: Generated = predictions
        columns = {
            "id": rows.column("id").combine_chunks(),
            "hypothesis": pa.array(given.texts, pa.string()),
            "references": rows.column("target").combine_chunks(),
            "at_limit": pa.array(given.at_limit, pa.bool_()),
        }
        if self.settings.reference_loss:
            none = pa.array(np.zeros(rows.num_rows, dtype=np.int64))
            counted = {
                name: rows.column(name).combine_chunks() if name in rows.column_names else none
                for name in ("num_words", "num_bytes")
            }
            columns |= {"nll": pa.array(given.nll), "num_tokens": pa.array(given.num_tokens), **counted}
        return pa.table(columns, schema=self.record_schema(dataset.labels))
