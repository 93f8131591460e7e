"""The page: one file that loads and runs nothing, whatever the journal says, and that says in words what its plots show."""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
from contextlib import closing
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.report.page import render
from paceline.runs import report

from .journals import BEGAN, Call, Result, empty_journal, make_journal
from .test_svg import HOSTILE

TAGS = frozenset(
    re.findall(
        r"[\w-]+",
        "html head meta title style body header main footer h1 h2 h3 p ul li b div "
        "table caption thead tbody tr th td details summary pre svg desc path polyline rect line text br",
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        "lang charset http-equiv content name class role aria-label aria-hidden scope tabindex "
        "viewbox open preserveaspectratio d points x y x1 x2 y1 y2 width height",
    )
)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Collects elements, checks that they nest, and keeps the text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self._open = [], "", []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def hostile_journal(path, text):
    """Write a journal that has a text wherever one can be."""
    return make_journal(
        path,
        items=[f"{text}{number}" for number in range(4)],
        runs=[(BEGAN, BEGAN + 10.0), (BEGAN + 100.0, BEGAN + 120.0)],
        calls=[
            Call(
                item=number,
                started=float(number),
                seconds=0.5,
                quota=text,
                model=text,
                cost=0.1,
                kind=None if number % 2 else "invalid",
            )
            for number in (1, 2, 3)
        ],
        results=[
            Result(item=1, model=text, output='"x"', refusals=2),
            Result(item=2, kind="invalid", message=text, model=text, answer=text),
            Result(item=3, kind="bug", message=text * 3, model=text),
        ],
        pace=[
            (1, 0.5, text, "workers", 20.0, 30.0, text),
            (1, 0.6, text, text, None, 2.0, text),
            (1, 2.0, text, "gate", 0.0, 3.0, "x"),
        ],
        limits=[(1, 0.0, text, text, text), (1, 3.0, text, "requests", "learned")],
    )


def page_of(journal, **options):
    return render(report(journal, **options))


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 100_000], ids=range(len(HOSTILE) + 1))
def test_hostile_texts_stay_texts(tmp_path, text):
    text = text.encode("utf-8", "backslashreplace").decode()
    found = page_of(hostile_journal(tmp_path / "x.journal", text), with_text=True)
    page = Page(found)
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", found)
    assert len(found) < 400_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_text_adds_an_element_or_an_attribute(tmp_path, text):
    for file in tmp_path.iterdir():
        file.unlink()
    page = Page(page_of(hostile_journal(tmp_path / "x.journal", text), with_text=True))
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES


def test_the_policy_allows_the_own_style_and_nothing_else(tmp_path):
    found = page_of(hostile_journal(tmp_path / "x.journal", "x"))
    (style,) = re.findall(r"<style>(.*?)</style>", found, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', found)
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style
    assert "@import" not in style


def test_every_plot_has_a_title_a_description_and_a_table(tmp_path):
    found = page_of(hostile_journal(tmp_path / "x.journal", "x"))
    plots = re.findall(r'<svg [^>]*role="img"[^>]*>(.*?)</svg>(.*?)(?=<svg [^>]*role="img"|<h2>|\Z)', found, re.DOTALL)
    assert len(plots) >= 5
    for drawing, rest in plots:
        assert re.match(r"<title>.+?</title><desc>.+?</desc>", drawing)
        assert "<table>" in rest
    others = re.findall(r"<svg (?![^>]*role=)([^>]*)>", found)
    assert all('aria-hidden="true"' in attributes for attributes in others)


def test_outputs_and_answers_are_in_the_page_only_when_asked_for(tmp_path):
    journal = make_journal(
        tmp_path / "x.journal",
        items=["a", "b"],
        calls=[Call(item=1), Call(item=2, kind="invalid")],
        results=[
            Result(item=1, output='"the secret output"'),
            Result(item=2, kind="invalid", message="no JSON", answer="the secret answer"),
        ],
    )
    assert "secret" not in page_of(journal)
    shown = page_of(journal, with_text=True)
    assert "the secret output" in shown
    assert "the secret answer" in shown


def test_the_first_sentence_says_what_became_of_the_batch(tmp_path):
    journal = make_journal(
        tmp_path / "x.journal",
        items="abc",
        calls=[Call(item=1), Call(item=2, kind="invalid")],
        results=[Result(item=1), Result(item=2, kind="invalid", message="no JSON")],
    )
    assert "1 of 3 items succeeded, 1 failed, 1 pending." in Page(page_of(journal)).text


def test_a_journal_whose_run_has_just_begun_has_a_page(tmp_path):
    text = Page(page_of(empty_journal(tmp_path / "x.journal"))).text
    assert "0 of 0 items succeeded" in text
    assert "No call has counted yet." in text


def test_damage_in_a_fact_does_not_reach_the_page_as_html(tmp_path):
    journal = hostile_journal(tmp_path / "x.journal", "x")
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute(
            "INSERT INTO facts VALUES ('latest run', ?)", ('{"run": 2, "stopped": "<script>alert(1)</script>"}',)
        )
    found = page_of(journal)
    assert "<script" not in found
    assert "alert(1)" in Page(found).text
