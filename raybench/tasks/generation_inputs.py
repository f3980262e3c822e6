"""Sources and references as token ids: prompts from a template, cut where the source is too long; padded tensors.

Shapes: B rows, P positions of the source or prompt, T of the reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.models.configuration import open_config
from raybench.tasks.generation_ids import has_encoder, special_ids, tokenizer_between
from raybench.tasks.language import beginning
from raybench.tasks.rows import input_keys, key_column, ragged, ragged_column
from raybench.tasks.task import Batch
from raybench.tasks.text_inputs import longest_input, num_positions

if TYPE_CHECKING:
    import torch

__all__ = ["GenerationExamples", "tokenize_generation"]

_PLACE = "{source}"
_STEP = 32  # writing costs far more than reading, and full batches write more: buckets of sources are this wide


def tokenize_generation(rows: pa.Table, model: ModelSpec, max_length: int, settings: Any) -> pa.Table:
    """`source` replaced by `input_ids`; `target_ids` of the first reference, its `num_words` and `num_bytes`, `length`
    of the source and `key`."""
    tokenizer = tokenizer_between(model, settings.source_language, settings.target_language)
    encoder = has_encoder(model, open_config(model))
    positions, longest = num_positions(model), longest_input(model, max_length)
    template = settings.template or (_PLACE if encoder else f"{_PLACE}\n")
    template = model.instruction + template
    sources = rows.column("source").to_pylist()
    references = [texts[0] for texts in rows.column("target").to_pylist()]
    if encoder:
        texts = [template.replace(_PLACE, source) for source in sources]
        inputs = _ids(tokenizer, texts, longest)
        targets = _ids(tokenizer, references, longest, target=True)
        room = [longest] * len(targets)
    else:
        most = longest if positions is None else min(longest, positions - settings.max_new_tokens)
        begin = beginning(model, always=False)
        inputs = [
            (begin + _prompt(tokenizer, template, source, most - len(begin))) or beginning(model, always=True)
            for source in sources
        ]
        glue = "" if template[-1:].isspace() else " "
        end = special_ids(model).ends[0]
        targets = [[*ids, end] for ids in _ids(tokenizer, [glue + text for text in references], None, special=False)]
        room = [longest if positions is None else min(longest, positions - len(prompt)) for prompt in inputs]
    kept = [
        (ids, text) if len(ids) <= most else (ids[:most], tokenizer.decode(ids[:most], skip_special_tokens=True))
        for ids, text, most in zip(targets, references, room, strict=True)
    ]
    input_ids, target_ids = ragged_column(inputs), ragged_column([ids for ids, _ in kept])
    keys = key_column(a + b for a, b in zip(_bytes(input_ids), _bytes(target_ids), strict=True))
    texts = [text for _, text in kept]
    return pa.table(
        {
            **{name: rows.column(name) for name in rows.column_names if name != "source"},
            "input_ids": input_ids,
            "target_ids": target_ids,
            "num_words": pa.array([len(text.split()) for text in texts], pa.int64()),
            "num_bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
            "length": pa.array(_up(np.diff(input_ids.offsets.to_numpy()), _STEP).astype(np.int32)),
            "key": keys,
        }
    )


def _bytes(column: pa.Array) -> list[bytes]:
    values, bounds = column.values.to_numpy(), column.offsets.to_numpy().tolist()
    return [len(values[a:b]).to_bytes(4, "little") + values[a:b].tobytes() for a, b in itertools.pairwise(bounds)]


def _ids(
    tokenizer: Any, texts: Sequence[str], longest: int | None, *, target: bool = False, special: bool = True
) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(
        **{"text_target" if target else "text": list(texts)},
        truncation=longest is not None,
        max_length=longest,
        add_special_tokens=special,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    found: list[list[int]] = encoded["input_ids"]
    return found


def _prompt(tokenizer: Any, template: str, source: str, longest: int) -> list[int]:
    """A causal model's prompt; of one that is too long the source loses its end, so that the template stays whole."""
    ids = _ids(tokenizer, [template.replace(_PLACE, source)], None, special=False)[0]
    if len(ids) <= longest:
        return ids
    around = len(_ids(tokenizer, [template.replace(_PLACE, "")], None, special=False)[0])
    own = _ids(tokenizer, [source], None, special=False)[0]
    for kept in range(max(0, longest - around), -1, -1):
        text = tokenizer.decode(own[:kept], skip_special_tokens=True)
        ids = _ids(tokenizer, [template.replace(_PLACE, text)], None, special=False)[0]
        if len(ids) <= longest:
            return ids
    return ids[-longest:]


class GenerationExamples:
    """Tokenised sources with references. An encoder's sources are padded on the right, prompts on the left."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, *, encoder: bool) -> None:
        from raybench.models.generation import IGNORED

        self.sources, self.targets = ragged(prepared, "input_ids"), ragged(prepared, "target_ids")
        self.source_lengths = np.diff(self.sources.offsets).astype(np.int32)
        self.target_lengths = np.diff(self.targets.offsets).astype(np.int32)
        self.lengths = self.source_lengths + self.target_lengths  # what a training step forwards
        self.keys = input_keys(prepared)
        self.encoder, self.pad, self.ignored = encoder, special_ids(model).pad, IGNORED

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        """How many tokens the references have; 1 where there are none, for their loss is 0."""
        return max(1, int(self.target_lengths[indices].sum()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids and attention_mask int64 [B, P], labels int64 [B, T] (also as targets).

        Both widths are the longest row's, in steps of 8: `padded` is made for both together, to plan memory by.
        """
        import torch

        lengths = self.source_lengths[indices]
        width = _width(lengths)
        positions = np.arange(width)
        shift = np.zeros(len(indices), dtype=np.int64) if self.encoder else width - lengths
        own = positions[None, :] - shift[:, None]
        mask = (own >= 0) & (own < lengths[:, None])
        where = self.sources.offsets[indices][:, None] + np.where(mask, own, 0)
        ids = np.where(mask, _at(self.sources.values, where), self.pad)
        ahead = np.arange(_width(self.target_lengths[indices]))
        told = ahead < self.target_lengths[indices][:, None]
        where = self.targets.offsets[indices][:, None] + np.where(told, ahead, 0)
        labels = np.where(told, _at(self.targets.values, where), self.ignored)
        arrays = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        inputs = {
            name: torch.from_numpy(array.astype(np.int64)).to(device, non_blocking=True)
            for name, array in arrays.items()
        }
        return Batch(inputs, inputs["labels"])


def _width(lengths: np.ndarray) -> int:
    return int(_up(lengths.max(initial=1), 8))


def _up(lengths: np.ndarray, step: int) -> np.ndarray:
    """To whole steps."""
    return (lengths + step - 1) // step * step


def _at(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """values[where], 0 where there is nothing at all to read."""
    return values[np.minimum(where, len(values) - 1)] if len(values) else np.zeros(where.shape, dtype=np.int64)
