"""What a notebook shows: tables with their pictures, a bar; whatever comes from data is escaped."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import pytest

from raybench.core import Status
from raybench.report.notebook import bar_html, in_notebooks
from raybench.results.ranking import Ranking
from raybench.results.tables import scores_table
from tests.results.test_tables import TRAITS, entry, table

SCRIPT = "<script>alert(1)</script>"


def shown(entries, **more):
    scores = scores_table("r", entries, TRAITS)
    return in_notebooks(Ranking(run_id="r", table=table(entries), scores=scores, location="", **more))._repr_html_()


def pictures(page):
    return [base64.b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)]


def test_names_and_notes_are_escaped():
    page = shown([entry(SCRIPT, 0.9), entry("plain", 0.8)], notes=("a <b> note",))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a &lt;b&gt; note" in page
    assert "0.800" in page


def test_each_dataset_has_a_picture_of_its_ranking_with_every_name():
    page = shown([entry(name, value, dataset) for dataset in ("d1", "d2") for name, value in (("a", 0.9), ("b", 0.8))])
    assert "<h4>on d1</h4>" in page
    assert "<h4>on d2</h4>" in page
    for picture in pictures(page)[-2:]:
        words = "".join(ElementTree.fromstring(picture).itertext())
        assert {"a", "b", "0.900", "0.800"} <= set(words.split())


def test_where_nobody_is_ranked_there_is_no_picture():
    page = shown([entry("a", None, status=Status.FAILED, reason="no file")])
    assert not pictures(page)
    assert "failed" in page


def test_a_ranking_in_a_notebook_is_the_same_ranking():
    made = table([entry("a", 0.9)])
    plain = Ranking(run_id="r", table=made, scores=made, location="here", notes=("n",), tracebacks={"t": "trace"})
    again = in_notebooks(plain)
    assert all(getattr(again, name) is getattr(plain, name) for name in ("table", "scores", "notes", "tracebacks"))
    assert again.complete == plain.complete


@pytest.mark.parametrize(("share", "value"), [(0.0, "0.000"), (0.4, "0.400"), (1.0, "1.000")])
def test_a_bar_says_how_much_is_done_and_its_words_are_escaped(share, value):
    page = bar_html(share, ["2/5 trials", f"{SCRIPT}: epoch 1"])
    assert f'value="{value}"' in page
    assert "2/5 trials" in page
    assert "<script>" not in page
