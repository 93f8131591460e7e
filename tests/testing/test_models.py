"""Model strings of the simulated provider."""

from __future__ import annotations

import contextlib

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.exceptions import ConfigurationError
from paceline.testing import SimulatedError, SimulatedProvider, parse_model

pytestmark = pytest.mark.anyio


async def admitted_at_once(strategy, calls, prompt="abcd"):
    """Make calls at the same moment; return the number that the limits admit."""
    async with anyio.create_task_group() as tasks:

        async def one():
            try:
                await strategy.execute(prompt, 1, 60.0)
            except SimulatedError as error:
                assert error.code == 429  # noqa: PT017

        for _ in range(calls):
            tasks.start_soon(one)
    return strategy.provider.statistics().admitted


@pytest.mark.parametrize(
    ("text", "admitted"),
    [
        ("sim", 50),
        ("sim:latency=2", 50),
        ("sim:rate=20", 20),
        ("sim:rate=0.5", 1),
        ("sim:burst=7", 7),
        ("sim:rate=100,burst=20", 20),
        ("sim:rate=none", 70),
        ("sim:cap=32", 32),
        ("sim:window=12/10", 12),
        ("sim:knee=5", 70),
        ("sim:tokens=60,output=0", 60),
        ("sim: cap = 32 , rate=100,burst=40 , window=60/10", 32),
    ],
)
async def test_the_given_limits_hold_or_the_default_if_there_are_none(text, admitted):
    assert await admitted_at_once(parse_model(text), 70) == admitted


async def test_latency_and_sigma_reach_the_service():
    strategy = parse_model("sim:latency=2.5,sigma=0")
    began = anyio.current_time()
    await strategy.execute("a", 1, 60.0)
    assert anyio.current_time() - began == pytest.approx(2.5, abs=1e-5)


async def test_a_knee_slows_down():
    strategy = parse_model("sim:latency=1,sigma=0,knee=5")
    began = anyio.current_time()
    await admitted_at_once(strategy, 20)
    assert anyio.current_time() - began == pytest.approx(4.0, abs=1e-4)


async def test_hints_and_output_and_seed_reach_the_provider():
    strategy = parse_model("sim:cap=0,hint=one")
    with pytest.raises(SimulatedError) as caught:
        await strategy.execute("a", 1, 60.0)
    assert caught.value.response.headers == {"retry-after": "1"}
    usages = [
        (await parse_model(f"sim:output=5000,seed={seed}").execute("a", 1, 60.0))[1].output_tokens for seed in (1, 1, 2)
    ]
    assert usages[0] == usages[1] != usages[2]
    assert min(usages) > 500


async def test_tokens_are_refilled_by_the_minute():
    strategy = parse_model("sim:tokens=600,output=0,latency=10,sigma=0")
    assert await admitted_at_once(strategy, 700) == 600
    assert await admitted_at_once(strategy, 700) == pytest.approx(700, abs=1)


async def test_faults_are_given_by_kind():
    strategy = parse_model("sim:faults=overloaded:0.25 + denied:0.75")
    codes = set()
    for i in range(40):
        with pytest.raises(SimulatedError) as caught:
            await strategy.execute(f"prompt {i}", 1, 60.0)
        codes.add(caught.value.code)
    assert codes == {401, 503}


def test_the_quota_is_the_complete_model_string_because_each_has_its_own_provider():
    assert parse_model("sim:cap=1").quota == "sim:cap=1"
    assert parse_model("sim:cap=1").model == "sim"
    assert parse_model("sim").provider is not parse_model("sim").provider


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gemini", "model must be sim or sim:key=value,..., not 'gemini'"),
        ("simple:rate=1", "model must be sim or sim:key=value,..., not 'simple:rate=1'"),
        (
            "sim:",
            "an option of sim must be key=value, not ''; the keys are burst, cap, dialect, faults, hint, knee, latency, ",
        ),
        ("sim:rate", "an option of sim must be key=value, not 'rate'; the keys are burst, "),
        ("sim:rate=1,", "an option of sim must be key=value, not ''; the keys are burst, "),
        (
            "sim:speed=3",
            "sim has no option 'speed' (given as speed=3); it has burst, cap, dialect, faults, hint, knee, latency,",
        ),
        ("sim:rate=1,rate=2", "rate is given twice, the second time as '2'"),
        ("sim:rate=fast", "rate must be a number above 0, not 'fast'"),
        ("sim:rate=0", "rate must be a number above 0, not 0.0"),
        ("sim:rate=inf", "rate must be a number above 0, not inf"),
        ("sim:rate=none,burst=3", "burst needs a rate: remove burst=3, or rate=none"),
        ("sim:burst=0.5", "burst must be a number, 1 or more, not 0.5"),
        ("sim:cap=3.5", "cap must be a whole number, 0 or more, not '3.5'"),
        ("sim:knee=0", "knee must be a whole number, 1 or more, not 0"),
        ("sim:window=60", "window must be amount/seconds, such as 60/10, not '60'"),
        ("sim:window=0/10", "the amount of window must be a number, 1 or more, not 0.0"),
        ("sim:window=60/x", "the seconds of window must be a number above 0, not 'x'"),
        ("sim:tokens=0", "tokens must be a number, 1 or more, not 0.0"),
        ("sim:latency=-1", "latency must be a number, 0 or more, not -1.0"),
        ("sim:sigma=9", "sigma must be a number from 0 to 5, not 9.0"),
        ("sim:output=nan", "output must be a number, 0 or more, not nan"),
        ("sim:seed=1.5", "seed must be a whole number, 0 or more, not '1.5'"),
        (
            "sim:hint=maybe",
            "hint must be one of none, exact, ceil, one, or a number of seconds, 0 or more, not 'maybe'",
        ),
        ("sim:faults=overloaded", "faults must be kind:probability+..., such as overloaded:0.01, not 'overloaded'"),
        ("sim:faults=tired:0.1", "faults has no kind 'tired' (given as tired:0.1); it has overloaded, transient, "),
        ("sim:faults=invalid:2", "invalid in faults must be a number from 0 to 1, not 2.0"),
        ("sim:faults=invalid:.1+invalid:.1", "faults has invalid twice, the second time as '.1'"),
        ("sim:faults=invalid:.7+denied:.7", "the probabilities of faults must add up to 1 or less, not 1.4"),
    ],
)
def test_a_wrong_model_string_is_refused_with_its_key_its_value_and_the_known_ones(text, message):
    with pytest.raises(ConfigurationError) as caught:
        parse_model(text)
    assert str(caught.value).startswith(message)


KEYS = st.sampled_from(
    [
        "burst",
        "cap",
        "faults",
        "hint",
        "knee",
        "latency",
        "output",
        "rate",
        "seed",
        "sigma",
        "tokens",
        "window",
        "other",
    ]
)
VALUES = st.one_of(st.text(max_size=9), st.sampled_from(["1", "-1", "0.5", "1e999", "none", "60/10", "invalid:0.1"]))


@given(st.lists(st.builds("{}={}".format, KEYS, VALUES), max_size=3).map(",".join))
def test_any_text_is_a_model_or_a_configuration_error(text):
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse_model(f"sim:{text}").provider, SimulatedProvider)
