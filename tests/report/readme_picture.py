"""The picture in the README: the beginning of the quickstart's report, in a real browser.

    raybench run jobs/quickstart.yaml && raybench report jobs/quickstart.yaml
    export RAYBENCH_BROWSER=/usr/bin/chromium
    python -m tests.report.readme_picture raybench-store/runs/quickstart-*/report.html

Writes `quickstart.png` beside itself, in 128 colours. Needs `pip install playwright` and a Chromium of the system's
(Debian: chromium). Exit code 1, and no picture, where there is no page or the file would be too large.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

PICTURE = Path(__file__).with_name("quickstart.png")
LARGEST = 150_000  # bytes: everyone who opens the repository's page loads it
_WIDTH, _COLOURS = 1100, 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page
    browser = os.environ.get("RAYBENCH_BROWSER", "")
    if not page.is_file() or not os.access(browser, os.X_OK):
        print(f"want a report's page and in RAYBENCH_BROWSER a Chromium; got {str(page)!r} and {browser!r}")
        return 1
    content = few_colours(taken(page, browser))
    if len(content) > LARGEST:
        print(f"the picture would have {len(content):,} bytes, and {LARGEST:,} at most are wanted")
        return 1
    PICTURE.write_bytes(content)
    print(f"written to {PICTURE}, {len(content):,} bytes")
    return 0


def taken(page: Path, browser: str) -> bytes:
    """A PNG of the page down to where its answer and the ranking over all datasets end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = chromium.new_page(viewport={"width": _WIDTH, "height": 900}, color_scheme="light")
        tab.goto(page.absolute().as_uri())
        box = tab.locator("#all").bounding_box(timeout=5_000)
        assert box is not None
        clip = {"x": 0, "y": 0, "width": _WIDTH, "height": round(box["y"] + box["height"])}
        content = tab.screenshot(full_page=True, clip=clip)
        chromium.close()
    return content


def few_colours(content: bytes) -> bytes:
    """The same picture with a palette, a third as large."""
    from PIL import Image

    written = io.BytesIO()
    with Image.open(io.BytesIO(content)) as picture:
        picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    sys.exit(main())
