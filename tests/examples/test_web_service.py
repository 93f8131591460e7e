"""The web service under real servers: 100 requests at once beside a nightly batch, at a provider that allows 50 calls a second.

`pytest tests/examples -s` prints what was measured.
"""

from __future__ import annotations

import time
from collections import Counter
from http import HTTPStatus

import anyio
import attrs
import httpx
import pytest

from paceline import runs

from .programs import SERVERS, provider, web_service

NIGHT = [f"Text {number}" for number in range(2000)]
FIRST = 2.0  # seconds of the first life of the service
CALLERS, VISITORS, EVERY = 100, 30, 1 / 20  # at once; one after the other; seconds between these
TIMEOUT = 1.0  # seconds that a request may take
# Bounds of the first ten seconds, in which the limit is found, on a busy machine; on a quiet one, over 90 s, less than .02 are refused and a
# request waits for less than a second.
REFUSALS, LONGEST = 0.12, 3.0  # share of the calls; seconds, for 95 % of the requests
PATIENCE = 60.0  # seconds


@attrs.define
class Load:
    """Callers of the service, and what they received."""

    client: httpx.AsyncClient
    answers: Counter[str] = attrs.field(factory=Counter)
    refused: int = 0
    waits: list[float] = attrs.field(factory=list)
    """Seconds that each answered request waited in the service before its call."""

    async def ask(self, number: int) -> None:
        """Ask until there is an answer, as the service says when to try again."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            response = await self.client.post(
                "/classify", json={"text": f"Good {number}"}, headers={"X-Tenant": f"{number % 7}"}
            )
            if response.status_code == HTTPStatus.OK:
                self.answers[response.json()["label"]] += 1
                self.waits.append(wait_of(response))
                return
            assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE, response.text
            self.refused += 1
            await anyio.sleep(int(response.headers["Retry-After"]))
        pytest.fail(f"caller {number} was not answered in {PATIENCE:g} s")


def wait_of(response: httpx.Response) -> float:
    timings = dict(part.strip().split(";dur=") for part in response.headers["Server-Timing"].split(","))
    return float(timings["wait"]) / 1000


def client_of(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, keepalive_expiry=1)  # well below the servers' own
    return httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits, trust_env=False)


async def start_night(url: str) -> None:
    async with client_of(url) as client:
        assert (await client.put("/nights/1", json=NIGHT)).status_code == HTTPStatus.ACCEPTED
    await anyio.sleep(FIRST)


async def call_beside_the_night(url: str) -> Load:
    """Resume the batch, and call while it runs."""
    async with client_of(url) as client:
        assert (await client.put("/nights/1", json=NIGHT)).status_code == HTTPStatus.ACCEPTED
        await anyio.sleep(1)
        load = Load(client)
        async with anyio.create_task_group() as callers:
            for number in range(CALLERS):
                callers.start_soon(load.ask, number)
        async with anyio.create_task_group() as callers:
            for number in range(CALLERS, CALLERS + VISITORS):
                callers.start_soon(load.ask, number)
                await anyio.sleep(EVERY)
        assert (await client.get("/nights/1")).json() == {"running": True}
        return load


@pytest.mark.parametrize("server", SERVERS)
def test_requests_and_a_nightly_batch_share_a_limit_over_a_restart(server, tmp_path):
    journal = str(tmp_path / "service.db")
    with provider(rate=50, latency=0.3) as backend:
        with web_service(server, backend, TIMEOUT=f"{TIMEOUT}", JOURNAL=journal) as url:
            anyio.run(start_night, url)
        first = backend.counts()
        began = time.monotonic()
        with web_service(server, backend, TIMEOUT=f"{TIMEOUT}", JOURNAL=journal) as url:
            load = anyio.run(call_beside_the_night, url)
            seconds = time.monotonic() - began
        both = backend.counts()
    served, refused = both["served"] - first["served"], both["refused"] - first["refused"]
    waits = sorted(load.waits)
    p50, p95 = waits[len(waits) // 2], waits[round(0.95 * len(waits))]
    print(  # noqa: T201 - seen with -s, and when a test fails
        f"\n{server}: first life {first}, second life {served} served in {seconds:.1f} s and {refused} refused by the provider;\n"
        f"  {len(waits)} answered, wait {p50:.2f} s (median), {p95:.2f} s (p95), {waits[-1]:.2f} s (most); {load.refused} times 503"
    )
    assert load.answers == {"positive": CALLERS + VISITORS}
    stored = runs.status(journal).counts.succeeded
    assert stored <= both["served"] <= stored + load.refused, "what was answered is stored, and called once"
    assert stored - len(waits) > first["served"] + 0.05 * served, "the batch was resumed, and did not starve"
    assert refused < REFUSALS * (served + refused)
    assert p95 < LONGEST
