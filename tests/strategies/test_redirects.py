"""Redirects: an attempt is one request, to the server that the user has named; no key and no prompt follows a redirect."""

from __future__ import annotations

import pytest

from paceline.llm_strategies.gemini import GeminiStrategy

from .chat_service import ANTHROPIC, OPENAI
from .gemini.service import KEY, Answer, Service, prepared, reply

pytestmark = pytest.mark.anyio

GET = 303  # after it an HTTP client asks by GET, without a prompt
STRATEGIES = {
    "openai": (OPENAI.at, OPENAI.reply("wrong")),
    "anthropic": (ANTHROPIC.at, ANTHROPIC.reply("wrong")),
    "gemini": (lambda url: GeminiStrategy(api_key=KEY, base_url=url), reply("wrong")),
}


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.mark.parametrize("provider", STRATEGIES)
@pytest.mark.parametrize("status", [301, 302, GET, 307, 308])
@pytest.mark.parametrize("where", ["another host", "the same host", "a path"])
async def test_no_redirect_is_followed(service, provider, status, where):
    make, answer = STRATEGIES[provider]
    with Service() as other:
        other.says(Answer(answer))
        to = {"another host": other.url.replace("127.0.0.1", "localhost"), "the same host": other.url, "a path": ""}[
            where
        ]
        service.says(Answer({}, status, {"Location": f"{to}/elsewhere"}), Answer(answer))
        strategy = make(service.url)
        async with prepared(strategy) as item:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - each package has its own
                await item.execute("hello", 1, 60.0)
        assert service.requests == 1
        assert other.connections == 0
    fault = strategy.error_classifier.classify(caught.value)
    assert fault.kind == "rejected"
    assert f"HTTP {status}: {service.url}" in fault.message
    assert f"redirects to {to}/elsewhere" in fault.message
    assert KEY not in fault.message
