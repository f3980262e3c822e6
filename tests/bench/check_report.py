"""A report in a real browser: at three widths, light and dark, with hostile names and texts in it.

    export RAYBENCH_BROWSER=/usr/bin/chromium RAYBENCH_AXE=axe.min.js
    python -m tests.bench.check_report [PAGE] [--pictures DIR]

Checks that the console is silent, nothing is fetched, no script of the data's runs, nothing sticks out sideways, long
tables page, filter and sort by keyboard, and, where RAYBENCH_AXE names the script of the npm package axe-core, that it
finds nothing serious or critical. Without PAGE it makes one of a run full of markup. Needs `pip install playwright` and
a Chromium of the system's (Debian: chromium). Exit code 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

WIDTHS = (360, 820, 1440)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", nargs="?", type=Path)
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = given.page or hostile_page(Path(folder))
        problems = check(page, given.pictures)
    print("\n".join(problems) if problems else f"{page}: nothing wrong at {', '.join(map(str, WIDTHS))} pixels")
    return bool(problems)


def hostile_page(folder: Path) -> Path:
    """The report of a run whose names, labels and texts are markup, right to left, or very long."""
    from tests.report.hostile import make_hostile_run

    make_hostile_run(folder)
    from raybench.report.page.html import html_of
    from raybench.report.page.make import make_report
    from raybench.results.references import open_run
    from raybench.store.skipped import warn_skipped

    page = folder / "report.html"
    page.write_text(html_of(make_report(open_run(str(folder / "store"), "", warn_skipped), warn_skipped)), "utf-8")
    return page


def check(page: Path, pictures: Path | None) -> list[str]:
    """Everything that is wrong, a line each."""
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["RAYBENCH_BROWSER"], args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                found = opened(browser, page, width, scheme, pictures)
                if axe := os.environ.get("RAYBENCH_AXE"):
                    found += accessible(browser, page, width, scheme, axe)
                problems += [f"{width} {scheme}: {problem}" for problem in found]
        browser.close()
    return problems


def opened(browser: Any, page: Path, width: int, scheme: str, pictures: Path | None) -> list[str]:
    """What is wrong with the page as anyone opens it; in the first of all, also when it is used."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    found: list[str] = []
    fetched: list[str] = []
    tab.on("console", lambda message: found.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: found.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: (found.append("dialog"), dialog.dismiss()))
    tab.on("request", lambda request: fetched.append(request.url))
    tab.goto(page.absolute().as_uri())
    found += [f"fetched {url}" for url in fetched[1:] if not url.startswith("data:")] + look(tab)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=pictures / f"{width}-{scheme}.png", full_page=True)
    if scheme == "light" and width == WIDTHS[0]:
        found += use(tab)
    context.close()
    return found


def look(tab: Any) -> list[str]:
    """What can be seen to be wrong without touching anything."""
    found = []
    if tab.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append("sticks out sideways")
    if tab.evaluate("window.ran === true"):
        found.append("a script of the data's has run")
    if tab.evaluate("document.querySelectorAll('script').length") != 1:
        found.append("has a script that is not its own")
    return found


def use(tab: Any) -> list[str]:
    """A long table by keyboard alone."""
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    rows = "document.querySelectorAll('.tools')[0].nextElementSibling.querySelectorAll('tbody tr:not([hidden])').length"
    if not tab.evaluate("document.querySelectorAll('.tools').length"):
        return ["has no long table to try"]
    found = []
    if tab.evaluate(rows) != 25:
        found.append(f"a page of a long table has {tab.evaluate(rows)} rows")
    tab.focus(".tools input")
    tab.keyboard.type("no such thing at all")
    if tab.evaluate(rows) != 0:
        found.append("the filter does not filter")
    tab.keyboard.press("Control+A")
    tab.keyboard.press("Delete")
    tab.keyboard.press("Tab")  # past Previous, which is disabled on the first page
    tab.keyboard.press("Enter")
    told = tab.evaluate("document.querySelector('.tools [role=status]').textContent")
    if "page 2" not in told:
        found.append(f"Next shows {told!r}")
    tab.focus("table.long th button")
    tab.keyboard.press("Enter")
    if tab.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") != "ascending":
        found.append("a column does not sort")
    return found


def accessible(browser: Any, page: Path, width: int, scheme: str, axe: str) -> list[str]:
    """What axe-core finds that is serious or critical, with every part of the page unfolded.

    In a context of its own that lets its script in, which the page's policy would not.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    tab.goto(page.absolute().as_uri())
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    tab.add_script_tag(path=axe)
    found = tab.evaluate("axe.run()")["violations"]
    context.close()
    return [
        f"axe: {one['impact']}: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


if __name__ == "__main__":
    sys.exit(main())
