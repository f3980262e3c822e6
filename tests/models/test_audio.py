"""Windows of sound give what each gives alone, whichever are forwarded together and however far they are padded."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCTC

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.models.audio import Heard, hear, of_examples
from raybench.models.audio_backbone import open_ears
from raybench.models.audio_processor import USUAL, AudioProcessor, open_audio_processor
from raybench.models.quiet import quiet
from tests.tasks.tiny_audio import RATE, WAV2VEC2, save_ctc, save_whisper, tone

HUBERT = {name: value for name, value in WAV2VEC2.items() if name != "num_codevectors_per_group"}
FAMILIES: dict[str, dict[str, Any]] = {
    "wav2vec2": {**WAV2VEC2, "feat_extract_norm": "layer"},
    "hubert": {**HUBERT, "feat_extract_norm": "layer"},
    "wavlm": {**HUBERT, "feat_extract_norm": "layer", "num_buckets": 8},
    "wav2vec2 group norm": {**WAV2VEC2, "feat_extract_norm": "group"},
    "wav2vec2-bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
                      "conv_depthwise_kernel_size": 5},
    "audio-spectrogram-transformer": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                                      "intermediate_size": 32, "max_length": 128, "num_mel_bins": 64},
}  # fmt: skip


def windows(processor: AudioProcessor, seconds: list[float]) -> dict[str, torch.Tensor]:
    """Inputs of windows, padded by more than there is need for."""
    made = [processor.features(tone(place, one)) for place, one in enumerate(seconds)]
    sizes = torch.tensor([len(one) for one in made])
    if processor.fixed:
        return {"features": torch.from_numpy(np.stack(made)), "sizes": sizes, "counts": torch.ones(len(made))}
    padded = np.full((len(made), int(sizes.max()) + 3000, *made[0].shape[1:]), 0.0, dtype=np.float32)
    for row, one in enumerate(made):
        padded[row, : len(one)] = one
    return {"features": torch.from_numpy(padded), "sizes": sizes, "counts": torch.ones(len(made))}


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # within transformers' WavLM
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_windows_forwarded_together_give_what_each_gives_alone(family: str) -> None:
    spec = ModelSpec(reference=f"arch:{family.split()[0]}", config=FAMILIES[family])
    processor = open_audio_processor(spec)
    module = open_ears(spec, seed=0)
    inputs = windows(processor, [0.3, 0.9, 0.31, 0.9])

    def call(**given: torch.Tensor) -> torch.Tensor:
        return module(**given).last_hidden_state

    alone = hear(call, module, inputs, processor)
    for part in module.modules():  # a module in training is forwarded with others; nothing in it draws
        part.training = False
    module.training = True
    together = hear(call, module, inputs, processor)
    assert together.positions.tolist() == alone.positions.tolist()
    for row, count in enumerate(alone.positions.tolist()):
        torch.testing.assert_close(together.values[row, :count], alone.values[row, :count], rtol=1e-4, atol=1e-5)
    assert len(set(alone.positions.tolist())) == (1 if processor.fixed else 3)


@torch.no_grad()
def test_the_mask_ends_where_the_network_says(tmp_path: Path) -> None:
    path = save_ctc(tmp_path / "ctc")
    network, processor = (
        AutoModelForCTC.from_pretrained(path).eval(),
        open_audio_processor(ModelSpec(reference=str(path))),
    )
    inputs = windows(processor, [0.5, 1.1])
    heard = hear(lambda **given: network(**given).logits, network, inputs, processor)
    for row, size in enumerate(inputs["sizes"].tolist()):
        alone = network(inputs["features"][row : row + 1, :size]).logits[0]
        assert heard.positions[row] == len(alone)
        assert torch.equal(heard.values[row, : len(alone)], alone)


def test_windows_of_an_example_are_joined_in_their_order() -> None:
    values = torch.arange(24.0).reshape(3, 4, 2)
    joined = of_examples(Heard(values, torch.tensor([4, 2, 3])), torch.tensor([2, 1]))
    assert joined.positions.tolist() == [6, 3]
    assert torch.equal(joined.values[0], torch.cat([values[0], values[1, :2]]))
    assert torch.equal(joined.values[1, :3], values[2, :3])


def test_what_a_model_reads_is_its_own_extractors_and_told_by_trying(tmp_path: Path) -> None:
    from transformers import AutoFeatureExtractor

    whisper, ctc = save_whisper(tmp_path / "whisper"), save_ctc(tmp_path / "ctc")
    for path, fixed in ((whisper, True), (ctc, False)):
        processor, own = (
            open_audio_processor(ModelSpec(reference=str(path))),
            AutoFeatureExtractor.from_pretrained(path),
        )
        sound = tone(3, 0.8)
        wanted = own(sound, sampling_rate=RATE, return_tensors="np")[processor.input_name][0]
        np.testing.assert_array_equal(processor.features(sound), wanted)
        assert processor.fixed is fixed
        assert processor.window == (RATE if fixed else None)


@pytest.mark.parametrize("kind", USUAL)
def test_extractors_that_are_set_as_usual_read_sounds_as_their_kind(kind: str) -> None:
    import transformers

    usual = USUAL[kind]
    for chosen in itertools.product(*usual.values.values()):
        with quiet():
            extractor = getattr(transformers, kind)(**dict(zip(usual.values, chosen, strict=True)))
        processor = AudioProcessor(extractor, kind)
        one, two = (processor.features(tone(1, seconds)) for seconds in (1.0, 2.0))
        assert (one.shape == two.shape) is usual.fixed is processor.fixed
        assert one.dtype == np.float32


@pytest.mark.parametrize("setting", [{"hop_length": 0.5}, {"hop_length": 160.0}, {"padding_side": "up"}, {"pad": None}])
def test_extractors_of_unusual_settings_are_tried_as_they_are_opened(tmp_path: Path, setting: dict[str, Any]) -> None:
    from transformers import WhisperFeatureExtractor

    WhisperFeatureExtractor(feature_size=128).save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    with pytest.raises(ModelError, match=f"{tmp_path}: its feature extractor does not read sounds"):
        open_audio_processor(ModelSpec(reference=str(tmp_path)))
