"""The page holds all it needs, can be read by those who do not see it, and nothing of the data is markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.report.hostile import IMAGE, LONG, RIGHT_TO_LEFT, SCRIPT, SECRETS

VOID = {"meta", "img", "br", "link", "input", "hr", "path", "use"}


class Page(HTMLParser):
    """Tags with their attributes and what stands around them, and all text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.names = [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs, _ in self.tags if name == tag]

    @property
    def text(self):
        return "".join(self.words)


@pytest.fixture(scope="module", params=["hostile", "plain"])
def page(request):
    return Page(request.getfixturevalue(request.param).page)


def test_tags_are_closed_in_order(page):
    assert not page.open


def test_nothing_is_fetched(page):
    for tag, attrs, _ in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attrs.get(name) or ""
            assert not value or value.startswith(("#", "data:image/png;base64,")), (tag, name, value)
        assert "url(" not in (attrs.get("style") or "").replace("url(#", "")
    assert not page.all("link")
    assert not page.all("iframe")


def test_only_its_own_script_may_run(hostile):
    (script,) = re.findall(r"<script>(.*?)</script>", hostile.page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', hostile.page)
    assert f"script-src &#39;sha256-{digest}&#39;" in policy
    assert "default-src &#39;none&#39;" in policy


def test_no_data_is_markup(page):
    assert len(page.all("script")) == 1
    for tag, attrs, _ in page.tags:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        assert not (attrs.get("href") or "").lower().startswith("javascript")
    assert {tag for tag, _, _ in page.tags} <= {
        "html", "head", "meta", "title", "style", "body", "a", "div", "header", "h1", "h2", "h3", "h4", "p", "nav",
        "ul", "li", "main", "section", "span", "bdi", "figure", "figcaption", "svg", "desc", "defs", "path", "use",
        "g", "clippath", "rect", "text", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "small", "br", "b", "i", "code", "dl", "dt", "dd", "pre", "script", "img",
    }  # fmt: skip


def test_what_looks_like_markup_is_shown_as_it_is(hostile):
    text = Page(hostile.page).text
    for shown in (SCRIPT, IMAGE, RIGHT_TO_LEFT, "$x_1$ & co", "{{7*7}}"):
        assert shown in text
    assert LONG not in text
    assert re.search(r"\(10,\d\d\d characters\)", text)


def test_every_picture_has_a_name_and_its_values_stand_in_a_table(page):
    ids = {attrs["id"]: tag for tag, attrs, _ in page.tags if "id" in attrs}
    pictures = page.all("svg")
    assert pictures
    for attrs in pictures:
        assert attrs["role"] == "img"
        title, description = attrs["aria-labelledby"].split()
        assert (ids[title], ids[description]) == ("title", "desc")
    for attrs in page.all("img"):
        assert attrs["alt"]
    for around in (parents for tag, _, parents in page.tags if tag == "svg"):
        assert around[-1] == "figure"


def test_ids_are_unique_and_what_refers_to_them_finds_them(page):
    ids = [attrs["id"] for _, attrs, _ in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in page.tags:
        wanted = (attrs.get("aria-labelledby") or "").split()
        wanted += [attrs["href"][1:]] if (attrs.get("href") or "").startswith("#") else []
        wanted += re.findall(r"url\(#([^)]*)\)", " ".join(value or "" for value in attrs.values()))
        assert set(wanted) <= set(ids)


def test_headings_go_down_a_level_at_a_time(page):
    levels = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_say_what_their_heads_are_of(page):
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    regions = [attrs for attrs in page.all("div") if attrs.get("role") == "region"]
    assert all(attrs["aria-label"] and attrs["tabindex"] == "0" for attrs in regions)
    labels = [attrs["aria-label"] for attrs in regions]
    assert len(labels) == len(set(labels))
    for tag, _, around in page.tags:
        if tag == "table":
            assert around[-1] == "div"


def test_pictures_take_the_colours_of_the_page(hostile):
    pictures = re.findall(r"<svg.*?</svg>", hostile.page, re.DOTALL)
    colors = {color for picture in pictures for color in re.findall(r"(?:fill|stroke): *([^;\"]+)", picture)}
    assert all(re.fullmatch(r"none|var\(--(ink|muted|line|paper|s[0-7])\)", color) for color in colors), colors
    declared = set(re.findall(r"(--[a-z0-9]+):", hostile.page))
    assert {color[4:-1] for color in colors if color.startswith("var")} <= declared


def test_a_page_is_small(plain, hostile):
    assert len(plain.page.encode()) < 500_000
    assert len(hostile.page.encode()) < 3_000_000


def test_secrets_are_nowhere(hostile):
    assert not [secret for secret in SECRETS if secret in hostile.page]
    assert "token=…" in hostile.page
