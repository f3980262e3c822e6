"""What test rows may be perturbed by: names, what each is for, and how strong it is unless the job says otherwise.

    read_perturb(["typos", "case"])         # {"typos": 0.1, "case": 0.5}
    read_perturb({"typos": 0.3})            # {"typos": 0.3}

What is done to a row is `raybench.data.perturbing`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from raybench.core.suggestion import did_you_mean

__all__ = ["PERTURBATIONS", "Perturbation", "read_perturb"]


class Perturbation(NamedTuple):
    """`kinds` are those of the columns it is for; `strength`, above 0 and at most 1, as `meaning` says."""

    kinds: tuple[str, ...]
    strength: float
    meaning: str


PERTURBATIONS: Mapping[str, Perturbation] = {
    "typos": Perturbation(("text",), 0.1, "the share of words with a letter swapped, left out, doubled or mistyped"),
    "case": Perturbation(("text",), 0.5, "the share of words in capitals, or without them where they have some"),
    "drop_words": Perturbation(("text",), 0.1, "the share of words left out"),
    "swap_words": Perturbation(("text",), 0.1, "the share of words that change places with the next"),
    "punctuation": Perturbation(("text",), 1.0, "the share of marks left out"),
    "noise": Perturbation(
        ("image", "audio"), 0.1, "the deviation of Gaussian noise, of the range of a pixel, of a sound's own deviation"
    ),
    "blur": Perturbation(("image",), 0.03, "the deviation of a Gaussian blur, of the shorter side"),
    "brightness": Perturbation(("image",), 0.2, "how much lighter or darker, of the range of a pixel"),
    "jpeg": Perturbation(("image",), 0.8, "how much quality JPEG gives up: 0.8 is its quality 20"),
    "clipping": Perturbation(("audio",), 0.5, "how much of a sound's peak is cut off, above and below"),
    "muffle": Perturbation(("audio",), 0.5, "the upper share of what can be heard, up to 16 kHz, that is taken out"),
}


def read_perturb(value: Any) -> dict[str, float]:
    """By name its strength, in the order in which they are done; ValueError for what is none."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        if len(set(value)) < len(value):
            raise ValueError("a perturbation stands in it twice")
        value = dict.fromkeys(value)
    if not isinstance(value, dict) or not value:
        raise ValueError("want perturbations, such as [typos, case], or with strengths {typos: 0.2}")
    read = {}
    for name, strength in value.items():
        if name not in PERTURBATIONS:
            raise ValueError(f"unknown perturbation {name!r}{did_you_mean(str(name), PERTURBATIONS)}")
        known = PERTURBATIONS[name]
        strength = known.strength if strength is None else strength
        if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 < strength <= 1:
            raise ValueError(f"{name}: {strength!r}: want a number above 0 and at most 1, {known.meaning}")
        read[name] = float(strength)
    return read
