"""Chat templates: what is sent by a template is what the package would send, and what fails is what it would raise."""

from __future__ import annotations

import functools
from contextlib import contextmanager

import anyio
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline import CallError, Media
from paceline._core.request import Request
from paceline.llm_strategies._connection_pool import ShardedClient, recorded
from paceline.llm_strategies.chat_templates import _SAMPLE

from ..search import examples
from .chat_service import ANTHROPIC, BOTH
from .gemini.service import KEY, Answer, prepared

HOME = "http://user:word@x.test/v1"
any_text = st.text(st.characters(exclude_categories=())) | st.sampled_from([_SAMPLE, '"}]', "\\u00e9", "\ud83d"])
OPTIONS = {
    "openai": [
        {},
        {"temperature": 0.5, "stop": ["\u2028"]},
        {"extra_body": {"top_k": 5}, "extra_headers": {"x-mine": "1"}},
    ],
    "anthropic": [{}, {"max_tokens": 50_000, "stop_sequences": ["\u2028"]}, {"extra_headers": {"x-mine": "1"}}],
}


@contextmanager
def wrapped(dialect):
    """Wrap the package's `create` as a tracing package does; yield the list of its calls."""
    calls = []
    owner, name = dialect.strategy._provider.methods[0]
    own = getattr(owner, name)

    @functools.wraps(own)
    async def traced(self, **arguments):
        calls.append(arguments["messages"][-1]["content"])
        return await own(self, **arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, traced)
        yield calls


async def requests_of(strategy, *prompts):
    """Return the requests that a strategy makes, without sending any, and the types of what it raises."""
    raised = []
    async with prepared(strategy) as item:
        with recorded() as requests:
            for prompt in prompts:
                try:
                    await item.execute(prompt, 1, 60.0)
                except (CallError, UnicodeEncodeError) as error:
                    raised.append(type(error))
    sent = [(str(request.url), sorted(request.headers.raw), request.extensions, request.read()) for request in requests]
    return sent, raised


async def both(dialect, make, *prompts):
    """Return the requests as paceline writes them, and as the package writes them."""
    with wrapped(dialect) as calls:
        theirs = await requests_of(make(), *prompts)
    assert len(calls) == len(prompts)
    return await requests_of(make(), *prompts), theirs


@BOTH
@settings(max_examples=examples(20))
@given(data=st.data())
def test_every_text_prompt_is_sent_as_the_package_would_send_it(dialect, data):
    prompts = data.draw(st.lists(any_text, min_size=3, max_size=5))
    options = data.draw(st.sampled_from(OPTIONS[dialect.strategy._provider.name]))
    instruction = data.draw(st.sampled_from([None, "be brief \xe9", _SAMPLE]))

    def make():
        return dialect.at(HOME, system_instruction=instruction, options=options)

    ours, theirs = anyio.run(both, dialect, make, *prompts, backend="trio")
    assert ours == theirs


@BOTH
def test_so_are_prompts_of_requests_and_with_media(dialect):
    def request(system):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": "hello"}]
        return Request(
            "openai" if dialect is ANTHROPIC else "gemini",
            {"messages": messages}
            if dialect is ANTHROPIC
            else {
                "systemInstruction": {"parts": [{"text": system}]},
                "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
            },
        )

    prompts = [
        request(system) for system in ("be brief", "be brief", "be brief", "be long", _SAMPLE, "be brief", "be brief")
    ]
    prompts += [("what is this?", Media("image/png", b"\xff\xfe")), ("a", "b"), "hello"]

    def make():
        return dialect.at(HOME, system_instruction="be kind")

    (ours, raised), theirs = anyio.run(both, dialect, make, *prompts, backend="asyncio")
    assert (ours, raised) == theirs
    assert len(ours) == len(prompts)


@BOTH
def test_so_are_prompts_whose_answer_has_a_type(dialect):
    ours, theirs = anyio.run(both, dialect, lambda: dialect.at(HOME, output_type=dict[str, int]), *["hello"] * 3)
    assert ours == theirs


async def calls_of_the_package(service, strategy, *prompts):
    """Return how many requests the package writes."""
    client_class = type(strategy)._provider.client
    calls, own = [], client_class._build_request
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_class, "_build_request", lambda *args, **named: calls.append(args) or own(*args, **named))
        async with prepared(strategy) as item, anyio.create_task_group() as nursery:
            for prompt in prompts:
                nursery.start_soon(item.execute, prompt, 1, 60.0)
    assert service.requests == len(prompts)
    return len(calls)


@BOTH
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_the_package_writes_the_first_request_and_a_template_for_all_others(service, dialect, backend):
    service.says(Answer(dialect.reply()))
    strategy = dialect.at(f"{service.url}/v1")
    assert anyio.run(calls_of_the_package, service, strategy, *["hello"] * 40, backend=backend) == 3


@BOTH
def test_it_writes_each_with_media_each_with_another_instruction_and_each_of_a_users_client(service, dialect):
    service.says(Answer(dialect.reply()))
    client = dialect.strategy._provider.client(api_key=KEY, base_url=f"{service.url}/v1")
    requests = [
        Request(
            "gemini",
            {
                "systemInstruction": {"parts": [{"text": f"be {i}"}]},
                "contents": [{"role": "user", "parts": [{"text": "a"}]}],
            },
        )
        for i in range(5)
    ]
    for strategy, prompts in [
        (dialect.at(f"{service.url}/v1"), [("a", Media("image/png", b"0"))] * 5),
        (dialect.at(f"{service.url}/v1"), requests),
        (dialect.strategy("a-model", client=client), ["hello"] * 5),
    ]:
        service.received.clear()
        assert anyio.run(calls_of_the_package, service, strategy, *prompts, backend="trio") == 5


@BOTH
def test_a_wrapped_create_makes_each_call(service, dialect):
    service.says(Answer(dialect.reply()))

    async def run():
        async with prepared(dialect.at(f"{service.url}/v1")) as item:
            for prompt in ("first", "second", "third"):
                await item.execute(prompt, 1, 60.0)

    with wrapped(dialect) as calls:
        anyio.run(run, backend="trio")
    assert calls == ["first", "second", "third"]
    assert service.requests == 3


@BOTH
def test_requests_that_differ_each_time_have_no_template(service, dialect):
    service.says(Answer(dialect.reply()))

    async def run():
        async with prepared(dialect.at(f"{service.url}/v1")) as item:
            item._client()._idempotency_header = "Idempotency-Key"
            for prompt in ("first", "second", "third", "fourth"):
                await item.execute(prompt, 1, 60.0)

    anyio.run(run, backend="trio")
    assert len({received.headers["idempotency-key"] for received in service.received}) == 4


FAILURES = [
    Answer({"error": {"message": "no such model", "type": "invalid_request_error"}}, 400),
    Answer({"error": {"message": "bad key"}}, 401),
    Answer({"error": {"message": "slow down"}}, 429, {"retry-after": "7", "x-ratelimit-remaining-requests": "0"}),
    Answer(b"<html>busy</html>", 503, {"Content-Type": "text/html"}),
    Answer(b"", 302, {"Location": "http://elsewhere.test/"}),
    Answer(hang_up=True),
]


async def failures(strategy):
    """Return what three calls in a row raise: a package's first, and two by a template, if there is one."""
    raised = []
    async with prepared(strategy) as item:
        for _ in range(3):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - compared below
                await item.execute("hello", 1, 60.0)
            error = caught.value
            fault = strategy.error_classifier.classify(error)
            cause = type(error.__cause__)
            raised.append(
                (
                    type(error),
                    str(error),
                    cause,
                    getattr(error, "status_code", None),
                    getattr(error, "body", None),
                    fault,
                )
            )
    return raised


@BOTH
@pytest.mark.parametrize("answer", FAILURES, ids=["400", "401", "429", "503", "302", "hang-up"])
def test_what_fails_raises_the_exception_of_the_package(service, dialect, answer):
    service.says(answer)
    first, *others = anyio.run(failures, dialect.at(f"{service.url}/v1"), backend="trio")
    assert others == [first, first]
    assert first[0].__module__.startswith(dialect.strategy._provider.name)
    assert service.requests == 3


@BOTH
def test_so_does_a_server_that_cannot_be_reached(dialect, unused_port):
    first, *others = anyio.run(failures, dialect.at(f"http://127.0.0.1:{unused_port}/v1"), backend="asyncio")
    assert others == [first, first]


@BOTH
def test_a_reply_without_an_answer_is_a_fault_of_the_reply(service, dialect):
    service.says(Answer(dialect.refused))
    first, *others = anyio.run(failures, dialect.at(f"{service.url}/v1"), backend="trio")
    assert first[0] is CallError
    assert others == [first, first]


@BOTH
def test_no_key_is_in_the_representation_of_a_template(dialect):
    async def run():
        async with prepared(dialect.at(HOME)) as item:
            with recorded():
                for _ in range(2):
                    with pytest.raises(CallError):
                        await item.execute("hello", 1, 60.0)
            templates = item._connection.templates()
            return templates._latest.written, f"{templates._latest!r} {templates!r}"

    written, shown = anyio.run(run, backend="trio")
    assert written is not None
    assert KEY not in shown


def test_an_exception_is_raised_instead_of_sending():
    async def run():
        async with ShardedClient() as client:
            with (
                recorded(httpx2.ConnectError("no way")) as requests,
                pytest.raises(httpx2.ConnectError, match="no way"),
            ):
                await client.post("http://x.test/", json={})
        return len(requests)

    assert anyio.run(run, backend="trio") == 1
