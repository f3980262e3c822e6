"""How wide standard output is."""

from __future__ import annotations

import pytest
from rich.table import Table

from raybench.report.output import output_console

NAME = "a-candidate-with-a-very-long-name-" * 4


@pytest.mark.parametrize(("columns", "lines"), [(None, 1), ("60", 3)])
def test_in_a_file_a_long_name_stands_on_one_line_unless_columns_are_given(monkeypatch, capsys, columns, lines):
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    table = Table(box=None, show_header=False)
    table.add_column(overflow="fold")
    table.add_row(NAME)
    output_console().print(table)
    assert len(capsys.readouterr().out.splitlines()) == lines
