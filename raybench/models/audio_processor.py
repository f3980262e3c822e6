"""A checkpoint's own feature extractor: samples of a window as what the model reads, and nothing of ours.

    processor = open_audio_processor(model)
    processor.rate                              # samples a second that it wants
    processor.features(samples)                 # float32, time first: [T] of raw samples, [frames, bins] of spectra

What a model reads is told by trying: an extractor that makes the same of one second as of two fills up to a fixed size
(Whisper's 30 s, AST's 10 s), and its windows are that long; of others the steps grow with the samples. An architecture
without a checkpoint has the extractor of its kind.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, ModelError, summary
from raybench.models.configuration import open_config
from raybench.models.files import model_directory
from raybench.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["AudioProcessor", "open_audio_processor", "reads_sound"]

SETTINGS = ("preprocessor_config.json", "processor_config.json")
_SHORTEST = 0.1  # seconds: what convolutions reduce to nothing is filled up with silence
_CORRECTED = {"wav2vec2-bert": "SeamlessM4TFeatureExtractor"}  # transformers 5.24 says the one of raw samples
_FRAMES_A_SECOND = 100  # of extractors that say how many frames they fill up to, and no samples


class AudioProcessor:
    """transformers' feature extractor, one window at a time."""

    def __init__(self, extractor: Any, place: str) -> None:
        self._extractor, self._place = extractor, place
        self.rate = int(extractor.sampling_rate)
        self.input_name = str(extractor.model_input_names[0])
        self.masked = bool(extractor.return_attention_mask)
        noise = np.random.default_rng(0).normal(0, 0.1, 2 * self.rate).astype(np.float32)
        with quiet():
            one, two = self._features(noise[: self.rate]), self._features(noise)
        self.fixed = one.shape == two.shape
        self._time_axis = 0 if self.fixed else int(np.argmax(np.array(one.shape) != np.array(two.shape)))
        self.steps_a_second = one.shape[0] if self.fixed else two.shape[self._time_axis] - one.shape[self._time_axis]

    @property
    def window(self) -> int | None:
        """Samples that a window has at most, where the extractor fills up to a fixed size."""
        if not self.fixed:
            return None
        samples = getattr(self._extractor, "n_samples", None)
        return int(samples or self._extractor.max_length * self.rate // _FRAMES_A_SECOND)

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the features, JSON-like."""
        settings: dict[str, Any] = self._extractor.to_dict()
        return {"kind": type(self._extractor).__name__, **{k: v for k, v in settings.items() if k != "mel_filters"}}

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32 of samples [T] at `rate`: time first where it is not fixed, else as the model has it.

        Whoever reads several keeps transformers quiet meanwhile: its level set for every sound took 1.5 ms each.
        """
        shortest = int(_SHORTEST * self.rate)
        found = self._features(np.pad(samples, (0, max(0, shortest - len(samples)))))
        return np.ascontiguousarray(np.moveaxis(found, self._time_axis, 0))

    def _features(self, samples: np.ndarray) -> np.ndarray:
        try:
            found = self._extractor(samples, sampling_rate=self.rate, return_tensors="np")
            return np.asarray(found[self.input_name][0], dtype=np.float32)
        except Exception as error:
            raise ModelError(f"{self._place}: its feature extractor does not read sounds: {summary(error)}") from error


def reads_sound(config: PretrainedConfig) -> bool:
    """Whether it is an architecture that transformers classifies or transcribes sounds with."""
    from transformers.models.auto import modeling_auto as auto

    known = (
        auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_FOR_CTC_MAPPING_NAMES,
        auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
    )
    return any(config.model_type in names for names in known)


def open_audio_processor(model: ModelSpec) -> AudioProcessor:
    """The extractor beside the weights, or the one of the architecture's kind where there is none.

    Raises:
        ModelError: transformers knows no such extractor, or it reads no sounds.
        IncompatibleError: the model reads no sound, and no extractor says otherwise.
    """
    directory = model_directory(model, weights=False)
    files = [] if directory is None else [directory / name for name in SETTINGS if (directory / name).is_file()]
    if directory is not None and files:
        return _open(directory, files[0].stat().st_mtime_ns)
    return _of_kind(model.reference, open_config(model))


@lru_cache(maxsize=8)
def _open(directory: Path, modified: int) -> AudioProcessor:
    from transformers import AutoFeatureExtractor

    try:
        with quiet():
            extractor = AutoFeatureExtractor.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(f"{directory}: no feature extractor of transformers: {summary(error)}") from error
    return AudioProcessor(extractor, str(directory))


def _of_kind(reference: str, config: PretrainedConfig) -> AudioProcessor:
    """The extractor that an architecture is usually trained with."""
    import transformers
    from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES

    name = _CORRECTED.get(config.model_type, FEATURE_EXTRACTOR_MAPPING_NAMES.get(config.model_type))
    if name is None:
        raise IncompatibleError(
            f"model {reference!r}: neither a {SETTINGS[0]} nor its kind ({config.model_type}) says how it reads sounds"
        )
    asked: dict[str, Any] = {}
    if name == "WhisperFeatureExtractor":
        asked = {"feature_size": config.num_mel_bins, "chunk_length": config.max_source_positions // 50}
    elif name == "ASTFeatureExtractor":
        asked = {"num_mel_bins": config.num_mel_bins, "max_length": config.max_length}
    elif name == "Wav2Vec2FeatureExtractor":
        asked = {"return_attention_mask": getattr(config, "feat_extract_norm", "layer") == "layer"}
    return AudioProcessor(getattr(transformers, name)(**asked), f"model {reference!r}")
