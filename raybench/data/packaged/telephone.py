"""Prompts of a telephone exchange, spoken in a studio: what is said, and in which language.

From Debian's asterisk-core-sounds 1.6.1: the sounds of asterisk-core-sounds-{en,es,fr}-wav (8 kHz, one speaker a
language) and the transcripts of asterisk-core-sounds-{en,es,fr} (CC-BY-SA-3.0; Digium, Allison Smith, June Wallack).
A prompt bears one name in all languages and is on one side in all of them. Tones, silence and noises are left out, and
of the transcripts what is not spoken.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from raybench.data.packaged.unpacked import debian_file

__all__ = ["Prompt", "prompts", "telephone_languages", "telephone_prompts"]

_VOICES = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June"}
_NO_SPEECH = re.compile(r"^\s*[\[(<].*[\])>]\s*$")  # "[ascending tones]", "(10 seconds of silence)", "<beep ascending>"
_UNSPOKEN = re.compile(r"\s*\[[^\]]*\]|\s*\.\.\.\s*")  # "plus [+]"; "…" where a prompt goes on with another


class Prompt(NamedTuple):
    """A prompt; its name is the same in every language."""

    name: str
    text: str
    sound: Path


def prompts(language: str, root: str = "/") -> Iterator[Prompt]:
    """Those of en, es or fr that hold speech, by name."""
    package = f"asterisk-core-sounds-{language}"
    listed = debian_file(root, f"usr/share/doc/{package}/core-sounds-{language}.txt.gz", package)
    folder = f"usr/share/asterisk/sounds/{_VOICES[language]}"
    known = debian_file(root, f"{folder}/digits/1.wav", f"{package}-wav").parents[1]
    said: dict[str, str] = {}
    for line in gzip.decompress(listed.read_bytes()).decode("utf-8").splitlines():
        name, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            said.setdefault(name.strip(), text.strip())
    for name, text in sorted(said.items()):
        sound = known / f"{name}.wav"
        if text and not _NO_SPEECH.match(text) and not name.startswith("silence/") and sound.is_file():
            yield Prompt(name, _UNSPOKEN.sub(" ", text).strip(), sound)


def telephone_prompts(root: str = "/") -> dict[str, pa.Table]:
    """English prompts: columns audio, text, name and part (whole prompts, or letters, digits … spoken one by one)."""
    rows: dict[str, list[Prompt]] = {"train": [], "test": []}
    for prompt in prompts("en", root):
        rows["test" if _in_test(prompt.name) else "train"].append(prompt)
    return {
        split: pa.table(
            {
                "audio": _sounds(found),
                "text": [prompt.text for prompt in found],
                "name": [prompt.name for prompt in found],
                "part": [prompt.name.rpartition("/")[0] or "prompts" for prompt in found],
            }
        )
        for split, found in rows.items()
    }


def telephone_languages(root: str = "/") -> dict[str, pa.Table]:
    """Prompts in English, Spanish and French: columns audio, label (en, es, fr) and name.

    Each language has one speaker, English and Spanish the same one, so a model may know the language by the voice of
    French alone.
    """
    rows: dict[str, list[tuple[str, Prompt]]] = {"train": [], "test": []}
    for language in _VOICES:
        for prompt in prompts(language, root):
            rows["test" if _in_test(prompt.name) else "train"].append((language, prompt))
    return {
        split: pa.table(
            {
                "audio": _sounds([prompt for _, prompt in found]),
                "label": [language for language, _ in found],
                "name": [prompt.name for _, prompt in found],
            }
        )
        for split, found in rows.items()
    }


def _sounds(found: list[Prompt]) -> pa.Array:
    content = pa.array([prompt.sound.read_bytes() for prompt in found], pa.large_binary())
    paths = pa.array([str(prompt.sound) for prompt in found], pa.string())
    return pa.StructArray.from_arrays([content, paths], ["bytes", "path"])


def _in_test(name: str) -> bool:
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] < 102  # two in five
