"""Failures of the connection are named: the reason, and the server without anything that may be secret."""

from __future__ import annotations

import errno
import socket
import ssl

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core.provider_answers.classify import classify, describe
from paceline._core.provider_answers.connection_failure import connection_failure

REQUEST = httpx2.Request("POST", "http://user:secret@localhost:9/v1/chat?key=secret")


class UnreadableError(ConnectionError):
    """Its request cannot be read."""

    @property
    def request(self):
        raise RuntimeError("there is no request")


def failed(cause, outer=httpx2.ConnectError):
    """Return what a client raises: the cause two steps below, once as a suppressed context, as httpcore does."""
    try:
        try:
            try:
                raise cause
            except Exception:  # noqa: BLE001 - any cause
                raise OSError("all attempts failed") from None
        except OSError as error:
            raise outer("no connection", request=REQUEST) from error
    except outer as error:
        return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
            "connection refused by http://localhost:9 (ConnectError)",
        ),
        (socket.gaierror(-2, "unknown"), "the name localhost cannot be resolved (ConnectError)"),
        (
            OSError(errno.EHOSTUNREACH, "No route to host"),
            "http://localhost:9 cannot be reached: No route to host (ConnectError)",
        ),
        (ssl.SSLError(1, "wrong version"), "no TLS connection to http://localhost:9: "),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "the connection was closed by http://localhost:9 before"),
        (
            ExceptionGroup("all", [ConnectionRefusedError(errno.ECONNREFUSED, "refused")]),
            "connection refused by http://localhost:9 (ConnectError)",
        ),
        (ValueError("no reason known"), "http://localhost:9 cannot be reached (ConnectError: no connection)"),
    ],
)
def test_the_reason_and_the_server_are_named(cause, words):
    fault = classify(failed(cause), wall_time=0.0)
    assert fault.message.startswith(words)
    assert (fault.kind, fault.is_unreached) == (FaultKind.TRANSIENT, True)
    assert "secret" not in fault.message


def test_without_a_request_the_message_of_the_exception_is_quoted():
    fault = classify(ConnectionRefusedError(111, "Connection refused"), wall_time=0.0)
    assert fault.message.startswith("connection refused by the server (ConnectionRefusedError: ")
    assert (
        classify(UnreadableError("broken"), wall_time=0.0).message
        == "the server cannot be reached (UnreadableError: broken)"
    )


def test_a_connection_that_is_not_made_in_time_is_a_timeout_that_names_the_server():
    fault = classify(httpx2.ConnectTimeout("slow", request=REQUEST), wall_time=0.0)
    assert (fault.kind, fault.is_unreached) == (FaultKind.TIMEOUT, True)
    assert fault.message == "http://localhost:9 does not answer: connecting to it timed out (ConnectTimeout)"


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ReadTimeout("slow", request=REQUEST),
        httpx2.DecodingError("not gzip", request=REQUEST),
        httpx2.HTTPStatusError("500", request=REQUEST, response=httpx2.Response(500)),
        OSError(errno.EMFILE, "too many open files"),
        TimeoutError("late"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_failures_say_nothing_of_the_connection(error):
    fault = classify(error, wall_time=0.0)
    assert fault.kind in {FaultKind.TRANSIENT, FaultKind.TIMEOUT}
    assert not fault.is_unreached


def test_an_answer_with_a_status_is_no_failure_of_the_connection_whatever_caused_it():
    error = httpx2.HTTPStatusError("502", request=REQUEST, response=httpx2.Response(502))
    error.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert not classify(error, wall_time=0.0).is_unreached


@given(st.lists(st.sampled_from(["cause", "context"]), max_size=80))
def test_a_chain_of_any_length_ends_also_if_it_is_a_circle(links):
    first = last = RuntimeError("first")
    for link in links:
        following = RuntimeError("next")
        setattr(last, f"__{link}__", following)
        last = following
    last.__context__ = first
    assert connection_failure(first, describe) is None
