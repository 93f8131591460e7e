"""The simulated provider: admission, refusals, faults, cancellation, steps and statistics."""

from __future__ import annotations

import math
import statistics

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline import CallError, FaultKind, TokenUsage
from paceline.abc import DefaultErrorClassifier
from paceline.exceptions import ConfigurationError
from paceline.testing import ConcurrencyCap, FixedWindow, Reply, Service, SimulatedError, SimulatedProvider, TokenBucket
from paceline.testing.service import FAULTS

from ..search import examples

pytestmark = pytest.mark.anyio

STEADY = Service(latency=1.0, sigma=0.0, refusal_seconds=0.0, output_tokens=0)


async def outcome(provider, prompt, attempt=1):
    """Make a call; return its fault, or "served"."""
    try:
        await provider.call(prompt, attempt)
    except (SimulatedError, CallError) as error:
        return DefaultErrorClassifier().classify(error)
    return "served"


async def gather(provider, arrivals, patience=math.inf):
    """Make calls at the given times; return (outcome, time of the outcome) of each, in order."""
    ends, began = {}, anyio.current_time()

    async def one(i, at):
        await anyio.sleep(at)
        result = "abandoned"
        with anyio.move_on_after(patience):
            result = await outcome(provider, f"prompt {i}")
        ends[i] = str(getattr(result, "kind", result)), anyio.current_time() - began

    async with anyio.create_task_group() as tasks:
        for i, at in enumerate(arrivals):
            tasks.start_soon(one, i, at)
    return [ends[i] for i in range(len(arrivals))]


def words(ends):
    return [word for word, _ in ends]


def service(*limits, **settings):
    return Service(limits=limits, latency=1.0, sigma=0.0, refusal_seconds=0.0, output_tokens=0, **settings)


async def test_a_call_is_answered_after_its_latency_with_its_tokens():
    provider = SimulatedProvider(STEADY, answer=str.upper)
    began = anyio.current_time()
    assert await provider.call("twelve chars") == Reply("TWELVE CHARS", TokenUsage(3, 0))
    assert anyio.current_time() - began == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("status", [429, 503, 529])
async def test_a_limit_refuses_with_the_status_of_its_service(status):
    provider = SimulatedProvider(service(TokenBucket(0.1, 1), refusal_status=status, hint=30))
    await provider.call("first")
    with pytest.raises(SimulatedError, match=f"{status} over the limit of 0.1 requests a second") as caught:
        await provider.call("second")
    assert (caught.value.code, caught.value.is_refusal) == (status, True)
    assert caught.value.response.headers["retry-after"] == "30"
    assert provider.statistics().refused == 1


async def test_a_503_by_chance_is_a_fault_and_not_a_refusal():
    provider = SimulatedProvider(Service(faults={FaultKind.OVERLOADED: 1.0}, refusal_status=503))
    with pytest.raises(SimulatedError) as caught:
        await provider.call("a prompt")
    assert (caught.value.code, caught.value.is_refusal) == (503, False)


async def test_a_share_of_the_calls_is_refused_by_chance_however_few_there_are():
    provider = SimulatedProvider(service(shed_share=0.2))
    ends = await gather(provider, [2.0 * i for i in range(1_000)])
    assert words(ends).count("throttled") == provider.statistics().refused == pytest.approx(200, abs=40)


async def test_a_call_that_was_refused_by_chance_is_admitted_in_the_end_and_its_times_are_forgotten():
    provider = SimulatedProvider(service(shed_share=0.9))
    tries = [0] * 50
    for i in range(50):
        while await outcome(provider, f"prompt {i}") != "served":
            tries[i] += 1
    assert statistics.mean(tries) == pytest.approx(9, rel=0.5)
    assert len(set(tries)) > 5


async def test_a_refusal_by_chance_takes_nothing_from_a_limit():
    provider = SimulatedProvider(service(TokenBucket(0.001, 500), shed_share=0.5))
    while provider.statistics().served < 500:
        await outcome(provider, f"prompt {provider.statistics().served}")
    assert provider.statistics().refused > 300


async def test_a_bucket_that_shuts_admits_nothing_until_its_time_is_over():
    ends = await gather(SimulatedProvider(service(TokenBucket(4, 2, shut_seconds=1.0))), [0.1 * i for i in range(16)])
    assert words(ends) == ["served"] * 2 + ["throttled"] * 10 + ["served"] * 2 + ["throttled"] * 2


async def test_calls_above_the_slots_wait_in_line_and_are_in_flight():
    provider = SimulatedProvider(Service(latency=1.0, sigma=0.0, slots=2))
    ends = await gather(provider, [0.0, 0.1, 0.2, 0.3, 0.4])
    assert [round(at, 1) for _, at in ends] == [1.0, 1.1, 2.0, 2.1, 3.0]
    assert provider.statistics().peak_in_flight == 5


async def test_a_call_that_is_cancelled_in_line_frees_its_turn():
    provider = SimulatedProvider(Service(latency=1.0, sigma=0.0, slots=1))
    ends = await gather(provider, [0.0, 0.1, 5.0], patience=1.05)
    assert words(ends) == ["served", "abandoned", "served"]


async def test_a_change_of_the_slots_holds_for_the_calls_in_line():
    few, many = (Service(latency=1.0, sigma=0.0, slots=slots) for slots in (1, 3))
    ends = await gather(SimulatedProvider(few, steps=[(0.5, many)]), [0.0, 0.1, 0.2, 0.6])
    assert [round(at, 1) for _, at in ends] == [1.0, 1.6, 1.6, 2.0]


async def test_by_default_the_prompt_comes_back_marked_as_simulated():
    reply = await SimulatedProvider(STEADY).call("hello")
    assert reply.text == "simulated: hello"


async def test_a_bucket_refuses_calls_above_its_level():
    ends = await gather(SimulatedProvider(service(TokenBucket(2, 3))), [0.1 * i for i in range(8)])
    assert words(ends) == ["served"] * 3 + ["throttled"] * 2 + ["served"] + ["throttled"] * 2


async def test_a_window_refuses_until_the_next():
    ends = await gather(SimulatedProvider(service(FixedWindow(2, 10, offset=9))), [0, 0.5, 0.9, 1.01, 2, 3, 11.1])
    assert words(ends) == ["served", "served", "throttled", "served", "served", "throttled", "served"]


async def test_a_cap_refuses_until_a_call_ends():
    ends = await gather(SimulatedProvider(service(ConcurrencyCap(2))), [0, 0.1, 0.2, 0.9, 1.05, 1.06, 1.2])
    assert words(ends) == ["served", "served", "throttled", "throttled", "served", "throttled", "served"]


async def test_a_limit_in_tokens_is_charged_with_what_a_call_reads_and_writes():
    provider = SimulatedProvider(service(TokenBucket(1, 100, per="tokens")))
    assert await outcome(provider, "x" * 320) == "served"  # 80 tokens, of which 1 is refilled
    assert (await outcome(provider, "x" * 320)).kind is FaultKind.THROTTLED
    assert await outcome(provider, "x" * 80) == "served"


async def test_a_call_refused_by_one_limit_is_not_charged_to_another():
    provider = SimulatedProvider(service(TokenBucket(0.001, 2), ConcurrencyCap(1)))
    ends = await gather(provider, [0, 0.1, 0.2, 0.3, 1.1])
    assert words(ends) == ["served", "throttled", "throttled", "throttled", "served"]


async def test_a_refusal_takes_its_own_time():
    provider = SimulatedProvider(Service(limits=(ConcurrencyCap(0),)))
    ends = await gather(provider, [0] * 50)
    times = [time for _, time in ends]
    assert 0.105 <= min(times) < statistics.mean(times) < max(times) <= 0.1951


@pytest.mark.parametrize(("hint", "seconds"), [("none", None), ("exact", 2.75), ("ceil", 3.0), ("one", 1.0)])
async def test_a_refusal_carries_the_hint_of_the_service(hint, seconds):
    provider = SimulatedProvider(service(TokenBucket(0.25, 1), hint=hint))
    assert await outcome(provider, "a") == "served"
    await anyio.sleep(0.25)
    fault = await outcome(provider, "a")
    assert fault.kind is FaultKind.THROTTLED
    assert "over the limit of 0.25 requests a second, 1 at once" in fault.message
    assert fault.retry_after == (seconds if seconds is None else pytest.approx(seconds, abs=0.002))


async def test_a_caller_that_waits_for_an_exact_hint_is_served():
    provider = SimulatedProvider(service(TokenBucket(3, 1), FixedWindow(4, 7), hint="exact"))
    for i in range(20):
        fault = await outcome(provider, f"prompt {i}")
        if fault != "served":
            await anyio.sleep(fault.retry_after)
            assert await outcome(provider, f"prompt {i}") == "served"


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind is not FaultKind.TIMEOUT])
async def test_every_fault_is_classified_as_the_kind_that_was_configured(kind):
    provider = SimulatedProvider(Service(faults={kind: 1.0}))
    fault = await outcome(provider, "a")
    assert fault.kind is kind
    assert fault.message
    assert provider.statistics().faulted == 1


async def test_faults_on_arrival_come_early_and_cost_no_quota():
    bad = service(TokenBucket(0.001, 1), faults={FaultKind.OVERLOADED: 1.0}, fault_seconds=0.3)
    provider = SimulatedProvider(bad, steps=((10.0, service(TokenBucket(0.001, 1))),))
    ends = await gather(provider, [0, 0, 0, 11])
    assert ends[0] == ("overloaded", pytest.approx(0.3, abs=1e-5))
    assert ends[3][0] == "served"
    assert provider.statistics().admitted == 1


async def test_faults_of_the_answer_come_late_and_cost_tokens():
    provider = SimulatedProvider(Service(latency=2.0, sigma=0.0, faults={FaultKind.INVALID: 1.0}))
    began = anyio.current_time()
    with pytest.raises(CallError) as caught:
        await provider.call("some prompt")
    assert anyio.current_time() - began == pytest.approx(2.0, abs=1e-5)
    assert caught.value.usage == provider.statistics().usage
    assert caught.value.usage.output_tokens > 0


async def test_a_timeout_stays_in_flight_until_it_is_cancelled():
    provider = SimulatedProvider(service(ConcurrencyCap(1), faults={FaultKind.TIMEOUT: 1.0}))
    assert await gather(provider, [0, 4999], patience=5000.0) == [
        ("abandoned", pytest.approx(5000.0)),
        ("throttled", pytest.approx(4999.0)),
    ]
    assert provider.statistics().abandoned == 1
    assert provider.statistics().in_flight == 0


@pytest.mark.parametrize("knee", [None, 1])
async def test_a_cancelled_call_frees_its_place_at_once(knee):
    provider = SimulatedProvider(service(ConcurrencyCap(1), knee=knee))
    with anyio.move_on_after(0.5):
        await provider.call("a")
    assert provider.statistics().in_flight == 0
    assert await outcome(provider, "a") == "served"
    assert provider.statistics().abandoned == 1


async def test_calls_above_the_knee_slow_each_other_down_and_a_cancelled_one_speeds_the_rest_up():
    provider = SimulatedProvider(service(knee=1))
    assert await gather(provider, [0, 0]) == [("served", pytest.approx(2.0, abs=1e-5))] * 2
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, provider, "a")
        with anyio.move_on_after(1.0):
            await provider.call("b")
    assert anyio.current_time() - began == pytest.approx(1.5, abs=1e-5)


async def test_steps_change_the_service_in_time_from_the_first_call():
    await anyio.sleep(17.0)
    slow = Service(latency=3.0, sigma=0.0, refusal_seconds=0.0)
    outage = Service(limits=(ConcurrencyCap(0),), refusal_seconds=0.0)
    provider = SimulatedProvider(STEADY, steps=((10.0, slow), (20.0, outage), (30.0, STEADY)))
    assert await gather(provider, [0, 9.9, 10.1, 19.9, 20.1, 29.9, 30.1]) == [
        ("served", pytest.approx(1.0, abs=1e-5)),
        ("served", pytest.approx(10.9, abs=1e-5)),
        ("served", pytest.approx(13.1, abs=1e-5)),
        ("served", pytest.approx(22.9, abs=1e-5)),
        ("throttled", pytest.approx(20.1, abs=1e-5)),
        ("throttled", pytest.approx(29.9, abs=1e-5)),
        ("served", pytest.approx(31.1, abs=1e-5)),
    ]


async def test_a_bucket_keeps_its_level_over_a_step_as_far_as_the_new_one_holds_it():
    steps = ((10.0, service(TokenBucket(0.001, 2))),)
    provider = SimulatedProvider(service(TokenBucket(0.001, 9)), steps=steps)
    assert words(await gather(provider, [0] * 5 + [11] * 4)).count("served") == 7
    provider = SimulatedProvider(service(TokenBucket(0.001, 9)), steps=steps)
    assert words(await gather(provider, [0] * 8 + [11] * 4)).count("served") == 9


async def test_a_step_that_is_noticed_late_holds_from_its_own_time():
    provider = SimulatedProvider(service(TokenBucket(1, 100)), steps=((5.0, service(TokenBucket(10, 100))),))
    assert words(await gather(provider, [0] * 100 + [7] * 30)).count("served") == 100 + 5 + 20


async def test_a_knee_that_comes_with_a_step_slows_calls_in_flight():
    provider = SimulatedProvider(STEADY, steps=((0.5, service(knee=1)),))
    ends = await gather(provider, [0, 0])
    assert [time for _, time in ends] == pytest.approx([1.5, 1.5], abs=1e-5)


async def test_a_repeated_call_after_throttling_draws_the_same_chance():
    limited = Service(limits=(ConcurrencyCap(0),))
    provider = SimulatedProvider(limited, steps=((10.0, Service(sigma=1.0)),), seed=3)
    free = SimulatedProvider(Service(sigma=1.0), seed=3)
    assert (await outcome(provider, "a")).kind is FaultKind.THROTTLED
    await anyio.sleep(10.0)
    began = anyio.current_time()
    reply = await provider.call("a")
    seconds = anyio.current_time() - began
    began = anyio.current_time()
    assert await free.call("a") == reply
    assert anyio.current_time() - began == pytest.approx(seconds, abs=1e-5)


async def test_statistics_count_every_call():
    provider = SimulatedProvider(service(ConcurrencyCap(3)))
    await gather(provider, [0, 0.5, 0.6, 0.7, 2.0])
    seen = provider.statistics()
    assert (seen.calls, seen.admitted, seen.served, seen.refused) == (5, 4, 4, 1)
    assert (seen.faulted, seen.abandoned, seen.in_flight, seen.peak_in_flight) == (0, 0, 0, 3)
    assert seen.busy_seconds == pytest.approx(4.0, abs=1e-4)
    assert seen.admitted_tokens == seen.usage.total_tokens == 4 * 2


MIXED = Service(
    limits=(TokenBucket(7.7, 5), ConcurrencyCap(6)),
    latency=0.5,
    hint="exact",
    faults=dict.fromkeys(FAULTS, 0.05),
    knee=4,
)


@settings(max_examples=examples(30))
@given(st.integers(0, 999), st.lists(st.integers(0, 9_999), unique=True, min_size=1, max_size=60))
def test_both_backends_have_the_same_outcomes_and_every_call_has_exactly_one(on_both, seed, milliseconds):
    # Thirteenths of a second, so that no call arrives at the moment when the bucket reaches the cost of a call.
    arrivals = [each / 1_300 for each in milliseconds]

    async def main():
        provider = SimulatedProvider(MIXED, seed=seed)
        return await gather(provider, arrivals, patience=3.0), provider.statistics()

    (trio_ends, trio_seen), (asyncio_ends, asyncio_seen) = on_both(main)
    assert words(trio_ends) == words(asyncio_ends)
    assert [time for _, time in trio_ends] == pytest.approx([time for _, time in asyncio_ends], abs=1e-3)
    assert trio_seen.usage == asyncio_seen.usage
    for seen in (trio_seen, asyncio_seen):
        assert seen.calls == len(arrivals) == seen.served + seen.refused + seen.faulted + seen.abandoned
        assert seen.in_flight == 0
        assert seen.peak_in_flight <= 6


@given(st.lists(st.text(max_size=5), min_size=2, max_size=20, unique=True), st.randoms())
@settings(max_examples=examples(30))
def test_the_outcome_of_an_item_does_not_depend_on_the_order_of_arrival(on_both, prompts, order):
    shuffled = list(prompts)
    order.shuffle(shuffled)

    async def main(arriving):
        provider, outcomes = SimulatedProvider(Service(faults={FaultKind.INVALID: 0.3, FaultKind.TRANSIENT: 0.3})), {}
        for prompt in arriving:
            began = anyio.current_time()
            result = await outcome(provider, prompt)
            outcomes[prompt] = str(getattr(result, "kind", result)), round(anyio.current_time() - began, 4)
        return outcomes

    for one, other in zip(on_both(main, prompts), on_both(main, shuffled), strict=True):
        for prompt in prompts:
            assert one[prompt][0] == other[prompt][0]
            assert one[prompt][1] == pytest.approx(other[prompt][1], abs=2e-4)


def test_each_run_of_an_event_loop_starts_over_and_the_counts_continue(on_both):
    provider = SimulatedProvider(service(TokenBucket(0.001, 2)), steps=((5.0, service(ConcurrencyCap(0))),))

    async def main():
        await anyio.sleep(100.0 if provider.statistics().calls == 0 else 1.0)
        return words(await gather(provider, [0, 1, 2, 6]))

    assert on_both(main) == (["served", "served", "throttled", "throttled"],) * 2
    assert provider.statistics().calls == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"service": 5}, "service must be a Service, not 5"),
        ({"steps": 5}, "steps must be pairs of a time and a Service, not 5"),
        ({"steps": (5,)}, "a step must be a pair of a time and a Service, not 5"),
        ({"steps": ((5, 6),)}, "a step must be a pair of a time and a Service, not (5, 6)"),
        ({"steps": ((0, STEADY),)}, "the time of a step must be a number above 0, not 0"),
        ({"steps": ((9, STEADY), (8, STEADY))}, "the time of a step must be a number above 9, not 8"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, not -1"),
    ],
)
def test_a_wrong_argument_of_a_provider_is_refused_with_its_bound(arguments, message):
    with pytest.raises(ConfigurationError) as caught:
        SimulatedProvider(**{"service": STEADY, **arguments})
    assert str(caught.value) == message


async def test_faults_of_calls_are_as_frequent_as_configured():
    provider = SimulatedProvider(Service(latency=0.0, sigma=0.0, fault_seconds=0.0, faults={FaultKind.OVERLOADED: 0.1}))
    await gather(provider, [0] * 1_000)
    assert provider.statistics().faulted == pytest.approx(100, abs=25)
