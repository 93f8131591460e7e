"""Batches against limiters of other projects, on trio and in real time, for a few seconds each.

Only what does not depend on timing is asserted. How near paceline comes to each limit is measured by `python -m benchmarks.live`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import attrs
import pytest
from benchmarks.live.cases import HAPROXY_WINDOW, NGINX_BURST, NGINX_CAP, NGINX_CAP_ZONE, NGINX_RATE
from benchmarks.live.measure import drive
from benchmarks.live.programs import PROGRAMS
from benchmarks.live.servers import haproxy, llmock, nginx, read_json, slow_service

from paceline.llm_strategies.gemini import GeminiStrategy

pytestmark = pytest.mark.anyio

ITEMS = 250
FASTER = NGINX_RATE.replace("40r/s", "80r/s")  # so that the batch takes seconds
SHORTER = HAPROXY_WINDOW.replace("10s", "2s").replace("gt 200", "gt 100").replace("Retry-After 10", "Retry-After 2")


def require(name):
    """Skip with the sentence on how to get a server; fail where every server must be there."""
    if PROGRAMS[name].find() is None:
        end = pytest.fail if os.environ.get("PACELINE_LIVE") else pytest.skip
        end(f"{name} is not on this machine: {PROGRAMS[name].how}")


def gemini(url):
    return GeminiStrategy(api_key="any", base_url=url)


def assert_nothing_was_lost(run, *, items=ITEMS, wasted=1.0):
    """Every item has its answer and no other result; calls in vain were at most so many per answer."""
    print(run.course())  # noqa: T201 - seen with -s, and when a test fails
    assert run.lost == 0
    assert run.unsuccessful == {}
    assert len(run.served) == items
    assert len(run.refused) + len(run.failed) <= wasted * items


@attrs.frozen
class Limit:
    """Lines of nginx's configuration, and the status of a refusal."""

    zone: str
    rule: str
    status: str


NGINX = {
    "rate-429": Limit(FASTER, f"{NGINX_BURST} limit_req_status 429;", "429"),
    "rate-503": Limit(FASTER, NGINX_BURST, "503"),
    "cap-429": Limit(NGINX_CAP_ZONE, f"{NGINX_CAP} limit_conn_status 429;", "429"),
    "cap-503": Limit(NGINX_CAP_ZONE, NGINX_CAP, "503"),
}


@pytest.mark.parametrize("limit", NGINX.values(), ids=NGINX)
async def test_a_limit_of_nginx_ends_no_item(tmp_path, limit):
    require("nginx")
    with (
        slow_service(tmp_path, latency=0.2) as backend,
        nginx(tmp_path, backend, zone=limit.zone, limit=limit.rule) as gateway,
    ):
        run = await drive([gemini(gateway.url)], items=ITEMS)
        assert_nothing_was_lost(run)
        in_vain = len(run.refused) + len(run.failed)
        assert dict(gateway.statuses(ITEMS + in_vain)) == {
            status: count for status, count in (("200", ITEMS), (limit.status, in_vain)) if count
        }
        assert backend.counts() == {"served": ITEMS, "refused": 0}


async def test_a_limit_of_nginx_that_three_programs_share_ends_no_item(tmp_path):
    require("nginx")
    limit = NGINX["cap-503"]
    with (
        slow_service(tmp_path, latency=0.2) as backend,
        nginx(tmp_path, backend, zone=limit.zone, limit=limit.rule) as gateway,
    ):
        run = await drive([gemini(gateway.url) for _ in range(3)], items=ITEMS // 3)
        assert_nothing_was_lost(run, items=3 * (ITEMS // 3))
        assert backend.counts()["served"] == 3 * (ITEMS // 3)


async def test_a_window_of_haproxy_with_a_wait_ends_no_item(tmp_path):
    require("haproxy")
    with slow_service(tmp_path, latency=0.2) as backend, haproxy(tmp_path, backend, limit=SHORTER) as gateway:
        run = await drive([gemini(gateway.url)], items=ITEMS)
        assert_nothing_was_lost(run)
        assert backend.counts()["served"] == ITEMS


async def test_a_full_queue_of_haproxy_ends_no_item(tmp_path):
    require("haproxy")
    full = {"server": "maxconn 16", "queue": "timeout queue 100ms"}
    with slow_service(tmp_path, latency=0.2) as backend, haproxy(tmp_path, backend, **full) as gateway:
        run = await drive([gemini(gateway.url)], items=ITEMS)
        assert_nothing_was_lost(run)
        assert backend.counts()["served"] == ITEMS


async def test_llmock_counts_each_attempt_once_and_finds_no_fault_with_it(tmp_path):
    require("llmock")
    items = 120
    with llmock(tmp_path, "--rpm", "6000", "--latency-ms", "50", "--error-rate-429", "0.03") as server:
        run = await drive([gemini(f"{server.url}/gemini")], items=items)
        report = report_of(server.url)
        verdict = read_json(f"{server.url}/_llmock/verdict")
    assert_nothing_was_lost(run, items=items)
    assert report.returncode == 0, report.stdout[:1000]
    assert verdict["findings"] == []
    assert (verdict["calls"], verdict["attempts"]) == (items, items + len(run.refused))


def report_of(url):
    command = [sys.executable, "-m", "llmock.cli", "report", "--strict", "--url", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_refusals_that_come_late_end_no_item(tmp_path):
    with slow_service(tmp_path, latency=0.2, rate=60, burst=10, refusal_after=1) as backend:
        run = await drive([gemini(backend.url)], items=ITEMS)
        assert_nothing_was_lost(run)
        assert backend.counts() == {"served": ITEMS, "refused": len(run.refused)}
