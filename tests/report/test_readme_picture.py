"""The picture of a report in the README is there, small, and says what it shows to who cannot see it."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from tests.report.readme_picture import LARGEST, PICTURE, few_colours

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_picture_that_the_script_writes() -> None:
    ((words, path),) = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README.read_text("utf-8"))
    assert (README.parent / path).resolve() == PICTURE
    assert len(words.split()) > 10
    assert PICTURE.stat().st_size <= LARGEST
    with Image.open(PICTURE) as picture:
        assert picture.width >= 1000


def test_a_picture_of_few_colours_is_the_same_picture() -> None:
    with Image.open(PICTURE) as picture:
        again = few_colours(PICTURE.read_bytes())
        assert picture.convert("RGB").tobytes() == Image.open(io.BytesIO(again)).convert("RGB").tobytes()
