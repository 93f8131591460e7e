"""Open connection: requests that skip the client get the replies and exceptions that the client would give, and only where that is safe."""

from __future__ import annotations

import functools
import gzip
import json
import logging
import threading

import anyio
import httpx2
import pytest

from paceline import CallError
from paceline.llm_strategies._connection_pool import PoolStatistics, ShardedClient
from paceline.llm_strategies._open_connection import open_connection
from paceline.llm_strategies._reply_limit import LIMIT_NAME

from .gemini.service import Answer

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


def request_to(url, **arguments):
    return httpx2.Request("POST", url, json={"prompt": "hello"}, **arguments)


@pytest.fixture
def seen(monkeypatch):
    """The requests that a client of httpx2 has sent, which does not send those over its open connection."""
    requests = []
    own = httpx2.AsyncClient._send_single_request

    async def counted(self, request):
        requests.append(request)
        return await own(self, request)

    monkeypatch.setattr(httpx2.AsyncClient, "_send_single_request", counted)
    return requests


ANSWERS = {
    "small": Answer({"a": "b"}),
    "empty": Answer(b"", status=204),
    "refused": Answer({"error": "slow down"}, status=429, headers={"Retry-After": "3"}),
    "not JSON": Answer(b"\xff<html>", status=502, headers={"Content-Type": "text/html; charset=latin-1"}),
    "compressed": Answer(gzip.compress(b'{"a": "b"}'), headers={"Content-Encoding": "gzip"}),
    "redirected elsewhere": Answer(b"", status=302, headers={"Location": "http://other.test/"}),
    "large": Answer({"a": "b" * 300_000}),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_reply_over_the_open_connection_is_the_clients(service, seen, name):
    service.says(ANSWERS[name])
    async with ShardedClient(timeout=None) as client:
        theirs, ours = [await client.send_written(request_to(f"{service.url}/x")) for _ in range(2)]
    assert len(seen) == 1
    assert service.connections == 1
    assert [received.body for received in service.received] == [{"prompt": "hello"}] * 2
    assert (ours.status_code, ours.content, ours.text) == (theirs.status_code, theirs.content, theirs.text)
    for response in (ours, theirs):
        del response.headers["date"]  # may be another second
    assert ours.headers.multi_items() == theirs.headers.multi_items()
    assert (ours.http_version, ours.reason_phrase, ours.url) == (theirs.http_version, theirs.reason_phrase, theirs.url)


async def test_a_reply_over_the_open_connection_passes_the_response_hooks(service):
    service.says(Answer({}, status=500))
    statuses = []

    async def hook(response):
        statuses.append(response.status_code)

    async with ShardedClient(event_hooks={"response": [hook]}) as client:
        for _ in range(3):
            await client.send_written(request_to(f"{service.url}/x"))
    assert statuses == [500] * 3


async def test_a_redirect_is_not_followed(service):
    service.says(Answer({}), Answer(b"", status=308, headers={"Location": "/y"}))
    async with ShardedClient() as client:
        statuses = [(await client.send_written(request_to(f"{service.url}/x"))).status_code for _ in range(3)]
    assert statuses == [200, 308, 308]
    assert {received.path for received in service.received} == {"/x"}


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_the_body_is_bounded_over_the_open_connection_too(service, monkeypatch, is_compressed):
    monkeypatch.setenv(LIMIT_NAME, "0.001")
    body, headers = b"x" * 2_000, {}
    if is_compressed:
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    service.says(Answer({}), Answer(body, headers=headers))
    async with ShardedClient() as client:
        await client.send_written(request_to(f"{service.url}/x"))
        with pytest.raises(CallError, match=LIMIT_NAME):
            await client.send_written(request_to(f"{service.url}/x"))
        assert client.statistics() == PoolStatistics(pools=1, in_flight=0)


async def test_a_connection_that_fails_raises_the_clients_exception_and_is_replaced(service):
    service.says(Answer({}), Answer(hang_up=True), Answer({"a": "b"}))
    async with ShardedClient() as client:
        await client.send_written(request_to(f"{service.url}/x"))
        with pytest.raises(httpx2.RemoteProtocolError) as caught:
            await client.send_written(request_to(f"{service.url}/x"))
        assert caught.value.request.url.path == "/x"
        assert (await client.send_written(request_to(f"{service.url}/x"))).json() == {"a": "b"}
        assert client.statistics() == PoolStatistics(pools=1, in_flight=0)
    assert service.connections == 2


async def test_a_cancelled_request_closes_its_connection(service):
    service.says(Answer({}))
    release = threading.Event()
    async with ShardedClient() as client:
        await client.send_written(request_to(f"{service.url}/x"))
        service.says(Answer({"late": True}, hold=lambda: release.wait(30)))
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(client.send_written, request_to(f"{service.url}/x"))
            await service.has_received(2)
            nursery.cancel_scope.cancel()
        service.says(Answer({"a": "b"}))
        release.set()
        assert (await client.send_written(request_to(f"{service.url}/x"))).json() == {"a": "b"}
        assert client.statistics() == PoolStatistics(pools=1, in_flight=0)
    assert service.connections == 2


async def test_requests_that_are_logged_or_have_credentials_in_their_url_are_sent_by_the_client(service, seen, caplog):
    service.says(Answer({}))
    with_password = service.url.replace("http://", "http://user:password@")
    async with ShardedClient() as client:
        await client.send_written(request_to(f"{service.url}/x"))
        await client.send_written(request_to(f"{with_password}/x"))
        with caplog.at_level(logging.DEBUG, "httpx2"):
            await client.send_written(request_to(f"{service.url}/x"))
    assert len(seen) == 3
    assert "authorization" in service.received[1].headers


@pytest.mark.parametrize(
    ("owner", "name"), [(httpx2.AsyncClient, "send"), (httpx2.AsyncHTTPTransport, "handle_async_request")]
)
async def test_where_a_package_traces_httpx2_every_request_is_traced(service, monkeypatch, owner, name):
    service.says(Answer({}))
    own, traced = getattr(owner, name), []

    @functools.wraps(own)
    async def wrapper(self, request, **options):
        traced.append(request)
        return await own(self, request, **options)

    async with ShardedClient() as client:
        await client.send_written(request_to(f"{service.url}/x"))
        monkeypatch.setattr(owner, name, wrapper)
        for _ in range(2):
            await client.send_written(request_to(f"{service.url}/x"))
    assert len(traced) == 2


async def test_a_client_with_another_transport_has_no_open_connection():
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=json.dumps({})))
    async with httpx2.AsyncClient(transport=transport) as client:
        await client.send(request_to("http://mock.test/"))
        assert open_connection(client, request_to("http://mock.test/")) is None


async def test_a_proxy_of_the_environment_is_used_for_every_request(service, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", service.url)
    service.says(Answer({}))
    async with ShardedClient() as client:
        for _ in range(3):
            await client.send_written(request_to("http://gemini.test/x"))
    assert [received.path for received in service.received] == ["http://gemini.test/x"] * 3
    assert service.connections == 1
