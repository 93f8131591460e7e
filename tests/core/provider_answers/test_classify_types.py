"""Faults of exceptions by type: the language's, the backends', the clients', the validators'."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import json
import socket
import ssl

import anyio
import attrs
import cattrs
import httpcore2
import httpx2
import pydantic
import pytest
import trio
from google.auth import exceptions as google_auth
from google.genai import errors as genai

from paceline import FaultKind
from paceline._core.provider_answers.classify import classify

NOW = 1_800_000_000.0


def kind_of(error):
    return classify(error, wall_time=NOW).kind


def foreign(name, *bases):
    """Make an exception whose class has the name of one in a library that is not installed."""
    module, _, qualname = name.rpartition(".")
    return type(qualname, bases or (Exception,), {"__module__": module})


def raised(function, *args):
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is wanted
        return error
    raise AssertionError(f"{function} raised nothing")


class Person(pydantic.BaseModel):
    age: int


@attrs.frozen
class Town:
    size: int


HTTPX_TABLE = [
    ("ConnectError", FaultKind.TRANSIENT),
    ("ReadError", FaultKind.TRANSIENT),
    ("WriteError", FaultKind.TRANSIENT),
    ("RemoteProtocolError", FaultKind.TRANSIENT),
    ("LocalProtocolError", FaultKind.TRANSIENT),
    ("ProxyError", FaultKind.TRANSIENT),
    ("ConnectTimeout", FaultKind.TIMEOUT),
    ("ReadTimeout", FaultKind.TIMEOUT),
    ("WriteTimeout", FaultKind.TIMEOUT),
    ("PoolTimeout", FaultKind.THROTTLED),
    ("UnsupportedProtocol", FaultKind.BUG),
]
CLIENT_TABLE = [("CloseError", FaultKind.TRANSIENT), ("DecodingError", FaultKind.TRANSIENT)]


@pytest.mark.parametrize("library", ["httpx", "httpx2", "httpcore", "httpcore2"])
def test_httpx_and_its_forks_are_recognized(library):
    module = pytest.importorskip(library)
    table = HTTPX_TABLE + CLIENT_TABLE if library.startswith("httpx") else HTTPX_TABLE
    assert {name: kind_of(getattr(module, name)("x")) for name, _ in table} == dict(table)


def test_an_httpx_error_with_a_response_is_classified_by_its_status():
    request = httpx2.Request("GET", "http://x/")
    response = httpx2.Response(429, request=request, headers={"Retry-After": "3"})
    fault = classify(raised(response.raise_for_status), wall_time=NOW)
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 3.0)


def test_exceptions_of_requests_are_recognized():
    exceptions = pytest.importorskip("requests").exceptions
    assert kind_of(exceptions.ConnectTimeout()) is FaultKind.TIMEOUT
    assert kind_of(exceptions.ReadTimeout()) is FaultKind.TIMEOUT
    assert kind_of(exceptions.ConnectionError()) is FaultKind.TRANSIENT
    assert kind_of(exceptions.ChunkedEncodingError()) is FaultKind.TRANSIENT
    assert kind_of(exceptions.MissingSchema()) is FaultKind.BUG


@pytest.mark.parametrize(
    ("name", "bases", "kind"),
    [
        ("aiohttp.client_exceptions.ClientConnectionError", (Exception,), FaultKind.TRANSIENT),
        ("aiohttp.client_exceptions.ClientPayloadError", (Exception,), FaultKind.TRANSIENT),
        ("aiohttp.client_exceptions.ContentTypeError", (Exception,), FaultKind.TRANSIENT),
        ("aiohttp.client_exceptions.ServerTimeoutError", (TimeoutError,), FaultKind.TIMEOUT),
        ("openai.APIConnectionError", (Exception,), FaultKind.TRANSIENT),
        ("openai.APITimeoutError", (Exception,), FaultKind.TIMEOUT),
        ("anthropic.APIConnectionError", (Exception,), FaultKind.TRANSIENT),
        ("anthropic.APITimeoutError", (Exception,), FaultKind.TIMEOUT),
        ("pydantic.error_wrappers.ValidationError", (ValueError,), FaultKind.INVALID),
        ("msgspec.DecodeError", (ValueError,), FaultKind.INVALID),
    ],
)
def test_clients_and_validators_are_recognized_by_name_without_being_installed(name, bases, kind):
    known = foreign(name, *bases)
    assert kind_of(known("x")) is kind
    assert kind_of(type("Own", (known,), {})("x")) is kind


def test_aiohttps_timeout_is_one_though_it_is_a_connection_error_too():
    connection = foreign("aiohttp.client_exceptions.ClientConnectionError")
    timeout = foreign("aiohttp.client_exceptions.ServerTimeoutError", connection, TimeoutError)
    assert kind_of(timeout()) is FaultKind.TIMEOUT


def test_an_undecodable_reply_is_transient_only_with_a_success_status():
    content_type = foreign("aiohttp.client_exceptions.ContentTypeError")
    error = content_type("HTML, not JSON")
    error.status = 429
    assert kind_of(error) is FaultKind.THROTTLED
    error.status = 200
    assert kind_of(error) is FaultKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        raised(Person.model_validate, {"age": "old"}),
        raised(Person.model_validate_json, "{"),
        raised(pydantic.TypeAdapter(int).validate_python, "x"),
        raised(cattrs.structure, {"size": "big"}, Town),
        raised(cattrs.structure, ["x"], list[int]),
        raised(cattrs.Converter(forbid_extra_keys=True).structure, {"size": 1, "x": 2}, Town),
        raised(
            cattrs.Converter(forbid_extra_keys=True, detailed_validation=False).structure, {"size": 1, "x": 2}, Town
        ),
        raised(json.loads, "{"),
    ],
    ids=lambda error: type(error).__qualname__,
)
def test_a_validators_exception_is_an_invalid_output(error):
    assert kind_of(error) is FaultKind.INVALID


def test_cattrs_group_is_an_invalid_output_whatever_is_inside():
    error = raised(cattrs.structure, {"size": "big"}, Town)
    assert isinstance(error, ExceptionGroup)
    assert kind_of(ExceptionGroup("nursery", [error])) is FaultKind.INVALID


def test_a_type_that_cattrs_cannot_structure_is_a_bug():
    assert kind_of(raised(cattrs.structure, "x", object())) is FaultKind.BUG


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), FaultKind.TIMEOUT),
        (trio.TooSlowError(), FaultKind.TIMEOUT),
        (socket.timeout(), FaultKind.TIMEOUT),  # noqa: UP041 - the old name is what is tested
        (OSError(errno.ETIMEDOUT, "x"), FaultKind.TIMEOUT),
        (ConnectionRefusedError(), FaultKind.TRANSIENT),
        (ConnectionResetError(), FaultKind.TRANSIENT),
        (BrokenPipeError(), FaultKind.TRANSIENT),
        (EOFError(), FaultKind.TRANSIENT),
        (asyncio.IncompleteReadError(b"", 1), FaultKind.TRANSIENT),
        (socket.gaierror(socket.EAI_NONAME, "x"), FaultKind.TRANSIENT),
        (socket.herror(), FaultKind.TRANSIENT),
        (OSError(errno.EHOSTUNREACH, "x"), FaultKind.TRANSIENT),
        (OSError(errno.EMFILE, "x"), FaultKind.TRANSIENT),
        (OSError("all attempts to connect failed"), FaultKind.TRANSIENT),
        (ssl.SSLEOFError(), FaultKind.TRANSIENT),
        (ssl.SSLError(1, "x"), FaultKind.TRANSIENT),
        (trio.BrokenResourceError(), FaultKind.TRANSIENT),
        (anyio.BrokenResourceError(), FaultKind.TRANSIENT),
        (anyio.EndOfStream(), FaultKind.TRANSIENT),
        (anyio.IncompleteRead(), FaultKind.TRANSIENT),
        (anyio.ConnectionFailed(), FaultKind.TRANSIENT),
        (ssl.SSLCertVerificationError(), FaultKind.DENIED),
        (FileNotFoundError(errno.ENOENT, "x"), FaultKind.BUG),
        (PermissionError(errno.EACCES, "x"), FaultKind.BUG),
        (OSError(errno.ENOSPC, "x"), FaultKind.BUG),
        (trio.ClosedResourceError(), FaultKind.BUG),
        (anyio.ClosedResourceError(), FaultKind.BUG),
        (RuntimeError(), FaultKind.BUG),
        (ValueError(), FaultKind.BUG),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), FaultKind.BUG),
        (RecursionError(), FaultKind.BUG),
        (asyncio.CancelledError(), FaultKind.CANCELLED),
        (concurrent.futures.CancelledError(), FaultKind.CANCELLED),
        *([(anyio.TaskCancelled(), FaultKind.CANCELLED)] if hasattr(anyio, "TaskCancelled") else []),
        (KeyboardInterrupt(), FaultKind.BUG),
        (SystemExit(429), FaultKind.BUG),
    ],
    ids=lambda value: repr(value) if isinstance(value, BaseException) else None,
)
def test_the_exceptions_of_the_language_and_the_backends_are_known(error, kind):
    assert kind_of(error) is kind


def test_trios_cancellation_is_known():
    async def leak():
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                kinds.append(kind_of(error))
                raise

    kinds = []
    trio.run(leak)
    assert kinds == [FaultKind.CANCELLED]


def test_an_http_error_is_not_classified_by_its_cause():
    error = httpx2.ReadTimeout("")
    error.__cause__ = httpcore2.ReadTimeout()
    wrapper = RuntimeError("mine")
    wrapper.__cause__ = error
    assert kind_of(error) is FaultKind.TIMEOUT
    assert kind_of(wrapper) is FaultKind.BUG


def test_the_default_classifier_knows_google_by_its_status():
    assert kind_of(genai.ClientError(429, {})) is FaultKind.THROTTLED
    assert kind_of(genai.ServerError(503, {})) is FaultKind.OVERLOADED
    assert kind_of(google_auth.RefreshError("x")) is FaultKind.BUG
