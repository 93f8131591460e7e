"""Patterns that users write by hand: strategies with mutable attributes."""

from __future__ import annotations

import anyio
import pydantic
import pytest

from paceline import LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, RateLimitError
from paceline.abc import BaseObserver
from paceline.middleware import Middleware
from paceline.observers import ProcessingEvent

pytestmark = pytest.mark.anyio


class Person(pydantic.BaseModel):
    name: str
    age: int


class Client:
    """Answers correctly only from its best model, or after feedback on the wrong field."""

    def __init__(self):
        self.calls = []

    async def generate(self, prompt, model="only"):
        self.calls.append((model, prompt))
        await anyio.sleep(1)
        good = model == "best" or "Fix these: age" in prompt
        return '{"name": "Ada", "age": 36}' if good else '{"name": "Ada", "age": "unknown"}'


TOKENS = {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}


class Escalation(LLMCallStrategy[Person]):
    MODELS = ("cheap", "medium", "best")

    def __init__(self, client):
        self.client = client
        self.validation_failures = 0

    async def on_error(self, exception: Exception, attempt: int):
        if isinstance(exception, pydantic.ValidationError):
            self.validation_failures += 1

    async def execute(self, prompt: str, attempt: int, timeout: float):
        model = self.MODELS[min(self.validation_failures, len(self.MODELS) - 1)]
        text = await self.client.generate(prompt, model=model)
        return Person.model_validate_json(text), TOKENS


class Feedback(LLMCallStrategy[Person]):
    def __init__(self, client):
        self.client = client
        self.last_error = None

    async def on_error(self, exception: Exception, attempt: int):
        if isinstance(exception, pydantic.ValidationError):
            self.last_error = exception

    async def execute(self, prompt: str, attempt: int, timeout: float):
        if self.last_error is not None:
            fields = ", ".join(str(error["loc"][0]) for error in self.last_error.errors())
            prompt = f"{prompt} Fix these: {fields}"
        return Person.model_validate_json(await self.client.generate(prompt)), TOKENS


@pytest.mark.parametrize("shared", [True, False])
async def test_escalation_by_hand_climbs_for_each_item_by_itself(shared):
    client = Client()
    strategy = Escalation(client)
    async with ParallelBatchProcessor(config=ProcessorConfig(max_workers=5)) as processor:
        for i in range(20):
            own = strategy if shared else Escalation(client)
            await processor.add_work(LLMWorkItem(item_id=f"q{i}", strategy=own, prompt=f"p{i}"))
        batch = await processor.process_all()
    assert [result.output.age for result in batch.results] == [36] * 20
    for i in range(20):
        assert [model for model, prompt in client.calls if prompt == f"p{i}"] == ["cheap", "medium", "best"]


async def test_feedback_by_hand_names_the_wrong_fields_to_the_model():
    client = Client()
    async with ParallelBatchProcessor() as processor:
        await processor.add_work(LLMWorkItem(item_id="q", strategy=Feedback(client), prompt="Who?"))
        batch = await processor.process_all()
    assert batch.succeeded == 1
    assert [prompt for _, prompt in client.calls] == ["Who?", "Who? Fix these: age"]


async def test_a_logging_middleware_and_a_cost_observer():
    lines = []

    class Logging(Middleware):
        async def before_process(self, work_item: LLMWorkItem):
            lines.append(f"Starting {work_item.item_id}")

        async def after_process(self, result):
            lines.append(f"{'Success' if result.success else 'Failed'}: {result.item_id}")

        async def on_retry(self, work_item: LLMWorkItem, attempt: int, error: Exception):
            lines.append(f"Retry {attempt} for {work_item.item_id}")

    class Cost(BaseObserver):
        total = 0

        async def on_event(self, event, data):
            if event == ProcessingEvent.ITEM_COMPLETED:
                self.total += data.get("tokens", {}).get("total_tokens", 0)

    cost = Cost()
    async with ParallelBatchProcessor(config=ProcessorConfig(), middlewares=[Logging()], observers=[cost]) as processor:
        await processor.add_work(LLMWorkItem(item_id="q", strategy=Feedback(Client()), prompt="Who?"))
        await processor.process_all()
    assert lines == ["Starting q", "Retry 1 for q", "Success: q"]
    assert cost.total == 10


async def test_fewer_workers_for_the_next_batch():
    busy = []

    class Limited(LLMCallStrategy[str]):
        async def execute(self, prompt: str, attempt: int, timeout: float):
            if len(busy) >= 4:
                raise RateLimitError
            busy.append(prompt)
            try:
                await anyio.sleep(1)
            finally:
                busy.remove(prompt)
            return prompt, TOKENS

    config = ProcessorConfig(max_workers=10, timeout_per_item=30.0)
    async with ParallelBatchProcessor(config=config) as processor:
        for batch in range(2):
            for i in range(30):
                await processor.add_work(LLMWorkItem(item_id=f"{i}", strategy=Limited(), prompt=f"{batch}-{i}"))
            result = await processor.process_all()
            assert result.succeeded == 30
            stats = await processor.get_stats()
            if batch == 0:
                assert stats["rate_limit_count"] > 5
                before = stats["rate_limit_count"]
                processor.config.max_workers = 3
    assert stats["rate_limit_count"] == before
