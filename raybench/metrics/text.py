"""How texts are made comparable before they are compared; the transform is named in the configuration and recorded.

transform("The Cat!", "squad")      # "cat"
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import strings_of, text_lists_of

__all__ = ["TRANSFORMS", "pairs_of", "transform"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
TRANSFORMS = ("none", "lower", "words", "squad", "basic", "english")


def transform(text: str, name: str) -> str:
    """`none`: as it is; `lower`: lower case; `words`: lower case without punctuation, single spaces; `squad`: `words`
    without English articles, as SQuAD's evaluation does (it drops ASCII punctuation and joins its neighbours); `basic`
    and `english`: Whisper's normalisers of any language and of English (Radford et al. 2022, appendix C)."""
    if name == "none":
        return text
    if name in ("basic", "english"):
        return _whisper(name)(text).strip()
    text = text.lower()
    if name == "lower":
        return text
    if name == "words":
        return " ".join("".join(char for char in text if not unicodedata.category(char).startswith("P")).split())
    if name == "squad":
        kept = "".join(
            char for char in text if not (char.isascii() and char.isprintable() and not (char.isalnum() or char == " "))
        )
        return " ".join(_ARTICLES.sub(" ", kept).split())
    raise MetricError(f"'transform' is {name!r}; expected one of {', '.join(TRANSFORMS)}")


@cache
def _whisper(name: str) -> Callable[[str], str]:
    try:
        from whisper_normalizer.basic import BasicTextNormalizer
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise MetricError(
            f"'transform' {name!r} needs whisper-normalizer: pip install 'raybench[audio]' ({error})"
        ) from error
    made: Any = EnglishTextNormalizer() if name == "english" else BasicTextNormalizer()
    return made


def pairs_of(records: pa.Table) -> list[tuple[str, list[str]]]:
    """Hypothesis and references of each record; a missing (None) hypothesis or reference is an error, "" is not.

    References given as one string are one reference.
    """
    return list(zip(strings_of(records, "hypothesis"), text_lists_of(records, "references"), strict=True))
