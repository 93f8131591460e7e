"""Cases: a server with a configuration, and what that allows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import attrs

from .servers import Backend, Server, aimock, envoy, haproxy, litellm, llmock, nginx, smollm2

Start = Callable[[Path, Backend], AbstractContextManager[Server]]

NGINX_RATE = "limit_req_zone $binary_remote_addr zone=calls:1m rate=40r/s;"
NGINX_BURST = "limit_req zone=calls burst=10 nodelay;"
NGINX_CAP_ZONE = "limit_conn_zone $binary_remote_addr zone=calls:1m;"
NGINX_CAP = "limit_conn calls 16;"
HAPROXY_WINDOW = """stick-table type ip size 1k expire 60s store http_req_rate(10s)
    http-request track-sc0 src
    http-request return status 429 content-type application/json string '{"error":{"message":"too many"}}' hdr Retry-After 10 if { sc_http_req_rate(0) gt 200 }"""
HAPROXY_CAP = {"server": "maxconn 16", "queue": "timeout queue 200ms"}
_ENVOY_BREAKER = "circuit_breakers: {thresholds: [{max_connections: 16, max_pending_requests: 1}]}"
_ENVOY_BUCKET = """- name: envoy.filters.http.local_ratelimit
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
                      stat_prefix: calls
                      token_bucket: {max_tokens: 30, tokens_per_fill: 30, fill_interval: 1s}
                      filter_enabled: {default_value: {numerator: 100, denominator: HUNDRED}}
                      filter_enforced: {default_value: {numerator: 100, denominator: HUNDRED}}"""


@attrs.frozen(kw_only=True)
class Case:
    """A server with a configuration."""

    name: str
    about: str
    start: Start
    rate: float | None
    """Calls per second that the configuration allows; None: measured first, with `pool` calls in flight."""
    pool: int = 1
    """Calls in flight with which the rate is measured if no configuration says it."""
    cap: int | None = None
    """Calls in flight that it allows, or that it works on at a time."""
    window: float = 0.0
    """Seconds of the limiter's window."""
    free: int = 0
    """Calls that it allows besides, at the start."""
    latency: float = 1.0
    """Mean seconds of the service behind it."""
    service_rate: float | None = None
    """Calls per second that the service itself allows; None: any."""
    is_late: float = 0.0
    """Seconds after which the service refuses."""
    client: Literal["gemini", "openai"] = "openai"
    path: str = "/v1"
    """Where its API is."""
    clients: int = 1
    """Programs that share the server."""
    seconds: float = 30.0
    """Seconds that the batch takes if the limit is used fully."""
    options: dict[str, object] = attrs.field(factory=dict)
    """Further arguments of each request."""


def _nginx(zone: str, limit: str) -> Start:
    return lambda folder, backend: nginx(folder, backend, zone=zone, limit=limit)


def _direct(folder: Path, backend: Backend) -> AbstractContextManager[Server]:

    return nullcontext(Server(backend.url, folder, "the benchmark's own service"))


CASES = {
    case.name: case
    for case in (
        Case(
            name="nginx-rate-429",
            about="nginx `limit_req` 40/s, burst 10, refuses with 429",
            start=_nginx(NGINX_RATE, f"{NGINX_BURST} limit_req_status 429;"),
            rate=40.0,
            client="gemini",
        ),
        Case(
            name="nginx-rate-503",
            about="the same, with nginx's default status, 503",
            start=_nginx(NGINX_RATE, NGINX_BURST),
            rate=40.0,
            client="gemini",
        ),
        Case(
            name="nginx-cap-429",
            about="nginx `limit_conn` 16, refuses with 429",
            start=_nginx(NGINX_CAP_ZONE, f"{NGINX_CAP} limit_conn_status 429;"),
            rate=16 / 0.64,
            cap=16,
            latency=0.64,
            client="gemini",
        ),
        Case(
            name="nginx-cap-503",
            about="the same, with nginx's default status, 503",
            start=_nginx(NGINX_CAP_ZONE, NGINX_CAP),
            rate=16 / 0.64,
            cap=16,
            latency=0.64,
            client="gemini",
        ),
        Case(
            name="nginx-cap-429-three",
            about="nginx `limit_conn` 16, refuses with 429, for three programs that share it",
            start=_nginx(NGINX_CAP_ZONE, f"{NGINX_CAP} limit_conn_status 429;"),
            rate=16 / 0.64,
            cap=16,
            latency=0.64,
            client="gemini",
            clients=3,
        ),
        Case(
            name="nginx-cap-503-three",
            about="the same, for three programs that share it",
            start=_nginx(NGINX_CAP_ZONE, NGINX_CAP),
            rate=16 / 0.64,
            cap=16,
            latency=0.64,
            client="gemini",
            clients=3,
        ),
        Case(
            name="haproxy-window",
            about="HAProxy, 200 requests per 10 s by a stick table (refused ones count), 429 with Retry-After 10",
            start=lambda folder, backend: haproxy(folder, backend, limit=HAPROXY_WINDOW),
            rate=20.0,
            window=10.0,
            free=200,
            seconds=50.0,
        ),
        Case(
            name="haproxy-queue",
            about="HAProxy, `maxconn 16`, a queue that answers 503 after 0.2 s",
            start=lambda folder, backend: haproxy(folder, backend, **HAPROXY_CAP),
            rate=16 / 0.64,
            cap=16,
            latency=0.64,
        ),
        Case(
            name="envoy-breaker",
            about="Envoy's circuit breaker, 16 connections and one pending request, refuses with 503",
            start=lambda folder, backend: envoy(folder, backend, breaker=_ENVOY_BREAKER),
            rate=16 / 0.64,
            cap=16,
            latency=0.64,
        ),
        Case(
            name="envoy-rate",
            about="Envoy's local rate limit, 30 tokens each second, refuses with 429",
            start=lambda folder, backend: envoy(folder, backend, http_filter=_ENVOY_BUCKET),
            rate=30.0,
            window=1.0,
        ),
        Case(
            name="llmock",
            about="llmock, 600 calls a minute, says what remains and how long to wait",
            start=lambda folder, _: llmock(folder, "--rpm", "600", "--latency-ms", "50"),
            rate=10.0,
            free=600,
            client="gemini",
            path="/gemini",
        ),
        Case(
            name="aimock-3",
            about="aimock, no limit, 3 % of the calls refused at random with 429 and Retry-After; compared with 32 in flight",
            start=lambda folder, _: aimock(folder, "--chaos-ratelimit", "0.03", "--chaos-latency", "500"),
            rate=32 / 0.5,
            cap=None,
        ),
        Case(
            name="llmock-3",
            about="llmock, no limit, 3 % of the calls refused at random with 429; compared with 32 in flight",
            start=lambda folder, _: llmock(folder, "--latency-ms", "500", "--error-rate-429", "0.03"),
            rate=32 / 0.5,
            client="gemini",
            path="/gemini",
        ),
        Case(
            name="litellm",
            about="LiteLLM's proxy, which itself repeats calls twice, before a service that allows 20/s and refuses with 429; compared with 40 in flight",
            start=lambda folder, backend: litellm(folder, backend, retries=2),
            rate=None,
            pool=40,
            service_rate=20.0,
            latency=0.8,
        ),
        Case(
            name="late",
            about="a service that allows 20/s and refuses after 2 s with 429",
            start=_direct,
            rate=20.0,
            service_rate=20.0,
            latency=0.8,
            is_late=2.0,
            client="gemini",
            path="",
        ),
        Case(
            name="fast",
            about="a service without a limit that answers in 20 ms; compared with 100 in flight",
            start=_direct,
            rate=None,
            pool=100,
            latency=0.02,
            client="gemini",
            path="",
            seconds=15.0,
        ),
        Case(
            name="smollm2",
            about="llama.cpp with SmolLM2-135M, 4 slots on one core, never refuses; compared with 8 in flight",
            start=lambda folder, _: smollm2(folder, slots=4),
            rate=None,
            pool=8,
            cap=4,
            seconds=60.0,
            options={"grammar": "root ::= [a-z]{8}"},  # a short answer that ends by itself
        ),
    )
}
