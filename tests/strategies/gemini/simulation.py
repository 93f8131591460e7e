"""Gemini's service in virtual time, behind the real SDK: a transport that needs no socket."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
import httpx2
from google import genai
from google.genai import types

from .service import KEY, Answer, refusal, reply

CONTEXT_TOKENS = 5_000
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.define
class Cached:
    name: str
    body: dict[str, Any]
    expires: float

    @property
    def shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self.body["model"],
            "displayName": self.body.get("displayName"),
            "expireTime": (_EPOCH + timedelta(seconds=self.expires)).isoformat(),
            "usageMetadata": {"totalTokenCount": CONTEXT_TOKENS},
        }


@attrs.frozen
class Seen:
    at: float
    verb: str
    body: dict[str, Any]


class Simulation(httpx2.AsyncBaseTransport):
    """Keeps context caches, and answers prompts from them; what it says may be scripted, verb by verb."""

    def __init__(self, seconds: Callable[[str], float] = lambda _: 10.0) -> None:
        self.seconds = seconds
        self.cache_seconds = 1.0
        self.late = False
        """Whether a cache is there only when its creation is answered, not when it is asked for."""
        self.caches: dict[str, Cached] = {}
        self.seen: list[Seen] = []
        self.scripts: defaultdict[str, list[Answer | None]] = defaultdict(list)
        """Answers for each verb, in turn; None: as it would."""
        self.in_flight: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._numbers = itertools.count(1)

    def client(self) -> genai.Client:
        options = types.HttpOptions(
            api_version="v1beta", base_url="http://gemini.test", httpx_async_client=httpx2.AsyncClient(transport=self)
        )
        return genai.Client(api_key=KEY, http_options=options)

    def count(self, verb: str) -> int:
        return len(self.of(verb))

    def of(self, verb: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.verb == verb]

    def loses_its_caches(self) -> None:
        self.caches.clear()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(await request.aread() or b"{}")
        path = request.url.path.removeprefix("/v1beta/")
        verb = "generate" if path.endswith(":generateContent") else request.method.lower()
        self.seen.append(Seen(anyio.current_time(), verb, body))
        self.in_flight[verb] += 1
        self.most[verb] = max(self.most[verb], self.in_flight[verb])
        try:
            answer = await self._answer(verb, path, body)
        finally:
            self.in_flight[verb] -= 1
        if answer.hang_up:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx2.Response(answer.status, headers=answer.headers, content=answer.content, request=request)

    async def _answer(self, verb: str, path: str, body: dict[str, Any]) -> Answer:
        scripted = self.scripts[verb].pop(0) if self.scripts[verb] else None
        if scripted is not None:
            await anyio.sleep(self.cache_seconds)
            return scripted
        if verb == "generate":
            return await self._generate(body)
        if verb == "post" and self.late:
            await anyio.sleep(self.cache_seconds)
            return self._create(body)
        self.caches = {name: cache for name, cache in self.caches.items() if anyio.current_time() < cache.expires}
        answer = self._create(body) if verb == "post" else self._keep(verb, path, body)
        await anyio.sleep(self.cache_seconds)
        return answer

    async def _generate(self, body: dict[str, Any]) -> Answer:
        name, prompt = body.get("cachedContent"), body["contents"][-1]["parts"][0]["text"]
        cache = self.caches.get(name)
        if name is not None and ("systemInstruction" in body or "tools" in body or "toolConfig" in body):
            return Answer(refusal(400, "INVALID_ARGUMENT", message="CachedContent can not be used with these"), 400)
        if name is not None and (cache is None or anyio.current_time() >= cache.expires):
            message = "CachedContent not found (or permission denied)"
            return Answer(refusal(403, "PERMISSION_DENIED", message=message), 403)
        await anyio.sleep(self.seconds(prompt))
        usage = {"promptTokenCount": CONTEXT_TOKENS + 7, "candidatesTokenCount": 3}
        cached = {} if cache is None else {"cachedContentTokenCount": CONTEXT_TOKENS}
        return Answer(reply(f"answer to {prompt}", usageMetadata=usage | cached))

    def _create(self, body: dict[str, Any]) -> Answer:
        cache = Cached(f"cachedContents/c{next(self._numbers)}", body, anyio.current_time() + _seconds(body["ttl"]))
        self.caches[cache.name] = cache
        return Answer(cache.shown)

    def _keep(self, verb: str, path: str, body: dict[str, Any]) -> Answer:
        if verb == "get":
            return Answer({"cachedContents": [cache.shown for cache in self.caches.values()]})
        cache = self.caches.get(path)
        if cache is None:
            return Answer(refusal(404, "NOT_FOUND", message=f"{path} is not found"), 404)
        if verb == "delete":
            del self.caches[path]
            return Answer({})
        cache.expires = anyio.current_time() + _seconds(body["ttl"])
        return Answer(cache.shown)


def _seconds(ttl: str) -> float:
    return float(ttl.removesuffix("s"))
