"""A checkpoint's own feature extractor: samples of a window as what the model reads, and nothing of ours.

    processor = open_audio_processor(model)
    processor.rate                              # samples a second that it wants
    processor.features(samples)                 # float32, time first: [T] of raw samples, [frames, bins] of spectra

What a model reads is told by trying: an extractor that makes the same of one second as of two fills up to a fixed size
(Whisper's 30 s, AST's 10 s), and its windows are that long; of others the steps grow with the samples. An architecture
without a checkpoint has the extractor of its kind. Trying imports torch; so of an extractor that is set as its kind
usually is, what a plan asks is known, and only whoever asks for features has it tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, ModelError, summary
from raybench.models.configuration import open_config
from raybench.models.files import model_directory
from raybench.models.later_torch import import_configurations, import_without_torch
from raybench.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["USUAL", "AudioProcessor", "open_audio_processor", "reads_sound"]

SETTINGS = ("preprocessor_config.json", "processor_config.json")
_SHORTEST = 0.1  # seconds: what convolutions reduce to nothing is filled up with silence
_CORRECTED = {"wav2vec2-bert": "SeamlessM4TFeatureExtractor"}  # transformers 5.24 says the one of raw samples
_FRAMES_A_SECOND = 100  # of extractors that say how many frames they fill up to, and no samples
_IMPORT_TORCH = ("whisper", "audio_spectrogram_transformer", "seamless_m4t")  # and use it on sounds only


class Usual(NamedTuple):
    """How extractors of a kind are usually set, each of which reads sounds: to transformers' defaults, and otherwise to
    one of these values."""

    fixed: bool  # whether they fill up to a fixed size
    values: Mapping[str, tuple[Any, ...]]


USUAL = {
    "ASTFeatureExtractor": Usual(True, {}),
    "SeamlessM4TFeatureExtractor": Usual(False, {}),
    "Wav2Vec2FeatureExtractor": Usual(False, {"do_normalize": (False, True), "return_attention_mask": (False, True)}),
    "WhisperFeatureExtractor": Usual(True, {"feature_size": (80, 128)}),
}


class _Made(NamedTuple):
    """What an extractor makes of a second and of two."""

    fixed: bool
    time_axis: int
    steps_a_second: int


class AudioProcessor:
    """transformers' feature extractor, one window at a time."""

    def __init__(self, extractor: Any, place: str) -> None:
        self._extractor, self._place = extractor, place
        self.rate = int(extractor.sampling_rate)
        self.input_name = str(extractor.model_input_names[0])
        self.masked = bool(extractor.return_attention_mask)
        usual = _usual(extractor)
        self.fixed = self._made.fixed if usual is None else usual.fixed

    @property
    def steps_a_second(self) -> int:
        """Steps that it makes of a second; of any sound, where it fills up."""
        return self._made.steps_a_second

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
        return np.ascontiguousarray(np.moveaxis(found, self._made.time_axis, 0))

    @cached_property
    def _made(self) -> _Made:
        noise = np.random.default_rng(0).normal(0, 0.1, 2 * self.rate).astype(np.float32)
        with quiet():
            one, two = self._features(noise[: self.rate]), self._features(noise)
        if one.shape == two.shape:
            return _Made(True, 0, one.shape[0])
        axis = int(np.argmax(np.array(one.shape) != np.array(two.shape)))
        return _Made(False, axis, two.shape[axis] - one.shape[axis])

    def _features(self, samples: np.ndarray) -> np.ndarray:
        try:
            found = self._extractor(samples, sampling_rate=self.rate, return_tensors="np")
            return np.asarray(found[self.input_name][0], dtype=np.float32)
        except Exception as error:
            raise ModelError(f"{self._place}: its feature extractor does not read sounds: {summary(error)}") from error


def _usual(extractor: Any) -> Usual | None:
    """What is known of its kind; None where it is set in another way."""
    if (usual := USUAL.get(type(extractor).__name__)) is None:
        return None
    with quiet():
        default = type(extractor)().to_dict()
    values = {name: (value, *usual.values.get(name, ())) for name, value in default.items()}
    as_usual = all(
        any(type(value) is type(one) and value == one for one in values.get(name, ()))
        for name, value in extractor.to_dict().items()
    )
    return usual if as_usual else None


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
    _import_extractors()
    from transformers import AutoFeatureExtractor

    try:
        with quiet():
            extractor = AutoFeatureExtractor.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(f"{directory}: no feature extractor of transformers: {summary(error)}") from error
    return AudioProcessor(extractor, str(directory))


def _of_kind(reference: str, config: PretrainedConfig) -> AudioProcessor:
    """The extractor that an architecture is usually trained with."""
    _import_extractors()
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
    with quiet():  # transformers warns of the filters of AST's own defaults
        extractor = getattr(transformers, name)(**asked)
    return AudioProcessor(extractor, f"model {reference!r}")


def _import_extractors() -> None:
    """Import those that import torch for sounds to come."""
    import_configurations()
    for kind in _IMPORT_TORCH:
        import_without_torch(f"transformers.models.{kind}.feature_extraction_{kind}")
