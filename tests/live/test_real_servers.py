"""The real google-genai client, on trio and in real time, against limiters of other projects, and one of ours that refuses late.

`pytest tests/live -s` prints what the controller did, and why. Each limit is met by a batch of about half a minute.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import attrs
import pytest

from paceline.llm_strategies.gemini import GeminiStrategy

from .driving import drive
from .servers import llmock, nginx, read_json, slow_service

pytestmark = pytest.mark.anyio


def gemini(url):
    return GeminiStrategy(api_key="any", base_url=url)


def assert_paced(run, *, goodput=0.80, refusals=0.05, refusals_in_all=0.05):
    assert run.goodput >= goodput
    assert run.settled_refusals < refusals
    assert run.refusals < refusals_in_all


@attrs.frozen(kw_only=True)
class Limit:
    """What nginx allows, and what is behind it."""

    title: str
    zone: str
    rule: str
    latency: float
    rate: float
    """Calls a second that this comes to."""


async def drive_through_nginx(folder, limit, items):
    """Run a batch; see that nginx and the service behind it counted what the batch did, and that the limit held."""
    with (
        slow_service(latency=limit.latency) as backend,
        nginx(folder, backend, zone=limit.zone, limit=limit.rule) as gateway,
    ):
        run = await drive(limit.title, gemini(gateway.url), limit=limit.rate, items=items)
        refused = run.batch.refusals
        assert gateway.counts(items + refused) == +Counter({"200": items, "429": refused})
        assert backend.counts() == {"served": items, "refused": 0}
    assert run.goodput < 1.1
    return run


async def test_the_rate_that_nginx_allows_is_found(tmp_path):
    limit = Limit(
        title="nginx limit_req, 40 calls a second",
        zone="limit_req_zone $binary_remote_addr zone=calls:1m rate=40r/s;",
        rule="limit_req zone=calls burst=10 nodelay; limit_req_status 429;",
        latency=1.0,
        rate=40.0,
    )
    assert_paced(await drive_through_nginx(tmp_path, limit, items=1_300))


async def test_the_cap_that_nginx_sets_is_found(tmp_path):
    limit = Limit(
        title="nginx limit_conn, 16 calls in flight",
        zone="limit_conn_zone $binary_remote_addr zone=calls:1m;",
        rule="limit_conn calls 16; limit_conn_status 429;",
        latency=0.64,
        rate=16 / 0.64,
    )
    # Until the cap is known some fifteen calls are refused, 2 % of these few.
    assert_paced(await drive_through_nginx(tmp_path, limit, items=850), refusals_in_all=0.065)


def report_of(url):
    command = [sys.executable, "-m", "llmock.cli", "report", "--strict", "--url", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_the_rate_of_llmock_is_found_and_its_hints_are_kept():
    items = 600 + 300  # its bucket is full at first: what flows in during a minute
    with llmock("--rpm", "600", "--latency-ms", "50") as url:
        run = await drive("llmock, 600 calls a minute", gemini(f"{url}/gemini"), limit=10.0, items=items)
        report = report_of(url)
        verdict = read_json(f"{url}/_llmock/verdict")
    assert report.returncode == 0, report.stdout[:1000]
    assert verdict["findings"] == []
    assert (verdict["calls"], verdict["attempts"]) == (items, items + run.batch.refusals)
    assert_paced(run)


async def test_a_rate_whose_refusals_come_late_is_found():
    with slow_service(latency=0.8, rate=20, burst=10, refusal_after=2) as backend:
        run = await drive("20 calls a second, refused after 2 s", gemini(backend.url), limit=20.0, items=800)
        assert backend.counts() == {"served": 800, "refused": run.batch.refusals}
    assert run.goodput >= 0.75
    assert run.settled_refusals < 0.2  # they come two seconds late, while it settles: then under 1 %
    assert run.refusals < 0.25  # the first exhaustion is known only when all that followed it are on their way
