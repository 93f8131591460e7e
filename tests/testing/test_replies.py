"""Reports of limits by the simulated provider, in each dialect."""

from __future__ import annotations

import copy

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core.provider_answers.header_hints import header_quota
from paceline.abc import DefaultErrorClassifier
from paceline.exceptions import ConfigurationError
from paceline.testing import (
    ConcurrencyCap,
    FixedWindow,
    Service,
    SimulatedError,
    SimulatedProvider,
    SimulatedStrategy,
    TokenBucket,
)
from paceline.testing.limits import LimitStatus
from paceline.testing.replies import limit_headers

pytestmark = pytest.mark.anyio

DAY = 86_400.0
WINDOWS = st.floats(0.5, 3600) | st.just(DAY)


def provider(dialect, *limits, **settings):
    settings = {"latency": 1.0, "sigma": 0.0, "refusal_seconds": 0.0, "output_sigma": 0.0} | settings
    return SimulatedProvider(Service(limits=limits, dialect=dialect, **settings))


async def refusal(simulated, prompt="p", calls=50):
    """Make calls; return the fault of the first that is refused."""
    caught = []

    async def call():
        try:
            await simulated.call(prompt)
        except SimulatedError as error:
            caught.append(error)

    async with anyio.create_task_group() as nursery:
        for _ in range(calls):
            nursery.start_soon(call)
    return DefaultErrorClassifier().classify(caught[0])


@pytest.mark.parametrize(
    ("limit", "unit", "period", "value"),
    [
        (TokenBucket(0.5, 1), "requests", 60, 30),
        (TokenBucket(100, 2_000, per="tokens"), "tokens", 60, 6000),
        (FixedWindow(10, 60), "requests", 60, 10),
        (FixedWindow(10, 10), "requests", 60, 60),
        (FixedWindow(1000, 600, per="tokens"), "tokens", 60, 100),
    ],
    ids=str,
)
async def test_gemini_reports_the_quota_that_refused_per_minute(limit, unit, period, value):
    fault = await refusal(provider("gemini", ConcurrencyCap(1000), limit, hint="ceil"))
    assert fault.kind is FaultKind.THROTTLED
    (reported,) = fault.quota.limits
    assert (reported.unit, reported.period, reported.limit, reported.exceeded) == (unit, period, value, True)
    assert fault.retry_after == int(fault.retry_after) >= 1


@pytest.mark.parametrize("measure", ["requests", "tokens"])
async def test_a_daily_window_of_gemini_is_an_exhausted_quota_whatever_the_hint(measure):
    fault = await refusal(provider("gemini", FixedWindow(5, DAY, offset=3600, per=measure), hint="one"))
    assert (fault.kind, fault.retry_after) == (FaultKind.EXHAUSTED, None)
    (reported,) = fault.quota.limits
    assert (reported.unit, reported.period, reported.limit) == (measure, DAY, 5)
    assert 0 < fault.quota.reopens_in <= 25 * 3600


async def test_a_cap_of_gemini_has_no_details():
    fault = await refusal(provider("gemini", ConcurrencyCap(1), hint="one"))
    assert (fault.kind, fault.quota, fault.retry_after) == (FaultKind.THROTTLED, None, None)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_refusals_and_good_replies_report_the_status_of_the_limits(dialect):
    simulated = provider(dialect, TokenBucket(2, 10), FixedWindow(10_000, 60, per="tokens"))
    strategy = copy.copy(SimulatedStrategy(simulated))
    assert strategy.quota_hint is None
    await strategy.execute("p", 1, 60.0)
    requests, tokens = strategy.quota_hint.limits
    assert (requests.unit, requests.limit, requests.remaining) == ("requests", 120, 9)
    assert (tokens.unit, tokens.limit, tokens.remaining) == ("tokens", 10_000, 9899)
    assert not requests.exceeded
    assert (await refusal(simulated)).quota.limits[0].exceeded


async def test_the_period_of_a_bucket_or_window_of_openai_can_be_inferred():
    fault = await refusal(provider("openai", TokenBucket(2, 10)))
    assert (fault.kind, fault.quota.limits[0].period, fault.quota.limits[0].limit) == (FaultKind.THROTTLED, 60, 120)
    fault = await refusal(provider("openai", FixedWindow(7, DAY, offset=DAY - 18_720)))
    assert (fault.kind, fault.quota.reopens_in) == (FaultKind.EXHAUSTED, 18_720)


async def test_reset_times_of_anthropic_are_right_to_the_second_at_any_time_of_the_clock():
    await anyio.sleep(12_345.6)
    limit = (await refusal(provider("anthropic", FixedWindow(3, 60, offset=20)))).quota.limits[0]
    assert 40 <= limit.reset <= 42


async def test_of_two_limits_with_the_same_measure_the_one_that_refused_is_reported():
    loose, tight = FixedWindow(100, 60), FixedWindow(3, DAY)
    assert (await refusal(provider("openai", loose, tight))).quota.limits[0].limit == 3


async def test_items_share_a_strategy_only_if_good_replies_report_no_limits():
    silent, reporting = provider("gemini", TokenBucket(1, 1)), provider("openai", TokenBucket(1, 1))
    stepped = SimulatedProvider(Service(), steps=[(5.0, Service(dialect="anthropic"))])
    for simulated, shared in ((silent, True), (reporting, False), (stepped, False)):
        strategy = SimulatedStrategy(simulated, model="m", quota="q")
        twin = copy.copy(strategy)
        assert (twin is strategy) is shared
        assert (type(twin), twin.provider, twin.model, twin.quota) == (SimulatedStrategy, simulated, "m", "q")


async def test_each_call_has_the_headers_of_its_own_admission():
    strategy = SimulatedStrategy(provider("openai", FixedWindow(100, 60)))
    twins = [copy.copy(strategy) for _ in range(5)]
    async with anyio.create_task_group() as nursery:
        for twin in twins:
            nursery.start_soon(twin.execute, "p", 1, 60.0)
    assert sorted(twin.quota_hint.limits[0].remaining for twin in twins) == [95, 96, 97, 98, 99]
    assert strategy.quota_hint is None


@given(
    st.builds(TokenBucket, st.floats(0.02, 1e4), st.floats(1, 1e4))
    | st.builds(FixedWindow, st.integers(1, 10**6), WINDOWS),
    st.integers(0, 200),
    st.floats(0, 2e5),
)
def test_headers_of_openai_never_report_much_less_than_is_allowed(limit, calls, later):
    meter = limit.meter()
    for _ in range(calls):
        if not meter.wait(0.0, 1, 0):
            meter.charge(0.0, 1)
    reported = header_quota(limit_headers("openai", [meter.status(later)], later), wall_time=0.0).limits[0]
    truth = limit.rate if isinstance(limit, TokenBucket) else limit.amount / limit.seconds
    if reported.period is not None:
        assert reported.limit + 0.5 >= 0.99 * truth * reported.period


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0.0, "0s"), (0.02, "20ms"), (1.0, "1s"), (7.66, "7.66s"), (360.0, "6m0s"), (3723.5, "1h2m3.5s")],
        (86_399.0, "23h59m59s"),
    ],
)
def test_a_wait_is_written_in_the_notation_of_go(seconds, text):
    status = LimitStatus(per="requests", amount=5, period=60, remaining=5, reset=seconds)
    assert limit_headers("openai", [status], 0.0)["x-ratelimit-reset-requests"] == text


def test_an_unknown_dialect_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="dialect must be one of none, gemini, openai, anthropic, not 'x'"):
        Service(dialect="x")
