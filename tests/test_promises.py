"""The table of promises names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_promise_names_tests_that_are_there():
    table = (TESTS.parent / "raybench" / "README.md").read_text().split("| promise | test |")[1].split("\n\n")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and not row.startswith("| ---")]
    named = [re.findall(r"`([\w/]+\.py)::(test_\w+)`", row) for row in rows]
    assert len(rows) > 30
    assert all(named)
    missing = [
        f"{path}::{name}"
        for tests in named
        for path, name in tests
        if f"def {name}(" not in ((TESTS / path).read_text() if (TESTS / path).exists() else "")
    ]
    assert missing == []
