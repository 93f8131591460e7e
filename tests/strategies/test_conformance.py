"""Our own strategies keep the promises of the port: each passes the tests that users have for theirs."""

from __future__ import annotations

from functools import partial

import attrs
import pytest

from paceline import CallableStrategy, CallError, FaultKind, RateLimitError, TokenUsage
from paceline.llm_strategies import ModelEscalation, OutputType, ValidationFeedback
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, StrategyConformance

from .chat_service import ANTHROPIC, OPENAI
from .gemini.service import KEY, Answer

GEMINI_REPLY = {
    "candidates": [{"content": {"parts": [{"text": "good"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
}


@attrs.frozen
class Person:
    name: str


class Simulated(StrategyConformance):
    """Strategies of the simulated provider."""

    virtual_time = True
    test_it_shows_no_secrets = None  # they have none
    kinds = (FaultKind.DENIED, FaultKind.REFUSED, FaultKind.OVERLOADED, FaultKind.TRUNCATED, FaultKind.INVALID)

    def make(self):
        return self.around(partial(simulated, {}))

    def failing(self):
        return {kind: partial(self.around, partial(simulated, {kind: 1.0})) for kind in self.kinds}

    def around(self, new):
        """Return the strategy under test, whose calls are those of `new()`."""
        return new()


def simulated(faults, **options):
    return SimulatedStrategy(SimulatedProvider(Service(latency=1.0, faults=faults, dialect="openai")), **options)


class TestSimulatedStrategy(Simulated):
    pass


class TestTypedSimulatedStrategy(Simulated):
    def around(self, new):
        return new(output_type=OutputType.of(Person))


class TestModelEscalation(Simulated):
    def around(self, new):
        return ModelEscalation([new(model="small"), new(model="large")])


class TestValidationFeedback(Simulated):
    def around(self, new):
        return ValidationFeedback(new(output_type=OutputType.of(Person)))


class TestValidationFeedbackOfALadder(Simulated):
    def around(self, new):
        return ValidationFeedback(ModelEscalation([new(model="small"), new(model="large")]))


class TestCallableStrategy(StrategyConformance):
    virtual_time = True
    test_it_shows_no_secrets = None  # it has none

    def make(self):
        async def answer(prompt):
            return prompt.upper(), TokenUsage(3, 1)

        return CallableStrategy(answer)

    def failing(self):
        async def throttled(prompt):
            raise RateLimitError

        async def cut_off(prompt):
            raise CallError("too long", kind=FaultKind.TRUNCATED)

        return {
            FaultKind.THROTTLED: lambda: CallableStrategy(throttled),
            FaultKind.TRUNCATED: lambda: CallableStrategy(cut_off),
        }


class OfAService(StrategyConformance):
    """Strategies that call the local server."""

    secrets = (KEY,)

    @pytest.fixture(autouse=True)
    def _use_service(self, service):
        self.service = service

    def make(self):
        return self.that_receives(Answer(self.reply))

    def failing(self):
        return {
            FaultKind.THROTTLED: lambda: self.that_receives(Answer({}, 429)),
            FaultKind.DENIED: lambda: self.that_receives(Answer({}, 401)),
            FaultKind.TRANSIENT: lambda: self.that_receives(Answer(hang_up=True)),
            FaultKind.REJECTED: lambda: self.that_receives(Answer({}, 400)),
        }

    def that_receives(self, answer):
        self.service.says(answer)
        return self.strategy()


class TestGemini(OfAService):
    reply = GEMINI_REPLY

    def strategy(self):
        return GeminiStrategy("m", api_key=KEY, base_url=self.service.url)


class TestOpenAI(OfAService):
    reply = OPENAI.reply("good")

    def strategy(self):
        return OPENAI.at(f"{self.service.url}/v1")


class TestAnthropic(OfAService):
    reply = ANTHROPIC.reply("good")

    def strategy(self):
        return ANTHROPIC.at(self.service.url)
