"""The real google-genai client against a real HTTP server: typed outputs, prompts of parts, prices."""

from __future__ import annotations

import base64
import json

import attrs
import pytest
from pydantic import BaseModel

from paceline import FaultKind, InvalidOutputError, LLMWorkItem, Media, Price, TokenUsage, process_prompts
from paceline.llm_strategies.gemini import GeminiStrategy

from .service import KEY, Answer, prepared, reply

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


class Person(BaseModel):
    name: str
    age: int


@attrs.frozen
class Town:
    name: str


@pytest.mark.parametrize(
    ("kind", "text", "output"),
    [(Person, '{"name": "Ada", "age": 36}', Person(name="Ada", age=36)), (Town, '{"name": "Ulm"}', Town("Ulm"))],
    ids=["pydantic", "attrs"],
)
async def test_an_answer_is_of_the_type_that_was_asked_for(service, kind, text, output):
    service.says(Answer(reply(text)))
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, output_type=kind)) as item:
        assert await item.execute("who?", 1, 60.0) == (output, TokenUsage(7, 3, 0, 10))
    sent = service.received[0].body["generationConfig"]
    assert sent["responseMimeType"] == "application/json"
    assert set(sent["responseJsonSchema"]["properties"]) == set(json.loads(text))


async def test_an_answer_that_is_not_of_its_type_is_invalid_with_its_problems_and_is_paid(service):
    service.says(Answer(reply('{"name": "Ada", "age": "old"}')))
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, output_type=Person)) as item:
        with pytest.raises(InvalidOutputError) as caught:
            await item.execute("who?", 1, 60.0)
        assert item.error_classifier.classify(caught.value).kind is FaultKind.INVALID
    assert caught.value.usage == TokenUsage(7, 3, 0, 10)
    assert [problem.path for problem in caught.value.problems] == ["age"]
    assert service.requests == 1


async def test_a_text_is_asked_for_without_a_schema_and_given_as_it_is(service):
    service.says(Answer(reply('{"name": 5}')))
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        assert (await item.execute("who?", 1, 60.0))[0] == '{"name": 5}'
    assert not service.received[0].body["generationConfig"]


async def test_a_users_own_schema_is_sent_where_the_output_is_text(service):
    service.says(Answer(reply("{}")))
    config = {"response_mime_type": "application/json", "response_json_schema": {"type": "object"}}
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, config=config)) as item:
        await item.execute("who?", 1, 60.0)
    assert service.received[0].body["generationConfig"]["responseJsonSchema"] == {"type": "object"}


async def test_images_and_documents_are_sent_between_the_texts(service):
    service.says(Answer(reply("a cat")))
    pdf = Media("application/pdf", b"%PDF-1.7 \xff")
    prompt = ("what is on", Media("image/png", PNG), "and in", pdf)
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        assert (await item.execute(prompt, 1, 60.0))[0] == "a cat"
    first, image, second, document = service.received[0].body["contents"][0]["parts"]
    assert (first, second) == ({"text": "what is on"}, {"text": "and in"})
    assert image["inlineData"] == {"mime_type": "image/png", "data": base64.urlsafe_b64encode(PNG).decode()}
    assert document["inlineData"]["mime_type"] == "application/pdf"
    assert base64.urlsafe_b64decode(document["inlineData"]["data"]) == pdf.data


async def test_a_prompt_of_parts_goes_through_the_engine(service):
    service.says(Answer(reply("a cat")))
    strategy = GeminiStrategy(api_key=KEY, base_url=service.url)
    item = LLMWorkItem(item_id="a", strategy=strategy, prompt=("what?", Media("image/png", PNG)))
    batch = await process_prompts(strategy, [item.prompt])
    assert batch.succeeded == 1


async def test_safety_settings_and_tools_are_sent(service):
    service.says(Answer(reply()))
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    config = {"tools": [{"google_search": {}}]}
    arguments = {"api_key": KEY, "base_url": service.url, "safety_settings": settings, "config": config}
    async with prepared(GeminiStrategy(**arguments)) as item:
        await item.execute("hello", 1, 60.0)
    body = service.received[0].body
    assert body["safetySettings"] == settings
    assert body["tools"] == [{"googleSearch": {}}]


# ------------------------------------------------------------------------------------------------- prices


async def test_the_price_of_a_model_is_looked_up_where_the_service_is_googles():
    async with prepared(GeminiStrategy(api_key=KEY)) as item:
        assert item.price == Price(0.3, 2.5, 0.03)


async def test_a_price_that_is_given_stays():
    async with prepared(GeminiStrategy(api_key=KEY, price=Price(1, 2))) as item:
        assert item.price == Price(1, 2)


async def test_a_service_other_than_googles_has_no_listed_price(service):
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
        assert item.price is None
