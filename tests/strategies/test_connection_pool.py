"""ShardedClient: its connections, counted by a real server, and the closing of idle ones."""

from __future__ import annotations

import logging
import threading
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from paceline.llm_strategies import _connection_pool as connection_pool
from paceline.llm_strategies._connection_pool import IDLE_SECONDS, PoolStatistics, ShardedClient
from paceline.llm_strategies.gemini import GeminiStrategy

from .gemini.service import KEY, Answer, prepared, reply

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


class Gates:
    """Requests that the service holds until a number of them is there."""

    def __init__(self, service):
        self.service = service

    @asynccontextmanager
    async def together(self, number):
        gate = threading.Barrier(number, timeout=30)
        self.service.says(Answer(reply("good"), hold=gate.wait))
        async with anyio.create_task_group() as nursery:
            yield nursery


@pytest.mark.parametrize("in_flight", [1, 2, 65])
async def test_there_are_as_many_connections_as_calls_in_flight_and_they_are_kept(service, in_flight):
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        for _ in range(3):
            async with Gates(service).together(in_flight) as nursery:
                for _ in range(in_flight):
                    nursery.start_soon(item.execute, "hello", 1, 60.0)
    assert service.requests == 3 * in_flight
    assert service.connections == in_flight


async def test_workers_that_come_and_go_never_have_more_connections_than_there_were_calls_at_a_time(service):
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        for in_flight in (40, 10, 33, 40, 5, 40):
            async with Gates(service).together(in_flight) as nursery:
                for _ in range(in_flight):
                    nursery.start_soon(item.execute, "hello", 1, 60.0)
    assert service.connections == 40


async def test_cancelled_calls_free_their_places_in_the_pool(service):
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        pool = item._connection._pool
        release = threading.Event()
        service.says(Answer(reply("good"), hold=lambda: release.wait(30)))
        async with anyio.create_task_group() as nursery:
            for _ in range(40):
                nursery.start_soon(item.execute, "hello", 1, 60.0)
            await service.has_received(40)
            nursery.cancel_scope.cancel()
        release.set()
        assert pool.statistics() == PoolStatistics(pools=40, in_flight=0)
        service.says(Answer(reply("good")))
        assert (await item.execute("hello", 1, 60.0))[0] == "good"
        assert pool.statistics().pools == 40


async def test_a_pool_that_is_out_of_use_is_closed(service, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(connection_pool, "current_time", lambda: clock[0])  # sockets know no virtual time
    service.says(Answer(reply("good")))
    async with ShardedClient() as client:

        async def get():
            await client.post(f"{service.url}/x", json={})

        async with Gates(service).together(3) as nursery:
            for _ in range(3):
                nursery.start_soon(get)
        assert client.statistics().pools == 3
        service.says(Answer(reply("good")))
        await get()
        clock[0] += IDLE_SECONDS + 1
        for pools in (2, 1, 1):
            await get()
            assert client.statistics() == PoolStatistics(pools, in_flight=0)
    assert client.statistics() == PoolStatistics(pools=0, in_flight=0)


async def test_a_request_takes_the_connection_that_became_free_last(service, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(connection_pool, "current_time", lambda: clock[0])
    async with ShardedClient() as client:

        async def get():
            await client.post(f"{service.url}/x", json={})

        async with Gates(service).together(3) as nursery:
            for _ in range(3):
                nursery.start_soon(get)
        service.says(Answer(reply("good")))
        for _ in range(4):  # one connection is used all the time, two are idle for a total of IDLE_SECONDS
            clock[0] += IDLE_SECONDS / 4
            await get()
        assert client.statistics().pools == 3
        clock[0] += 1
        await get()
        await get()
        assert client.statistics().pools == 1
    assert service.connections == 3


async def test_a_client_that_is_closed_during_a_request_keeps_no_connection(service):
    release = threading.Event()
    service.says(Answer(reply("good"), hold=lambda: release.wait(30)))
    client = ShardedClient()
    async with anyio.create_task_group() as nursery:
        nursery.start_soon(_expect_failure, client, f"{service.url}/x")
        await service.has_received(1)
        await client.aclose()
        release.set()
    assert client.statistics() == PoolStatistics(pools=0, in_flight=0)


async def _expect_failure(client, url):
    with pytest.raises((httpx2.HTTPError, anyio.ClosedResourceError, RuntimeError)):
        await client.post(url, json={})


async def test_a_closed_client_raises():
    client = ShardedClient()
    await client.aclose()
    assert client.is_closed
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("http://127.0.0.1/")


async def test_a_failed_request_frees_its_place_in_the_pool(unused_port):
    async with ShardedClient() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"http://127.0.0.1:{unused_port}/")
        assert client.statistics() == PoolStatistics(pools=1, in_flight=0)


async def test_a_proxy_of_the_environment_is_used(service, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", service.url)
    service.says(Answer(reply("good")))
    async with prepared(GeminiStrategy(api_key=KEY, base_url="http://gemini.test")) as item:
        assert (await item.execute("hello", 1, 60.0))[0] == "good"
    assert service.received[0].path.startswith("http://gemini.test/v1beta/")


async def test_at_info_no_request_is_logged_and_at_debug_each(service, caplog):
    async def lines(level):
        caplog.clear()
        with caplog.at_level(level, "httpx2"):
            async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
                for _ in range(3):
                    await item.execute("hello", 1, 60.0)
        return [
            record.message for record in caplog.records if record.name == "httpx2" and "HTTP Request" in record.message
        ]

    service.says(Answer(reply("good")))
    assert await lines(logging.INFO) == []
    assert len(await lines(logging.DEBUG)) == 3


async def test_the_requests_of_other_clients_are_logged_as_before(service, caplog):
    service.says(Answer(reply("good")))
    with caplog.at_level(logging.INFO, "httpx2"):
        async with httpx2.AsyncClient() as client:
            await client.post(f"{service.url}/x", json={})
    assert [record.name for record in caplog.records if "HTTP Request" in record.message] == ["httpx2"]


async def test_recorded_requests_are_not_sent_and_those_of_other_tasks_are(service):
    service.says(Answer(reply("good")))
    async with ShardedClient() as client, anyio.create_task_group() as nursery:
        sent = anyio.Event()

        async def other_task():
            await client.post(f"{service.url}/sent", json={})
            sent.set()

        nursery.start_soon(other_task)  # before the recording begins: its context is its own
        with connection_pool.recorded() as requests:
            response = await client.post(f"{service.url}/recorded", json={})
            await sent.wait()
        await client.post(f"{service.url}/sent", json={})
    assert (response.status_code, response.json()) == (200, {})
    assert [request.url.path for request in requests] == ["/recorded"]
    assert [received.path for received in service.received] == ["/sent", "/sent"]
