"""RequestTemplate: what it replaces in a request, and when it has none."""

from __future__ import annotations

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from paceline.llm_strategies._request_template import RequestTemplate, text_of

URL = "http://server.test/v1/call?alt=json"
SAMPLE = b'{"the": "sample"}'


def written(body, **headers):
    """Return a request as a package writes it."""
    return httpx2.Request("POST", URL, headers=headers, content=body, extensions={"timeout": {"read": 5.0}})


@given(before=st.binary(), prompt=st.binary(), after=st.binary())
def test_the_sample_and_the_length_are_replaced_and_nothing_else(before, prompt, after):
    headers = {"X-Key": "secret", "Accept": "*/*"}
    template = RequestTemplate.of(written(before + SAMPLE + after, **headers), SAMPLE)
    if SAMPLE in before or SAMPLE in after:
        return
    expected, request = written(before + prompt + after, **headers), template.request(prompt)
    assert request.read() == expected.read()
    assert sorted(request.headers.raw) == sorted(expected.headers.raw)
    assert (request.method, request.url, request.extensions) == (expected.method, expected.url, expected.extensions)


def test_there_is_none_without_the_sample_or_with_two():
    assert RequestTemplate.of(written(b"{}"), SAMPLE) is None
    assert RequestTemplate.of(written(SAMPLE + SAMPLE), SAMPLE) is None
    assert RequestTemplate.of(httpx2.Request("PUT", URL, content=SAMPLE), SAMPLE) is None


def test_an_authorization_replaces_that_of_the_package():
    template = RequestTemplate.of(written(SAMPLE, Authorization="Bearer old"), SAMPLE)
    assert template.request(b"{}").headers.get_list("authorization") == ["Bearer old"]
    for token in ("first", "second"):
        request = template.request(b"{}", authorization=f"Bearer {token}")
        assert request.headers.get_list("authorization") == [f"Bearer {token}"]


def test_requests_share_nothing_that_one_of_them_could_change():
    template = RequestTemplate.of(written(SAMPLE), SAMPLE)
    first = template.request(b"{}")
    first.headers["x-other"] = "1"
    first.extensions["trace"] = None
    second = template.request(b"{}")
    assert "x-other" not in second.headers
    assert "trace" not in second.extensions


def test_its_representation_shows_neither_headers_nor_body():
    shown = repr(RequestTemplate.of(written(b"private" + SAMPLE, **{"x-key": "secret"}), SAMPLE))
    assert "secret" not in shown
    assert "private" not in shown


CHARSETS = [
    "",
    "; charset=utf-8",
    "; charset=UTF-8",
    ";charset=utf-8",
    "; charset=latin-1",
    "; charset=none",
]


@given(st.binary(), st.sampled_from(["application/json", "Application/JSON", "text/html"]), st.sampled_from(CHARSETS))
def test_the_text_of_a_reply_is_that_of_httpx(content, kind, charset):
    response = httpx2.Response(200, headers={"content-type": kind + charset}, content=content)
    assert text_of(response) == response.text


@given(st.text())
def test_so_is_that_of_a_reply_without_a_content_type(text):
    response = httpx2.Response(200, content=text.encode("utf-8", "replace"))
    assert text_of(response) == response.text
