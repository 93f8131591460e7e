"""Server URLs: nothing is sent to a server that its writer does not mean, and no credential is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.server_url import checked_url, shown_url, split_server
from paceline.exceptions import ConfigurationError

ENDPOINTS = ("/chat/completions", "/models")
SECRET = "s3cret-s3cret"  # noqa: S105 - not one


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "https://api.example.com",
        "HTTP://Host/v1/",
        "http://[::1]:80/v1",
        "http://u:p@h/v1",
        "http://ho_st",
    ],
)
def test_a_url_with_a_scheme_and_a_host_is_accepted(url):
    assert checked_url(url, "base_url", endpoints=ENDPOINTS) == url
    assert checked_url(f"\t{url}\n", "base_url", endpoints=ENDPOINTS) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "it is empty"),
        (" \t", "it is empty"),
        ("localhost:9999", "did you mean http://localhost:9999?"),
        ("api.example.com/v1", "did you mean https://api.example.com/v1?"),
        ("http:/x", "did you mean http://x?"),
        ("https//x/v1", "did you mean https://x/v1?"),
        ("https:x", "did you mean https://x?"),
        ("//x/v1", "did you mean http://x/v1?"),
        ("htp://localhost:8000", "did you mean http://localhost:8000?"),
        ("ftp://x", "does not begin with http:// or https://"),
        ("file:///etc/passwd", "does not begin with http:// or https://"),
        ("http://", "its host or its port is missing"),
        ("http://:8000", "its host or its port is missing"),
        ("http://h:0", "its host or its port is missing"),
        ("http://h:port", "its host or its port is not valid"),
        ("http://h:99999", "its host or its port is not valid"),
        ("http://[::1", "its host or its port is not valid"),
        ("http://h o/v1", "a space or a backslash"),
        ("http:\\\\h", "a space or a backslash"),
        (f"http://h/v1?key={SECRET}", "parameters"),
        (f"http://h/v1#{SECRET}", "parameters"),
        ("http://h/v1/http://x", "another URL"),
        ("http://h/v1/chat/completions/", "leave out /chat/completions"),
        (f"user:{SECRET}@host", "not 'host'"),
        (f"http://user:{SECRET}@h:port/v1", "not 'http://h:port/v1'"),
    ],
)
def test_any_other_url_is_refused_in_one_sentence(url, words):
    with pytest.raises(ConfigurationError) as caught:
        checked_url(url, "OPENAI_BASE_URL", endpoints=ENDPOINTS)
    message = str(caught.value)
    assert message.startswith("OPENAI_BASE_URL must be like http://127.0.0.1:8000/v1, not ")
    assert words in message
    assert "\n" not in message
    assert SECRET not in message


urls = st.text(st.sampled_from("htps:/@?#.ab1 \\[]"), max_size=12) | st.text(max_size=12)


def outcome(text):
    """Return what a URL is accepted as, or why it is refused."""
    try:
        return checked_url(text, "base_url")
    except ConfigurationError as error:
        return error


@given(urls)
def test_every_text_is_accepted_as_a_url_with_a_scheme_or_refused(text):
    accepted = outcome(text)
    assert isinstance(accepted, ConfigurationError) or accepted.lower().startswith(("http://", "https://"))


@given(
    urls,
    st.sampled_from(
        ["http://user:{}@", "http://{}@", "user:{}@", "http://user:a?{}@", "http://h/?k={}&", "http://u:{}/a@"]
    ),
)
def test_no_credential_is_shown(text, start):
    url = start.format(SECRET) + text
    result = outcome(url)
    assert SECRET not in shown_url(url)
    assert SECRET not in (str(result) if isinstance(result, ConfigurationError) else shown_url(result))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gpt-5-mini", ("gpt-5-mini", None)),
        ("llama3.1:8b@http://127.0.0.1:8000/v1", ("llama3.1:8b", "http://127.0.0.1:8000/v1")),
        ("m @ HTTPS://x/v1", ("m", "HTTPS://x/v1")),
        ("m@http://", ("m", "http://")),
        ("@cf/meta/llama-3.1-8b-instruct", ("@cf/meta/llama-3.1-8b-instruct", None)),
        ("@cf/meta/llama@https://x/v1", ("@cf/meta/llama", "https://x/v1")),
        ("claude-sonnet-4@20250514", ("claude-sonnet-4@20250514", None)),
        ("gemini-2.0-flash@default", ("gemini-2.0-flash@default", None)),
    ],
)
def test_a_model_may_be_followed_by_its_server(text, parts):
    assert split_server(text) == parts


@pytest.mark.parametrize(
    "server",
    [
        "localhost:9999",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:80/v1",
        "http:/x",
        "https//x",
        "http",
        "ftp://x",
        "//x",
        "",
        " ",
        "myserver",
        "x.y",
    ],
)
def test_what_may_be_a_server_is_never_part_of_the_model_s_name(server):
    with pytest.raises(ConfigurationError, match="the server after @ must begin with http:// or https://"):
        split_server(f"gpt-5-mini@{server}")


@pytest.mark.parametrize(
    "text", ["m http://x/v1", "http://x/v1", "m:https://x", f"m:http://u:{SECRET}@x/v1?k={SECRET}"]
)
def test_a_url_without_at_is_refused(text):
    with pytest.raises(ConfigurationError) as caught:
        split_server(text.replace("u:" + SECRET + "@", "")) if text.startswith("m:http://u") else split_server(text)
    assert "must not hold a URL" in str(caught.value)
    assert SECRET not in str(caught.value)
