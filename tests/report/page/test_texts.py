"""The other forms: nothing of the data is markup in them either, and they say the same."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from raybench.cli import app
from raybench.report.page.texts import as_csv, as_json, as_latex, as_markdown
from tests.report.hostile import SCRIPT, SECRETS


@pytest.mark.parametrize("form", [as_markdown, as_csv, as_latex, as_json])
def test_secrets_are_in_no_form(hostile, form):
    assert not [secret for secret in SECRETS if secret in form(hostile.report)]


def test_markdown_escapes_what_it_would_read(hostile):
    text = as_markdown(hostile.report)
    assert SCRIPT not in text
    assert r"\<script\>" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace(r"\|", "").count("|") in (8, 9)


def test_latex_escapes_what_it_would_read(hostile):
    text = as_latex(hostile.report)
    assert r"\$x\_1\$ \& co" in text
    for line in text.splitlines():
        if line.endswith(r" \\"):
            assert line.count("&") - line.count(r"\&") in (7, 8)


def test_csv_has_a_row_a_configuration_and_no_formulas(hostile):
    rows = list(csv.DictReader(io.StringIO(as_csv(hostile.report))))
    ranking = hostile.run.directory.read_table("ranking").to_pylist()
    assert len(rows) == len(ranking)
    shown = {(row["dataset"], row["name"]): row["accuracy"] for row in rows}
    for row in ranking:
        name = row["candidate"]
        value = shown[row["dataset"], name]
        assert float(value) == row["accuracy"] if value else row["accuracy"] is None
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "@"))]


def test_json_holds_what_the_page_says(plain):
    found = json.loads(as_json(plain.report))
    assert found["datasets"][0]["ranking"]["rows"][0]["name"] == "good"
    assert found["datasets"][0]["pairs"]["tests"][0]["adjusted"] == plain.report.datasets[0].pairs.tests[0].adjusted


def raybench(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_page_lies_beside_the_tables_unless_told_otherwise(plain, tmp_path):
    done = raybench(plain.folder / "store")
    assert done.exit_code == 0, done.output
    page = plain.folder / "store" / "runs" / plain.run.run_id / "report.html"
    assert done.output == f"written to {page}\n"
    assert page.read_text().startswith("<!doctype html>")
    other = tmp_path / "deep" / "other.html"
    assert raybench(plain.folder / "job.yaml", "--output", other).exit_code == 0
    assert other.read_text() == page.read_text()


def test_pictures_are_files_under_names_of_our_own(plain, tmp_path):
    written = ("--output", tmp_path / "r.md", "--figures", tmp_path / "f")
    done = raybench(plain.folder / "store", "--format", "md", "--no-examples", *written)
    assert done.exit_code == 0, done.output
    files = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert {"d1-ranking.png", "d1-ranking.svg", "d1-costs.svg"} <= set(files)
    assert all(name.replace("-", "").replace(".", "").isalnum() for name in files)
    assert (tmp_path / "f" / "d1-ranking.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "'nowhere' is no store, no date and no run"),
        (["nowhere.yaml"], "nowhere.yaml: no such job file"),
        (
            ["{store}", "--format", "csv", "--no-examples", "--output", "/dev/null/x.csv"],
            "report: /dev/null/x.csv cannot be written",
        ),
        (["{store}/runs/made-nothing"], "no finished run 'made-nothing'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(plain, arguments, told):
    store = plain.folder / "store"
    done = raybench(*(argument.format(store=store) for argument in arguments), "--store", store)
    assert done.exit_code == 2
    assert told in done.output
    assert done.output.count("\n") == 1


def test_a_job_that_was_never_run_is_said(plain, tmp_path):
    job = (plain.folder / "job.yaml").read_text().replace("name: made", "name: another")
    (tmp_path / "another.yaml").write_text(job)
    done = raybench(tmp_path / "another.yaml")
    assert done.exit_code == 2
    assert "holds no finished run of" in done.output
