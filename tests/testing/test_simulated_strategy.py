"""The strategy that calls a simulated provider."""

from __future__ import annotations

import copy

import pytest

from paceline import FaultKind
from paceline.exceptions import ConfigurationError
from paceline.testing import ConcurrencyCap, Service, SimulatedError, SimulatedProvider, SimulatedStrategy

pytestmark = pytest.mark.anyio


async def test_execute_returns_the_text_and_the_tokens_of_a_call():
    strategy = SimulatedStrategy(SimulatedProvider(Service(latency=0.0)))
    text, usage = await strategy.execute("hello there", 1, 60.0)
    assert text == "simulated: hello there"
    assert usage == strategy.provider.statistics().usage
    assert usage.input_tokens == 3


async def test_the_attempt_reaches_the_provider():
    provider = SimulatedProvider(Service(sigma=0.0))
    strategy = SimulatedStrategy(provider)
    usages = [(await strategy.execute("p", attempt, 60.0))[1] for attempt in (1, 2, 1)]
    assert usages[0] == usages[2] != usages[1]


async def test_errors_are_classified_by_the_strategy():
    strategy = SimulatedStrategy(SimulatedProvider(Service(limits=(ConcurrencyCap(0),), hint="one")))
    with pytest.raises(SimulatedError) as caught:
        await strategy.execute("p", 1, 60.0)
    fault = strategy.error_classifier.classify(caught.value)
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 1.0)


def test_copies_share_the_provider():
    strategy = SimulatedStrategy(SimulatedProvider(Service()))
    assert copy.copy(strategy) is strategy


def test_the_user_may_name_model_and_quota():
    provider = SimulatedProvider(Service())
    assert SimulatedStrategy(provider).quota == "SimulatedStrategy:sim"
    assert SimulatedStrategy(provider, model="large").quota == "SimulatedStrategy:large"
    assert SimulatedStrategy(provider, model="large", quota="shared").quota == "shared"
    assert SimulatedStrategy(provider, model="large").model == "large"


def test_a_provider_of_another_type_is_refused():
    with pytest.raises(ConfigurationError, match="provider must be a SimulatedProvider, not 'sim'"):
        SimulatedStrategy("sim")
