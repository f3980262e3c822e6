"""speech-recognition: what is said in a sound, compared with a transcript.

Three kinds of network: one that puts out the letters of its own alphabet at each position (CTC); one that writes, an
encoder of sound with a decoder (Whisper); and any other encoder of sounds, or an architecture from scratch, that learns
a head of bytes by CTC. Long sounds are read in windows, cut where it is quiet, and their texts are joined.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.models.tokenizer import open_tokenizer, tokenizer_hash
from raybench.tasks.audio import AUDIO_COLUMNS, SoundOptions, refuse_without_ears
from raybench.tasks.audio_inputs import plain_clips, sound_key
from raybench.tasks.letters import NUM_BYTES
from raybench.tasks.speech_inputs import LetterClips, Spelled, WrittenClips, prepare_speech
from raybench.tasks.speech_kinds import alphabet_of, kind_of
from raybench.tasks.task import Batch, LossOptions, Task

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["SpeechOptions", "SpeechRecognition", "Transcripts"]


class SpeechOptions(SoundOptions):
    """What is written, and how it is compared."""

    normalizer: Literal["none", "basic", "english"] = Field(
        default="basic",
        description="makes transcripts comparable before words are counted; basic and english are Whisper's",
    )
    max_new_tokens: int = Field(default=224, ge=1, description="tokens written of a window at most")
    num_beams: int = Field(default=1, ge=1, description="of beam search; 1: greedy")
    language: str = Field(
        default="", description="what a Whisper of several languages writes; left out: it finds out itself"
    )


class Transcripts(NamedTuple):
    """What was heard in each example, and whether a window of it was written to the limit."""

    texts: list[str]
    at_limit: list[bool]

    @classmethod
    def of(cls, texts: list[str]) -> Transcripts:
        """A baseline's."""
        return cls(texts, [False] * len(texts))

    @classmethod
    def joined(cls, texts: list[str], at_limit: list[bool], counts: list[int]) -> Transcripts:
        """Of windows, `counts` of each example: their texts one after the other."""
        bounds = list(itertools.accumulate(counts, initial=0))
        whole = [" ".join(filter(None, map(str.strip, texts[a:b]))) for a, b in itertools.pairwise(bounds)]
        return cls(whole, [any(at_limit[a:b]) for a, b in itertools.pairwise(bounds)])


class SpeechRecognition(Task):
    """Sound → text, compared with one reference."""

    name = "speech-recognition"
    columns = (*AUDIO_COLUMNS, Column("text", "text", role="target"))
    metrics = ("wer", "cer")
    primary = "wer"
    options = SpeechOptions

    def metric_config(self, labels: Sequence[str], task_config: Mapping[str, Any]) -> dict[str, Any]:
        return {"transform": self.settings.normalizer, **super().metric_config(labels, task_config)}

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        texts = {"id": pa.string(), "hypothesis": pa.string(), "references": pa.list_(pa.string())}
        return pa.schema({**texts, "at_limit": pa.bool_(), "normalizer": pa.string()})

    def processor_key(self, model: ModelSpec) -> str:
        key = sound_key(model, self.settings.window_seconds)
        if model.baseline is not None:
            return key
        kind = kind_of(model, open_config(model))
        return f"{kind}:{key}" if kind == "bytes" else f"{kind}:{key}:{tokenizer_hash(model)}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is not None:
            return plain_clips(rows)
        return prepare_speech(rows, model, self.settings)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        writes = kind_of(model, open_config(model)) == "writer"
        return WrittenClips(prepared, model) if writes else LetterClips(prepared, model)

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_ears(model, config, self.name)
        kind = kind_of(model, config)
        if kind == "writer" and model.compile:
            raise IncompatibleError(
                f"model {model.reference!r}: what writes is not compiled, for its shapes change with every token; "
                "leave compile out"
            )
        if kind != "bytes":
            open_tokenizer(model)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        if from_scratch(model):
            raise IncompatibleError(f"model {model.reference!r}: random weights have nothing to say as they are")
        if kind_of(model, open_config(model)) == "bytes":
            raise IncompatibleError(
                f"model {model.reference!r}: no head of letters to score as it is; method 'full' would train one"
            )

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        import transformers

        from raybench.models.audio import LetterCheckpoint, LetterNetwork
        from raybench.models.audio_backbone import open_ears, without_augmentation
        from raybench.models.audio_processor import open_audio_processor
        from raybench.models.backbone import open_pretrained
        from raybench.models.speech import Dictation, OtherSpeech, Whisper

        config, processor = open_config(model), open_audio_processor(model)
        kind = kind_of(model, config)
        if kind == "bytes":
            return LetterNetwork(open_ears(model, seed), model, processor, num_outputs=NUM_BYTES, seed=seed)
        auto = transformers.AutoModelForCTC if kind == "letters" else transformers.AutoModelForSpeechSeq2Seq
        opened = without_augmentation(open_pretrained(auto, model, config, seed).eval())
        if kind == "letters":
            return LetterCheckpoint(opened, model, processor)
        own = self.settings
        dictation = Dictation(max_new_tokens=own.max_new_tokens, num_beams=own.num_beams, language=own.language)
        if config.model_type != "whisper":
            return OtherSpeech(opened, model, processor, dictation)
        tokenizer: Any = open_tokenizer(model)
        return Whisper(opened, model, processor, dictation, tokenizer.convert_tokens_to_ids("<|notimestamps|>"))

    def loss(self, outputs: Any, batch: Batch, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import cross_entropy, ctc_loss, log_softmax

        from raybench.models.audio import of_examples

        if not isinstance(batch.targets, Spelled):
            return cross_entropy(outputs, batch.targets, reduction="sum", label_smoothing=options.label_smoothing)
        values, positions = of_examples(outputs, batch.inputs["counts"])
        log_PBC = log_softmax(values, dim=-1).transpose(0, 1)
        letters, lengths, blank = batch.targets
        return ctc_loss(log_PBC, letters, positions, lengths, blank=blank, reduction="sum", zero_infinity=True)

    def predict(self, network: Any, batch: Batch) -> Transcripts:
        if hasattr(network, "write"):
            tokenizer: Any = open_tokenizer(network.spec)
            ids, at_limit = network.write(batch.inputs)
            texts = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
        else:
            alphabet = alphabet_of(network.spec)
            values, positions = network(batch.inputs)
            best = zip(values.argmax(dim=-1).tolist(), positions.tolist(), strict=True)
            texts = [alphabet.decode(row[:end]) for row, end in best]
            at_limit = [False] * len(texts)
        return Transcripts.joined(texts, at_limit, batch.inputs["counts"].tolist())

    def records(self, predictions: Transcripts, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        columns = {
            "id": rows.column("id").combine_chunks(),
            "hypothesis": pa.array(predictions.texts, pa.string()),
            "references": pa.array([[text] for text in rows.column("text").to_pylist()], pa.list_(pa.string())),
            "at_limit": pa.array(predictions.at_limit, pa.bool_()),
            "normalizer": pa.array([self.settings.normalizer] * rows.num_rows, pa.string()),
        }
        return pa.table(columns, schema=self.record_schema(dataset.labels))
