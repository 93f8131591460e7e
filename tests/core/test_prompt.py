"""Prompts: the bytes that they take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.prompt import Media, size_of
from paceline._core.request import Request

OVERHEAD = 100  # bytes of an object, at most


@given(st.text(alphabet=st.characters(codec="latin-1")))
def test_a_latin_text_takes_a_byte_for_each_character(text):
    assert len(text) <= size_of(text) <= len(text) + OVERHEAD


@given(st.text())
def test_a_text_takes_no_less_than_a_byte_and_no_more_than_four_for_each_character(text):
    assert len(text) <= size_of(text) <= 4 * len(text) + OVERHEAD


@given(st.lists(st.text() | st.builds(Media, st.just("image/png"), st.binary(min_size=1)), max_size=5))
def test_parts_take_the_bytes_of_all_of_them(parts):
    assert size_of(tuple(parts)) == sum(map(size_of, parts))


def test_media_take_the_bytes_of_their_content():
    assert size_of(("What is this?", Media("image/png", b"x" * 10_000))) >= 10_000


def test_a_request_takes_the_bytes_of_all_that_is_in_it():
    url = "data:image/png;base64," + "A" * 10_000
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert size_of(Request("openai", {"messages": [{"role": "user", "content": content}]})) >= 10_000


@pytest.mark.parametrize("other", [None, 5, object()])
def test_what_is_no_prompt_takes_nothing(other):
    assert size_of(other) == 0
