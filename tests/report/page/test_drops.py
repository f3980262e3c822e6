"""A report says what perturbing changed, in every form; names stay text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raybench.report.page.html import html_of
from raybench.report.page.model import Drop
from raybench.report.page.texts import as_json, as_latex, as_markdown

DROP = Drop(name="<b>good", metric="accuracy", before=0.9, after=0.7, change=-0.2, low=-0.25, high=-0.15, p_value=1e-5)


@pytest.fixture
def report(plain):
    part = replace(plain.report.datasets[0], name="topics-typos", original="topics", drops=(DROP,))
    return replace(plain.report, datasets=(part,))


def test_the_page_has_a_table_of_what_changed(report):
    page = html_of(report)
    assert "Against <bdi>topics</bdi>, on the same examples" in page
    assert "<bdi>&lt;b&gt;good</bdi>" in page
    assert "<td>0.900</td><td>0.700</td><td>-0.200</td><td>-0.250 – -0.150</td><td>&lt; 0.001</td>" in page


def test_without_perturbed_rows_nothing_is_said(plain):
    assert "on the same examples</h3>" not in plain.page


def test_texts_have_it_too(report):
    line = next(line for line in as_markdown(report).splitlines() if "good" in line and "-0.200" in line)
    assert line.startswith(r"| \<b\>good | accuracy | 0.900 | 0.700 |")
    assert r"\caption{topics-typos against topics, on the same examples}" in as_latex(report)
    assert '"change": -0.2' in as_json(report)
