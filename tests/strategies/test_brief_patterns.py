"""Six patterns that users write by hand, with google-genai's own client: escalation, feedback, cache, middleware, observer, scaling."""

from __future__ import annotations

import json
from collections import Counter

import httpx2
import pytest
from google import genai
from google.genai import types
from pydantic import BaseModel, ValidationError

from paceline import LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig
from paceline.abc import BaseObserver
from paceline.llm_strategies.gemini.errors import GeminiErrorClassifier
from paceline.middleware import Middleware
from paceline.observers import ProcessingEvent

from .gemini.service import KEY, Answer, Received, Service, refusal, reply

pytestmark = pytest.mark.anyio


class Person(BaseModel):
    name: str
    age: int


GOOD, BAD = '{"name": "Ada", "age": 36}', '{"name": "Ada", "age": "unknown"}'


class Models(Service):
    """Answers well from its best model, or after feedback; keeps contexts; refuses every fourth call at first."""

    def __init__(self, *, refusals: int = 0) -> None:
        super().__init__()
        self.says(Answer(reply(GOOD)))
        self.refusals = refusals
        self.calls: Counter[str] = Counter()

    def answer_to(self, received: Received) -> Answer:
        super().answer_to(received)
        model = received.path.rpartition("models/")[2].partition(":")[0]
        self.calls[model] += 1
        if self.refusals and self.calls[model] % 4 == 0:
            self.refusals -= 1
            return Answer(refusal(429, "RESOURCE_EXHAUSTED"), status=429)
        has_feedback = "Fix these: age" in json.dumps(received.body)
        return Answer(reply(GOOD if model == "best" or has_feedback else BAD))


class ByHand(LLMCallStrategy[Person]):
    """What all of them share: the user's own client, and its errors read as Gemini's."""

    error_classifier = GeminiErrorClassifier()

    def __init__(self, client: genai.Client) -> None:
        self.client = client

    async def ask(self, prompt: str, model: str):
        response = await self.client.aio.models.generate_content(model=model, contents=prompt)
        usage = response.usage_metadata
        tokens = {
            "input_tokens": usage.prompt_token_count,
            "output_tokens": usage.candidates_token_count,
            "total_tokens": usage.total_token_count,
        }
        return response.text, tokens


class SmartEscalation(ByHand):
    MODELS = ("cheap", "medium", "best")

    def __init__(self, client: genai.Client) -> None:
        super().__init__(client)
        self.validation_failures = 0

    async def on_error(self, exception: Exception, attempt: int) -> None:
        if isinstance(exception, ValidationError):
            self.validation_failures += 1

    async def execute(self, prompt: str, attempt: int, timeout: float):
        text, tokens = await self.ask(prompt, self.MODELS[min(self.validation_failures, 2)])
        return Person.model_validate_json(text), tokens


class SmartRetry(ByHand):
    def __init__(self, client: genai.Client) -> None:
        super().__init__(client)
        self.last_error = None

    async def on_error(self, exception: Exception, attempt: int) -> None:
        if isinstance(exception, ValidationError):
            self.last_error = exception

    async def execute(self, prompt: str, attempt: int, timeout: float):
        if self.last_error is not None:
            prompt += " Fix these: " + ", ".join(str(error["loc"][0]) for error in self.last_error.errors())
        text, tokens = await self.ask(prompt, "cheap")
        return Person.model_validate_json(text), tokens


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return request.param  # sockets know no virtual time


@pytest.fixture
def service():
    with Models() as models:
        yield models


@pytest.fixture
async def client(service):
    async with httpx2.AsyncClient(timeout=None) as pool:
        options = types.HttpOptions(base_url=service.url, api_version="v1beta", httpx_async_client=pool)
        yield genai.Client(api_key=KEY, http_options=options)


async def run(strategies, **options):
    """Run an item for each strategy; return the batch and the statistics."""
    async with ParallelBatchProcessor(config=ProcessorConfig(max_workers=5), **options) as processor:
        for index, strategy in enumerate(strategies):
            await processor.add_work(LLMWorkItem(item_id=f"q{index}", strategy=strategy, prompt=f"Who is {index}?"))
        return await processor.process_all(), await processor.get_stats()


@pytest.mark.parametrize("shared", [True, False], ids=["one instance", "one each"])
async def test_escalation_by_hand(service, client, shared):
    one = SmartEscalation(client)
    batch, _ = await run([one if shared else SmartEscalation(client) for _ in range(6)])
    assert [result.output for result in batch.results] == [Person(name="Ada", age=36)] * 6
    assert service.calls == {"cheap": 6, "medium": 6, "best": 6}


@pytest.mark.parametrize("shared", [True, False], ids=["one instance", "one each"])
async def test_feedback_by_hand(service, client, shared):
    one = SmartRetry(client)
    batch, _ = await run([one if shared else SmartRetry(client) for _ in range(6)])
    assert batch.succeeded == 6
    assert service.calls == {"cheap": 12}


async def test_middleware_and_observer_by_hand(service, client):
    lines = []

    class Logging(Middleware):
        async def before_process(self, work_item: LLMWorkItem) -> None:
            lines.append(f"Starting {work_item.item_id}")

        async def after_process(self, result) -> None:
            lines.append(f"{'Success' if result.success else 'Failed'}: {result.item_id}")

        async def on_retry(self, work_item: LLMWorkItem, attempt: int, error: Exception) -> None:
            lines.append(f"Retry {attempt} for {work_item.item_id}: {type(error).__name__}")

    class CostTracker(BaseObserver):
        def __init__(self) -> None:
            self.total_tokens = 0

        async def on_event(self, event: ProcessingEvent, data) -> None:
            if event == ProcessingEvent.ITEM_COMPLETED:
                self.total_tokens += data.get("tokens", {}).get("total_tokens", 0)

    tracker = CostTracker()
    batch, _ = await run([SmartRetry(client)], middlewares=[Logging()], observers=[tracker])
    assert batch.succeeded == 1
    assert lines == ["Starting q0", "Retry 1 for q0: ValidationError", "Success: q0"]
    assert tracker.total_tokens == 10


async def test_fewer_workers_for_the_next_batch_by_hand(service, client):
    service.refusals = 3
    config = ProcessorConfig(max_workers=10, timeout_per_item=30.0)
    async with ParallelBatchProcessor(config=config) as processor:
        for index in range(10):
            await processor.add_work(LLMWorkItem(item_id=f"q{index}", strategy=SmartEscalation(client), prompt="Who?"))
        result = await processor.process_all()
        stats = await processor.get_stats()
        assert result.succeeded == 10
        assert stats["rate_limit_count"] == 3
        processor.config.max_workers = 3
        await processor.add_work(LLMWorkItem(item_id="again", strategy=SmartEscalation(client), prompt="Who?"))
        assert (await processor.process_all()).succeeded == 1
