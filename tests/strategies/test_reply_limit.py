"""Limit of replies: what a server sends, and what it becomes when it is decompressed, stays bounded."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.exceptions import ConfigurationError
from paceline.llm_strategies._reply_limit import LIMIT_NAME, Decompression, reply_limit
from paceline.llm_strategies.gemini import GeminiStrategy

from .chat_service import ANTHROPIC, OPENAI
from .gemini.service import KEY, Answer, prepared, reply

PROVIDERS = {
    "openai": (OPENAI.at, OPENAI.reply),
    "anthropic": (ANTHROPIC.at, ANTHROPIC.reply),
    "gemini": (lambda url: GeminiStrategy(api_key=KEY, base_url=url), reply),
}
pytestmark = pytest.mark.filterwarnings(  # httpx2 leaves its iterators of a reply that is not read to its end to the garbage collector
    "ignore:.*PoolByteStream.__aiter__:pytest.PytestUnraisableExceptionWarning"
)
each = pytest.mark.parametrize("provider", PROVIDERS)
BOMB = gzip.compress(bytes(50_000_000), 1)


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


async def fault_of(strategy, *, answered=0):
    async with prepared(strategy) as item:
        for _ in range(answered):  # by then the connection is open
            await item.execute("hello", 1, 60.0)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each package has its own
            await item.execute("hello", 1, 60.0)
    return strategy.error_classifier.classify(caught.value)


@each
@pytest.mark.anyio
async def test_a_reply_in_gzip_is_read(service, provider):
    make, answer = PROVIDERS[provider]
    service.says(Answer(gzip.compress(json.dumps(answer("good")).encode()), 200, {"Content-Encoding": "gzip"}))
    async with prepared(make(service.url)) as item:
        assert (await item.execute("hello", 1, 60.0))[0] == "good"
    assert service.received[0].headers["accept-encoding"] == "gzip"


@each
@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("answered", [0, 2])
@pytest.mark.anyio
async def test_a_bomb_is_not_decompressed(service, provider, status, answered, monkeypatch):
    monkeypatch.setenv(LIMIT_NAME, "1")
    make, answer = PROVIDERS[provider]
    expanded = []
    original = Decompression.pieces

    def pieces(self, data):
        for piece in original(self, data):
            expanded.append(len(piece))
            yield piece

    monkeypatch.setattr(Decompression, "pieces", pieces)
    service.says(*[Answer(answer("good"))] * answered, Answer(BOMB, status, {"Content-Encoding": "gzip"}))
    fault = await fault_of(make(service.url), answered=answered)
    assert sum(expanded) <= 1_000_000 + 2**16
    assert fault.kind == "rejected"
    assert f"the reply is larger than 1 MB; if that is right, set {LIMIT_NAME} to more" in fault.message


@each
@pytest.mark.anyio
async def test_a_reply_above_the_limit_is_not_read_to_its_end(service, provider, monkeypatch):
    monkeypatch.setenv(LIMIT_NAME, "0.1")
    make, answer = PROVIDERS[provider]
    service.says(Answer(answer("x" * 100_000)))
    assert "larger than 0.1 MB" in (await fault_of(make(service.url))).message
    monkeypatch.setenv(LIMIT_NAME, "0.2")
    async with prepared(make(service.url)) as item:
        assert len((await item.execute("hello", 1, 60.0))[0]) == 100_000


@each
@pytest.mark.parametrize(
    ("encoding", "body"), [("br", b"x"), ("zstd", b"x"), ("gzip, gzip", b"x"), ("gzip", b"not gzip")]
)
@pytest.mark.anyio
async def test_an_encoding_that_was_not_asked_for_or_is_wrong_is_a_passing_fault(service, provider, encoding, body):
    make, _ = PROVIDERS[provider]
    service.says(Answer(body, 200, {"Content-Encoding": encoding}))
    fault = await fault_of(make(service.url))
    assert fault.kind == "transient"
    assert "not asked for" in fault.message or "cannot be decompressed" in fault.message


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", "1e9"])
def test_a_limit_that_is_no_number_of_megabytes_is_refused(text, monkeypatch):
    monkeypatch.setenv(LIMIT_NAME, text)
    with pytest.raises(ConfigurationError, match=f"{LIMIT_NAME} must be a number of megabytes"):
        reply_limit()


@given(st.binary(max_size=300_000), st.integers(1, 100_000))
def test_what_was_compressed_comes_back_in_pieces_of_bounded_size(data, size):
    compressed, stream = gzip.compress(data), Decompression()
    parts = (compressed[start : start + size] for start in range(0, len(compressed), size))
    found = [piece for part in parts for piece in stream.pieces(part)]
    assert b"".join(found) == data
    assert max(map(len, found), default=0) <= 2**16
