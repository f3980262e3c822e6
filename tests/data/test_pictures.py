"""Files of pictures travel as they are, are decoded alike whatever made them, and are told by path where torn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.core.pictures import ENCODED, decode_picture, picture_arrays, picture_sizes

PICTURES = (Column("image", "image"), Column("label", "label", role="target"))


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def colours(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8))


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of(image, "jpeg", exif=exif.tobytes())


def rows_of(files: list[bytes]) -> pa.Table:
    cells = [{"path": f"{place}.jpg", "bytes": data} for place, data in enumerate(files)]
    return pa.table({"id": [f"r{place}" for place in range(len(files))], "image": pa.array(cells, ENCODED)})


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_as_their_exif_says(orientation: int) -> None:
    data = turned(colours(), orientation)
    rows = rows_of([data])
    (array,) = picture_arrays(rows)
    assert array.shape[:2] == ((60, 40) if orientation >= 5 else (40, 60))
    assert picture_sizes(rows).tolist() == [list(array.shape[:2])]
    with Image.open(io.BytesIO(data)) as picture:
        raw = np.asarray(picture.convert("RGB"))
    if orientation == 3:
        assert np.array_equal(array, raw[::-1, ::-1])
    if orientation == 6:
        assert np.array_equal(array, np.rot90(raw, -1))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "RGB"])
def test_every_kind_of_picture_is_grey_or_colour(mode: str) -> None:
    image = colours().convert(mode)
    array = decode_picture(file_of(image, "tiff"), "x.tiff")
    grey = mode in ("1", "L")
    assert array.shape == (40, 60, 1 if grey else 3)
    assert np.array_equal(array.squeeze(), np.asarray(image.convert("L" if grey else "RGB")))


def test_pictures_are_decoded_in_order_however_many_there_are() -> None:
    files = [file_of(Image.fromarray(np.full((3, 4, 3), place, np.uint8)), "png") for place in range(150)]
    assert [int(array[0, 0, 0]) for array in picture_arrays(rows_of(files))] == list(range(150))


def spoilt(data: bytes) -> bytes:
    """A PNG whole to the eye, with a byte of its pixels changed."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pictures of two kinds, all whole."""
    for place in range(40):
        file = tmp_path / "all" / ("cat" if place % 2 else "dog") / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(file_of(colours(place), "png"))
    return tmp_path / "all"


def test_files_travel_as_they_are(load: Any, folder: Path) -> None:
    found = load("imagefolder", data_files=str(folder), columns=PICTURES)
    cells = [cell for table in found.splits.values() for cell in table["image"].to_pylist()]
    assert {cell["path"]: cell["bytes"] for cell in cells} == {
        str(file): file.read_bytes() for file in folder.rglob("*.png")
    }


def test_a_torn_picture_is_told_by_its_path_before_anything_starts(load: Any, folder: Path) -> None:
    torn = folder / "cat" / "3.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"cat/3\.png: not a picture that can be decoded"):
        load("imagefolder", data_files=str(folder), columns=PICTURES)


def test_one_that_is_spoilt_inside_is_told_by_path_and_id_when_it_is_read(load: Any, folder: Path) -> None:
    file = folder / "cat" / "3.png"
    file.write_bytes(spoilt(file.read_bytes()))
    found = load("imagefolder", data_files=str(folder), columns=PICTURES)
    rows = pa.concat_tables(found.splits.values())
    with pytest.raises(DataError, match=r"cat/3\.png \(id \w{32}\): not a picture that can be decoded"):
        list(picture_arrays(rows))


@pytest.mark.parametrize("torn", [True, False])
def test_broken_pictures_are_left_out_and_counted_where_the_job_says_so(load: Any, folder: Path, torn: bool) -> None:
    whole = load("imagefolder", data_files=str(folder), columns=PICTURES)
    broken = [Path(cell["path"]) for cell in whole.splits["train"]["image"].to_pylist()[:2]]
    for file in broken:
        data = file.read_bytes()
        file.write_bytes(data[:2000] if torn else spoilt(data))
    with pytest.raises(DataError, match=r"\d of \d+ rows cannot be decoded, more than skip_broken \(1\.00%\) allows"):
        load("imagefolder", data_files=str(folder), columns=PICTURES, skip_broken="1%")
    found = load("imagefolder", data_files=str(folder), columns=PICTURES, skip_broken="20%")
    kept = [cell["path"] for table in found.splits.values() for cell in table["image"].to_pylist()]
    assert len(kept) == 38
    assert not {str(file) for file in broken} & set(kept)
    notes = [note for note in found.notes if "left out" in note]
    assert sum(int(note.split()[2]) for note in notes) == 2
    assert all(any(str(file) in note for file in broken) for note in notes)
    assert found.fingerprint != whole.fingerprint


def test_where_nothing_is_broken_skip_broken_changes_nothing(load: Any, folder: Path) -> None:
    plain = load("imagefolder", data_files=str(folder), columns=PICTURES)
    asked = load("imagefolder", data_files=str(folder), columns=PICTURES, skip_broken="5%")
    assert asked.fingerprint == plain.fingerprint
    assert all(asked.splits[name].equals(table) for name, table in plain.splits.items())
