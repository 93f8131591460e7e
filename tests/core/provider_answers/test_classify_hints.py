"""Wait requested by a response, in every form in use."""

from __future__ import annotations

from email.message import Message
from email.utils import formatdate

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.provider_answers.classify import classify
from paceline._core.provider_answers.foreign_error import headers_of
from paceline._core.provider_answers.header_hints import retry_after
from paceline._core.quota import positive_number as seconds

NOW = 1_800_000_000.0


def hint_of(error):
    return classify(error, wall_time=NOW).retry_after


def refused(headers, *, on="response"):
    error = Exception("x")
    error.code = 429
    holder = error
    if on == "response":
        holder = error.response = Exception()
    holder.headers = headers
    return error


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True), "date": formatdate(NOW + 20, usegmt=True)}, 10.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True), "date": "x"}, 30.0),
        ({"llm_provider-retry-after": "4"}, 4.0),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "llm_provider-retry-after": "4"}, 1.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after-ms": "1e-400"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"date": formatdate(NOW, usegmt=True)}, None),
        ({}, None),
    ],
)
def test_a_hint_is_read_in_every_form_in_use(headers, wait):
    assert retry_after(headers, wall_time=NOW) == wait


@pytest.mark.parametrize("on", ["response", "error"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3"},
        {"RETRY-AFTER": 3},
        {b"Retry-After": b"3"},
        [("Retry-After", "3")],
        [(b"Retry-After", b"3")],
        httpx2.Headers({"Retry-After": "3"}),
    ],
    ids=repr,
)
def test_headers_are_found_in_every_usual_form_and_place(headers, on):
    assert hint_of(refused(headers, on=on)) == 3.0


def test_the_headers_of_an_email_message_are_headers():
    message = Message()
    message["Retry-After"] = "3"
    assert hint_of(refused(message, on="error")) == 3.0


@pytest.mark.parametrize(
    "headers", [None, 5, "retry-after: 3", [1], [("a", "b", "c")], {"a": None}, object(), iter([])]
)
def test_an_invalid_header_gives_no_hint(headers):
    assert hint_of(refused(headers)) is None


def test_endless_headers_end():
    def endless():
        while True:
            yield "x", "y"

    assert headers_of(refused(endless())) == {"x": "y"}


def test_an_exceptions_own_hint_counts_where_there_is_no_header():
    error = refused({})
    error.retry_after = 7
    assert hint_of(error) == 7.0
    error.response.headers = {"retry-after": "3"}
    assert hint_of(error) == 3.0


@given(st.text() | st.floats() | st.integers() | st.none() | st.booleans() | st.binary() | st.lists(st.integers()))
def test_a_wait_is_positive_and_finite_or_none(value):
    wait = seconds(value)
    assert wait is None or 0 < wait < float("inf")


@given(st.floats(min_value=1e-3, max_value=1e9))
def test_a_number_of_seconds_is_read_as_it_is(number):
    assert seconds(repr(number)) == number
    assert retry_after({"retry-after": repr(number)}, wall_time=NOW) == number


@given(st.integers(1, 10**8))
def test_a_date_in_retry_after_is_the_time_until_it(away):
    assert retry_after({"retry-after": formatdate(NOW + away, usegmt=True)}, wall_time=NOW) == away


names = st.sampled_from(["retry-after", "retry-after-ms", "date", "x-retry-after"]) | st.text()
dates = st.text("0123456789 :,-+GMTMonJanFebDec", max_size=40)


@given(st.dictionaries(names, st.text() | dates), st.floats(allow_nan=False))
def test_no_header_does_any_harm(headers, wall_time):
    wait = retry_after(headers, wall_time=wall_time)
    assert wait is None or 0 < wait < float("inf")
