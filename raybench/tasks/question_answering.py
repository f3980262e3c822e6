"""question-answering: the span of a context that answers a question, or none (SQuAD 1 and 2).

Shapes: R model rows (windows), T positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.models.tokenizer import open_tokenizer, tokenizer_hash
from raybench.tasks.answer_spans import NO_ANSWER, Span, best_spans, find_answer, given_answers
from raybench.tasks.head_labels import saved_with_head
from raybench.tasks.overlapping_windows import frame_of
from raybench.tasks.question_inputs import QuestionExamples, tokenize_questions
from raybench.tasks.rows import key_column
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions
from raybench.tasks.text import refuse_without_vocabulary
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["QuestionAnswering", "QuestionAnsweringOptions"]

_HEAD = "ForQuestionAnswering"


class QuestionAnsweringOptions(TaskOptions):
    """What may be an answer, and how a long context is cut into windows."""

    unanswerable: bool | None = Field(
        default=None, description="whether no answer takes part; left out: where a training row has none"
    )
    null_threshold: float = Field(
        default=0.0,
        description="no answer wins where its score is by more above the best span's (null_odds in records)",
    )
    max_answer_length: int = Field(default=30, ge=1, description="pieces of an answer")
    max_question_length: int = Field(default=64, ge=1, description="pieces of a question")
    stride: int | None = Field(
        default=None,
        ge=0,
        description="pieces that neighbouring windows share, at most half of one; left out: a quarter",
    )


class QuestionAnswering(Task):
    """A question and its context → a span of the context."""

    name = "question-answering"
    columns = (
        Column("question", "text"),
        Column("context", "text", fixed=True),
        Column("answers", "answers", role="target"),
    )
    metrics = ("qa_f1", "exact_match")
    primary = "qa_f1"
    options = QuestionAnsweringOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        return pa.schema(
            {
                "id": pa.string(),
                "hypothesis": pa.string(),
                "references": pa.list_(pa.string()),
                "null_odds": pa.float64(),
            }
        )

    def default_metrics(self, labels: Sequence[str], statistics: Mapping[str, float]) -> tuple[str, ...]:
        if not self._no_answer_takes_part(statistics):
            return self.metrics
        return (*self.metrics, "answerable_f1", "answerable_exact_match", "unanswerable_accuracy")

    def _no_answer_takes_part(self, statistics: Mapping[str, float]) -> bool:
        asked: bool | None = self.settings.unanswerable
        return statistics.get("unanswerable", 0.0) > 0 if asked is None else asked

    def statistics(self, train: pa.Table) -> dict[str, float]:
        without = sum(not given_answers(answers) for answers in train.column("answers").to_pylist())
        return {"unanswerable": without / train.num_rows}

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        notes = []
        statistics = self.statistics(splits["train"]) if "train" in splits else {}
        if "train" in splits:
            notes += _review_answers(splits["train"])
        without = round(self.statistics(splits["test"])["unanswerable"] * splits["test"].num_rows)
        if without and not self._no_answer_takes_part(statistics):
            notes.append(
                f"{without} of {splits['test'].num_rows} test questions have no answer, and every question will be "
                "given one; task_config: {unanswerable: true} lets no answer take part"
            )
        return tuple(notes)

    # --- rows

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        return f"questions:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        options = self.settings
        if model.baseline is None:
            return tokenize_questions(
                rows, model, max_length, overlap=options.stride, most_of_question=options.max_question_length
            )
        texts = zip(rows.column("question").to_pylist(), rows.column("context").to_pylist(), strict=True)
        keys = key_column("\0".join(pair).encode() for pair in texts)
        lengths = pa.array(np.ones(rows.num_rows, dtype=np.int32))
        return rows.append_column("length", lengths).append_column("key", keys)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return QuestionExamples(prepared, model)

    # --- networks

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_vocabulary(model, config, self.name)
        frame_of(open_tokenizer(model), pair=True)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        config = open_config(model)
        if from_scratch(model) or not saved_with_head(config, _HEAD) or config.num_labels != 2:
            raise IncompatibleError(
                f"model {model.reference!r}: no trained head of start and end to score as it is; "
                "method 'full' or 'lora' would train one"
            )

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.backbone import open_backbone, open_pretrained
        from raybench.models.network import PositionNetwork, TokenNetwork

        if own_head and self.has_own_head(model, dataset.labels):
            from transformers import AutoModelForQuestionAnswering as Auto

            return PositionNetwork(open_pretrained(Auto, model, open_config(model), seed).eval(), None)
        return TokenNetwork(open_backbone(model, seed), num_outputs=2, seed=seed)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        """Of each window half the loss of where the answer begins, and half of where it ends."""
        import torch

        real_RT = batch.inputs["attention_mask"].bool()
        total = outputs.new_zeros((), dtype=torch.float32)
        for side, target_R in enumerate((batch.targets.first, batch.targets.last)):
            log_RT = outputs[..., side].float().masked_fill(~real_RT, -torch.inf).log_softmax(dim=-1)
            taught_R = target_R >= 0
            nll_R = -log_RT.gather(1, target_R.clamp_min(0)[:, None]).squeeze(1)
            if options.label_smoothing:
                smooth_R = -log_RT.masked_fill(~real_RT, 0.0).sum(dim=-1) / real_RT.sum(dim=-1)
                nll_R = (1 - options.label_smoothing) * nll_R + options.label_smoothing * smooth_R
            total = total + nll_R[taught_R].sum() / 2
        return total

    def predict(self, network: Network, batch: Batch) -> list[Span]:
        """The best span of each example over all its windows, beside the least score of no answer of any of them."""
        outputs_RT2 = network(batch.inputs).float()
        start_RT, stop_RT = outputs_RT2.unbind(dim=-1)
        asked = batch.targets
        first, last, scores = best_spans(start_RT, stop_RT, asked.context, self.settings.max_answer_length)
        null_R = (start_RT + stop_RT).gather(1, asked.null[:, None]).squeeze(1).double().cpu().numpy()
        assert batch.rows is not None
        bounds = np.concatenate([[0], np.cumsum(batch.rows)]).tolist()
        spans = []
        for begin, end in itertools.pairwise(bounds):
            row = begin + int(np.argmax(scores[begin:end]))
            if scores[row] == -np.inf:
                spans.append(NO_ANSWER)
                continue
            odds = float(null_R[begin:end].min() - scores[row])
            start, stop = int(asked.starts[row, first[row]]), int(asked.stops[row, last[row]])
            spans.append(Span(start, stop, odds if np.isfinite(odds) else 0.0))
        return spans

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        """`predictions` is a Span of each row."""
        may_be_none = self._no_answer_takes_part(dataset.statistics)
        texts = []
        for span, context in zip(predictions, rows.column("context").to_pylist(), strict=True):
            none = span.start < 0 or (may_be_none and span.null_odds > self.settings.null_threshold)
            texts.append("" if none else context[span.start : span.stop].strip())
        references = [[text for text, _ in given_answers(cell)] for cell in rows.column("answers").to_pylist()]
        return pa.table(
            {
                "id": rows.column("id").combine_chunks(),
                "hypothesis": pa.array(texts, pa.string()),
                "references": pa.array(references, pa.list_(pa.string())),
                "null_odds": pa.array([span.null_odds for span in predictions], pa.float64()),
            }
        )


def _review_answers(train: pa.Table) -> list[str]:
    """What of the training answers is not where it should be."""
    asked = moved = missing = 0
    for context, cell in zip(train.column("context").to_pylist(), train.column("answers").to_pylist(), strict=True):
        answers = given_answers(cell)
        if not answers:
            continue
        asked += 1
        span = find_answer(context, answers)
        missing += span is None
        moved += span is not None and all(start >= 0 and not context.startswith(text, start) for text, start in answers)
    if asked and missing == asked:
        raise DataError(
            f"none of the {asked} training rows with answers has the text of one in its context; answers are spans of "
            "the context as it is written",
            key=("columns", "answers"),
        )
    notes = []
    if missing:
        notes.append(f"{missing} of {asked} training answers are not in their context; those rows teach nothing")
    if moved:
        notes.append(
            f"{moved} of {asked} training answers do not stand where answer_start says (it counts characters of the "
            "context); where their text is nearest is taken"
        )
    return notes
