"""The batch APIs of three providers, through their packages, against one server that has all of them."""

from __future__ import annotations

import copy
import json
from contextlib import asynccontextmanager

import pytest
from anyio import fail_after, sleep

import paceline
from paceline import CallError
from paceline._core.fault import FaultKind
from paceline._core.native.job import Outcome
from paceline._core.request import Request
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies._connection_pool import recorded
from paceline.testing import NativeServer, NativeService

pytestmark = pytest.mark.anyio
PROVIDERS = ["openai", "anthropic", "gemini"]


@pytest.fixture
def anyio_backend():
    """Run a test on trio, in real time: there is a server."""
    return "trio"


@pytest.fixture(params=PROVIDERS)
def provider(request):
    """Return the name of a provider."""
    return request.param


@asynccontextmanager
async def prepared(provider, server, **arguments):
    url = server.openai_url if provider == "openai" else server.url
    strategy = paceline.model(f"{provider}:m", api_key="key", base_url=url, **arguments)
    await strategy.prepare()
    try:
        yield strategy
    finally:
        await strategy.cleanup()


async def rows_of(batch, prompts, marker="mark"):
    requests = [await batch.request(prompt) for prompt in prompts]
    return requests[0].kind, [batch.line(f"{marker}-{number}", request) for number, request in enumerate(requests)]


async def created(batch, prompts, marker="mark"):
    kind, lines = await rows_of(batch, prompts, marker)
    name = await batch.upload(marker, lines) if batch.policy.has_upload else ""
    return await batch.create(marker, kind, name, lines)


async def ended(batch, name):
    for _ in range(200):
        look = await batch.look(name)
        if look.outcome is not None:
            return look
        await sleep(0.01)
    raise AssertionError("the job has not ended")


async def answers_of(batch, name):
    found = {}

    async def store(answers):
        for answer in answers:
            assert answer.key not in found
            found[answer.key] = answer

    await batch.answers(name, store)
    return found


@pytest.mark.parametrize(
    "arguments", [{}, {"system_instruction": "Be brief.", "max_tokens": 7}], ids=["plain", "with settings"]
)
async def test_a_row_asks_exactly_what_a_call_would_send(provider, arguments):
    with NativeServer() as server:
        async with prepared(provider, server, **arguments) as strategy:
            batch = strategy.native_batch()
            for prompt in ["one", 'two \u2028 "quoted"', ("two", "parts")]:
                row = await batch.request(prompt)
                with recorded() as online, pytest.raises(CallError):
                    await copy.copy(strategy).execute(prompt, 1, 5.0)
                assert row.body == await online[-1].aread()
                line = json.loads(batch.line("k", row))
                assert json.loads(row.body) in line.values()
        assert server.statistics().billed == {}


@pytest.mark.parametrize("status", [200, 400])
async def test_the_first_thing_that_a_strategy_does_may_be_to_read_an_answer(provider, status):
    text = {
        "openai": '{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}',
        "anthropic": '{"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}',
        "gemini": '{"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}',
    }
    with NativeServer() as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            for _ in range(3):  # the package, then a template
                with batch.replayed(status, text[provider]):
                    if status == 200:
                        assert (await copy.copy(strategy).execute("hello", 1, 5.0))[0] == "x"
                        continue
                    with pytest.raises(Exception) as rejected:  # noqa: PT011 - each package has its own
                        await copy.copy(strategy).execute("hello", 1, 5.0)
                assert strategy.error_classifier.classify(rejected.value).kind is FaultKind.REJECTED
        assert server.statistics().billed == {}


@pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
async def test_every_row_of_a_job_has_an_answer_that_reads_as_a_calls_would(provider):
    with NativeServer(NativeService(seconds=0.05)) as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            prompts = [f"prompt {number}" for number in range(7)]
            name = await created(batch, prompts)
            assert (await ended(batch, name)).outcome is Outcome.COMPLETED
            answers = await answers_of(batch, name)
            assert sorted(answers) == [f"mark-{number}" for number in range(7)]
            for number, prompt in enumerate(prompts):
                online = await copy.copy(strategy).execute(prompt, 1, 5.0)
                answer = answers[f"mark-{number}"]
                with batch.replayed(answer.status, answer.body):
                    assert await copy.copy(strategy).execute(prompt, 1, 5.0) == online
        assert server.statistics().billed == dict.fromkeys(prompts, 2)
        assert server.statistics().billed_online == 7


async def test_a_cancelled_job_gives_the_answers_that_it_has_and_names_no_others(provider):
    with NativeServer(NativeService(seconds=2.0, cancel_seconds=0.1)) as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            name = await created(batch, [f"prompt {number}" for number in range(40)])
            await sleep(0.2)
            assert (await batch.look(name)).outcome is None
            await batch.cancel(name)
            assert (await ended(batch, name)).outcome is Outcome.CANCELLED
            answers = await answers_of(batch, name)
            await batch.cancel(name)  # no error, as it has ended
        assert 0 < len(answers) < 40
        assert len(answers) == server.statistics().billed_in_jobs


async def test_an_expired_job_gives_the_answers_that_it_has(provider):
    with NativeServer(NativeService(seconds=1.0, expires_after=0.3)) as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            name = await created(batch, [f"prompt {number}" for number in range(10)])
            assert (await ended(batch, name)).outcome is Outcome.EXPIRED
            assert sorted(await answers_of(batch, name)) == ["mark-0", "mark-1", "mark-2"]


async def test_a_job_whose_creation_was_not_answered_is_found(provider):
    with NativeServer(NativeService(lost_creates=1, seconds=0.05)) as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            assert await batch.find("mark", 3, since=0.0) == []
            with pytest.raises(Exception) as lost:  # noqa: PT011 - each package has its own
                await created(batch, ["a", "b", "c"])
            assert strategy.error_classifier.classify(lost.value).kind is FaultKind.TRANSIENT
            (name,) = await batch.find("mark", 3, since=0.0)
            await created(batch, ["d"], marker="another")
            assert await batch.find("mark", 3, since=0.0) == [name]
            await ended(batch, name)
            assert sorted(await answers_of(batch, name)) == ["mark-0", "mark-1", "mark-2"]


async def test_a_creation_for_which_there_is_no_room_is_throttled(provider):
    with NativeServer(NativeService(held_creates=1)) as server:
        async with prepared(provider, server) as strategy:
            with pytest.raises(Exception) as held:  # noqa: PT011 - as above
                await created(strategy.native_batch(), ["a"])
            assert strategy.error_classifier.classify(held.value).kind is FaultKind.THROTTLED
        assert server.statistics().jobs == 0


async def test_a_row_that_was_rejected_is_answered_and_one_that_failed_in_passing_is_not(provider):
    def answer(prompt):
        return {"bad": (400, "it is too long"), "unlucky": (500, "try again"), "busy": (429, "later")}.get(
            prompt, (200, "good")
        )

    with NativeServer(NativeService(seconds=0.0, answer=answer)) as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            name = await created(batch, ["good", "bad", "unlucky", "busy"])
            await ended(batch, name)
            answers = await answers_of(batch, name)
            assert sorted(answers) == ["mark-0", "mark-1"]
            bad = answers["mark-1"]
            with batch.replayed(bad.status, bad.body), pytest.raises(Exception) as rejected:  # noqa: PT011 - as above
                await copy.copy(strategy).execute("bad", 1, 5.0)
            fault = strategy.error_classifier.classify(rejected.value)
            assert fault.kind is FaultKind.REJECTED
            assert "too long" in fault.message


async def test_a_job_that_the_provider_does_not_have_is_a_lookup_error(provider):
    with NativeServer() as server:
        async with prepared(provider, server) as strategy:
            with pytest.raises(LookupError):
                await strategy.native_batch().look("batches/none" if provider == "gemini" else "none")


async def test_a_job_that_failed_as_a_whole_says_so(provider):
    if provider == "anthropic":
        pytest.skip("Anthropic's jobs do not fail as a whole")
    with NativeServer(NativeService(failed_jobs=1)) as server:
        async with prepared(provider, server) as strategy:
            batch = strategy.native_batch()
            name = await created(batch, ["a"])
            assert (await ended(batch, name)).outcome is Outcome.FAILED
            assert await answers_of(batch, name) == {}


async def test_requests_of_a_batch_file_are_rows_as_they_are():
    with NativeServer(NativeService(seconds=0.0)) as server:
        async with prepared("openai", server) as strategy:
            batch = strategy.native_batch()
            body = {"messages": [{"role": "user", "content": "hello"}], "top_p": 0.5}
            row = await batch.request(Request("openai", body))
            assert json.loads(row.body) == {**body, "model": "m"}
            answered = await batch.request(Request("responses", {"input": "hello"}))
            assert json.loads(batch.line("k", answered))["url"] == "/v1/responses"
            assert answered.kind != row.kind


@pytest.mark.parametrize("model", ["sim:latency=0.1"])
def test_a_model_without_a_batch_api_says_so(model):
    with pytest.raises(ConfigurationError, match="has no batch API that can be used here"):
        paceline.model(model).native_batch()


@pytest.mark.parametrize(
    ("name", "path"), [("openai:gpt-4o-mini", "/v1"), ("anthropic:claude-haiku-4-5", "/anthropic")]
)
async def test_a_server_of_another_maker_answers_every_row(llmock, name, path):
    strategy = paceline.model(f"{name}@{llmock}{path}", api_key="key-of-native-batches")
    await strategy.prepare()
    try:
        batch = strategy.native_batch()
        created_here = await created(batch, ["one", "two"])
        with fail_after(30):
            while (look := await batch.look(created_here)).outcome is None:
                await sleep(0.2)
        assert look.outcome is Outcome.COMPLETED
        answers = await answers_of(batch, created_here)
        assert sorted(answers) == ["mark-0", "mark-1"]
        for answer in answers.values():
            with batch.replayed(answer.status, answer.body):
                text, usage = await copy.copy(strategy).execute("one", 1, 5.0)
            assert text
            assert usage.output_tokens > 0
    finally:
        await strategy.cleanup()
