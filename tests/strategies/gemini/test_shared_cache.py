"""A context that all calls share: the real SDK, in virtual time, against a service that keeps, expires and loses caches."""

from __future__ import annotations

import itertools
import logging
import random

import anyio
import pytest
from google.genai import types

from paceline import FaultKind, Media, Price, ProcessorConfig, TokenUsage, process_prompts
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.gemini import GeminiCachedStrategy, GeminiStrategy

from ...engine.support import FixedPace
from .service import KEY, Answer, prepared, refusal
from .simulation import CONTEXT_TOKENS, Simulation

pytestmark = pytest.mark.anyio

KNOWLEDGE = "All that is known of Ulm. " * 10


def strategy(service, **arguments):
    return GeminiCachedStrategy(**{"client": service.client(), "system_instruction": KNOWLEDGE, **arguments})


WORKERS = 8  # enough that some call is always in flight when the cache expires or is lost
MANY = 44 * WORKERS  # prompts: at 50 seconds a call they take 2,200 seconds


async def run(asked, count, workers=WORKERS):
    options = {"config": ProcessorConfig(max_workers=workers), "pace": lambda _: FixedPace(workers)}
    return await process_prompts(asked, [f"question {number}" for number in range(count)], **options)


def uneven(prompt):
    return random.Random(prompt).uniform(20, 80)


async def test_a_long_batch_outlives_three_expiries_by_the_necessary_renewals_alone():
    service = Simulation(uneven)
    batch = await run(strategy(service, ttl=600), MANY)
    assert batch.failures == {}
    assert batch.usage.cached_input_tokens == MANY * CONTEXT_TOKENS
    calls = [seen.at for seen in service.of("generate")]
    assert calls[-1] - calls[0] > 3 * 600
    assert (service.count("get"), service.count("post"), service.count("delete")) == (1, 1, 1)
    assert service.count("generate") == MANY
    assert service.caches == {}
    # The first call after three quarters of its lifetime renews it, and a call starts every three seconds.
    lives = [service.of("post")[0].at, *(seen.at for seen in service.of("patch"))]
    assert all(450 <= after - before < 460 for before, after in itertools.pairwise(lives))
    assert 0 < calls[-1] - lives[-1] < 460


async def test_a_long_batch_outlives_three_losses_by_one_creation_each():
    service = Simulation(uneven)

    async def lose():
        for _ in range(3):
            await anyio.sleep(400)
            service.loses_its_caches()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(lose)
        batch = await run(strategy(service, ttl=3600), MANY)
    assert batch.failures == {}
    assert (service.count("get"), service.count("post"), service.count("delete")) == (1, 4, 1)
    assert service.most["post"] == 1
    assert service.caches == {}
    refused = service.count("generate") - MANY
    assert 3 <= refused <= 3 * WORKERS
    assert sum(len(result.attempts) - 1 for result in batch.results) == refused


async def test_a_call_refused_for_a_lost_cache_is_a_transient_fault_and_succeeds_when_repeated():
    service = Simulation()
    async with prepared(strategy(service)) as item:
        service.loses_its_caches()
        with pytest.raises(Exception, match="cache is gone") as caught:
            await item.execute("hello", 1, 60.0)
        assert item.error_classifier.classify(caught.value).kind is FaultKind.TRANSIENT
        assert (await item.execute("hello", 2, 60.0))[0] == "answer to hello"
    assert (service.count("post"), service.count("generate")) == (2, 2)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_refusal_that_does_not_name_a_cache_keeps_its_usual_fault(status):
    service = Simulation()
    service.scripts["generate"] = [Answer(refusal(status, "NO", message="models/x: no"), status)]
    async with prepared(strategy(service)) as item:
        with pytest.raises(Exception, match="models/x") as caught:
            await item.execute("hello", 1, 60.0)
        kind = item.error_classifier.classify(caught.value).kind
    assert kind is FaultKind.REJECTED
    assert service.count("post") == 1


# ------------------------------------------------------------------------------------------ what is sent


async def test_the_context_is_sent_once_and_counted_as_cached():
    service = Simulation()
    tools = [types.Tool(google_search=types.GoogleSearch())]
    config = {"tools": tools, "temperature": 0.5}
    arguments = {
        "contents": ("a map:", Media("image/png", b"\x89PNG")),
        "config": config,
        "ttl": 90,
        "output_type": str,
    }
    async with prepared(strategy(service, **arguments)) as item:
        answer = await item.execute("hello", 1, 60.0)
    assert answer == ("answer to hello", TokenUsage(CONTEXT_TOKENS + 7, 3, CONTEXT_TOKENS))
    created, call = service.of("post")[0].body, service.of("generate")[0].body
    assert created["model"] == "models/gemini-2.5-flash"
    assert created["systemInstruction"]["parts"] == [{"text": KNOWLEDGE}]
    assert created["contents"][0]["parts"][0] == {"text": "a map:"}
    assert created["tools"] == [{"googleSearch": {}}]
    assert created["ttl"] == "90s"
    assert call["cachedContent"] == "cachedContents/c1"
    assert call["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]
    assert call["generationConfig"] == {"temperature": 0.5}
    assert not {"systemInstruction", "tools", "toolConfig"} & set(call)


async def test_typed_answers_come_from_a_cache_as_well():
    service = Simulation()
    async with prepared(strategy(service, output_type=list[int])) as item:
        with pytest.raises(Exception, match="does not match its type") as caught:
            await item.execute("hello", 1, 60.0)
    assert caught.value.usage.cached_input_tokens == CONTEXT_TOKENS
    assert service.of("generate")[0].body["generationConfig"]["responseJsonSchema"]["type"] == "array"


# ------------------------------------------------------------------------- one cache, found again, and deleted


async def test_one_cache_is_created_for_all_who_share_a_strategy():
    service = Simulation()
    shared = strategy(service)
    async with anyio.create_task_group() as nursery:
        for count in (5, 20, 60):
            nursery.start_soon(run, shared, count, 10)
    assert (service.count("get"), service.count("post"), service.count("delete")) == (1, 1, 1)
    assert {seen.body.get("cachedContent") for seen in service.of("generate")} == {"cachedContents/c1"}
    assert service.caches == {}


async def test_an_earlier_runs_cache_is_found_by_content_and_model():
    service = Simulation()
    await run(strategy(service, keep=True), 3)
    (left,) = service.caches
    await run(strategy(service, keep=True), 3)
    assert (service.count("get"), service.count("patch"), service.count("post")) == (2, 1, 1)
    assert service.of("generate")[-1].body["cachedContent"] == left
    others = [
        strategy(service, system_instruction="other"),
        strategy(service, model="gemini-2.5-pro"),
        strategy(service, contents="and more"),
        strategy(service, config={"tools": [types.Tool(google_search=types.GoogleSearch())]}),
    ]
    for other in others:
        await run(other, 1)
    assert service.count("post") == 1 + len(others)
    assert list(service.caches) == [left]
    await run(strategy(service), 1)
    assert service.caches == {}


async def test_an_earlier_runs_cache_that_expired_is_replaced():
    service = Simulation()
    await run(strategy(service, keep=True), 1)
    service.scripts["patch"] = [Answer(refusal(404, "NOT_FOUND"), 404)]
    await run(strategy(service), 1)
    assert service.count("post") == 2


async def test_a_strategy_can_be_used_again():
    service = Simulation()
    shared = strategy(service)
    for _ in range(2):
        assert (await run(shared, 3)).failures == {}
    assert (service.count("post"), service.count("delete")) == (2, 2)


async def test_the_cache_is_deleted_when_the_batch_is_cancelled():
    service = Simulation()
    with anyio.move_on_after(15) as scope:
        await run(strategy(service), 500)
    assert scope.cancelled_caught
    assert (service.count("post"), service.count("delete")) == (1, 1)
    assert service.caches == {}


async def test_the_cache_is_deleted_when_the_batch_is_denied():
    service = Simulation()
    service.scripts["generate"] = [Answer(refusal(401, "UNAUTHENTICATED"), 401)] * 50
    batch = await run(strategy(service), 500)
    assert set(batch.failures) == {"denied", "pending"}
    assert service.caches == {}


async def test_deleting_a_cache_that_is_gone_is_not_an_error(caplog):
    service = Simulation()
    async with prepared(strategy(service)):
        service.loses_its_caches()
    assert "cleanup" not in caplog.text


async def test_a_creation_that_was_cancelled_leaves_nothing():
    service = Simulation()
    service.cache_seconds = 10
    with anyio.move_on_after(15):
        await run(strategy(service), 5)
    assert service.count("post") == 1
    assert service.caches == {}


# ----------------------------------------------------------------------------------------- when it goes wrong


@pytest.mark.parametrize("late", [False, True], ids=["heard", "not heard"])
async def test_a_worker_that_is_cancelled_while_it_creates_is_followed_by_another(late):
    service = Simulation()
    served = []
    async with prepared(strategy(service)) as item:
        service.loses_its_caches()
        with pytest.raises(Exception, match="gone"):
            await item.execute("x", 1, 60.0)
        service.late, service.cache_seconds = late, 10.0

        async def call():
            served.append(await item.execute("hello", 1, 60.0))

        async with anyio.create_task_group() as nursery:
            with anyio.move_on_after(5):
                async with anyio.create_task_group() as doomed:
                    doomed.start_soon(call)
                    await anyio.sleep(1)
                    for _ in range(5):
                        nursery.start_soon(call)
        assert len(served) == 5
        assert len(service.caches) == 1
    assert service.count("post") == (3 if late else 2)
    assert service.caches == {}


async def test_calls_that_wait_for_a_failed_creation_fail_with_it_after_one_request():
    service = Simulation()
    kinds = []
    async with prepared(strategy(service)) as item:
        service.loses_its_caches()
        with pytest.raises(Exception, match="gone"):
            await item.execute("x", 1, 60.0)
        service.scripts["post"] = [Answer(refusal(503, "UNAVAILABLE"), 503, {"Retry-After": "4"})]

        async def call():
            try:
                await item.execute("hello", 1, 60.0)
            except Exception as error:  # noqa: BLE001 - which one it is is for the classifier to say
                fault = item.error_classifier.classify(error)
                kinds.append((fault.kind, fault.retry_after))

        async with anyio.create_task_group() as nursery:
            for _ in range(10):
                nursery.start_soon(call)
        assert kinds == [(FaultKind.OVERLOADED, 4.0)] * 10
        assert service.count("post") == 2
        await item.execute("hello", 1, 60.0)


async def test_a_failed_creation_is_repeated_and_the_cache_deleted_once():
    service = Simulation()
    service.scripts["post"] = [Answer(hang_up=True), Answer(refusal(429, "RESOURCE_EXHAUSTED"), 429)]
    batch = await run(strategy(service), 5)
    assert batch.failures == {}
    assert (service.count("post"), service.count("delete")) == (3, 1)
    assert service.caches == {}


async def test_a_failed_renewal_fails_no_call_and_is_repeated():
    service = Simulation(lambda _: 7.0)
    service.scripts["patch"] = [Answer(refusal(503, "UNAVAILABLE"), 503), Answer(hang_up=True)]
    batch = await run(strategy(service, ttl=600), 400, workers=4)
    assert batch.failures == {}
    assert all(len(result.attempts) == 1 for result in batch.results)
    assert (service.count("post"), service.count("patch")) == (1, 3)
    first, second, third = (seen.at for seen in service.of("patch"))
    assert second - first > 37
    assert third - second > 37


async def test_renewing_a_lost_cache_creates_another():
    service = Simulation(lambda _: 7.0)
    service.scripts["patch"] = [
        Answer(refusal(403, "X", message="CachedContent not found (or permission denied)"), 403)
    ]
    batch = await run(strategy(service, ttl=600), 400, workers=4)
    assert batch.failures == {}
    assert (service.count("post"), service.count("patch")) == (2, 1)


async def test_a_cache_that_idled_past_its_end_is_renewed_or_created_before_it_is_used():
    service = Simulation()
    async with prepared(strategy(service, ttl=600)) as item:
        await anyio.sleep(5_000)
        assert (await item.execute("hello", 1, 60.0))[0] == "answer to hello"
    assert (service.count("patch"), service.count("post"), service.count("generate")) == (1, 2, 1)


async def test_caches_that_disappear_at_once_are_given_up_after_three(caplog):
    service = Simulation()
    gone = Answer(refusal(403, "PERMISSION_DENIED", message="CachedContent not found (or permission denied)"), 403)
    service.scripts["generate"] = [gone] * 3
    batch = await run(strategy(service), 4, workers=1)
    assert batch.failures == {}
    assert service.count("post") == 3
    assert service.of("generate")[-1].body["systemInstruction"]["parts"] == [{"text": KNOWLEDGE}]
    assert len([record for record in caplog.records if "disappear before they serve" in record.message]) == 1


async def test_a_gateway_that_lists_no_caches_may_create_them():
    service = Simulation()
    service.scripts["get"] = [Answer(refusal(404, "NOT_FOUND"), 404)]
    assert (await run(strategy(service), 3)).failures == {}
    assert service.count("post") == 1


@pytest.mark.parametrize("verb", ["get", "post"])
async def test_a_key_that_is_denied_stops_the_batch_before_any_call(verb):
    service = Simulation()
    service.scripts[verb] = [Answer(refusal(401, "UNAUTHENTICATED"), 401)]
    batch = await run(strategy(service), 500)
    assert [group.kind for group in batch.systematic] == ["denied"]
    assert batch.succeeded == 0
    assert (service.count(verb), service.count("generate")) == (1, 0)


async def test_a_creation_reply_without_a_name_is_repeated():
    service = Simulation()
    service.scripts["post"] = [Answer({}), Answer(b"<html>")]
    assert (await run(strategy(service), 3)).failures == {}
    assert service.count("post") == 3


# ------------------------------------------------------------------------------------------------- too small

TOO_SMALL = "Cached content is too small. total_token_count=60, min_total_token_count=1024"


async def test_a_context_too_small_to_cache_is_sent_with_each_call_and_logged_once(caplog):
    service = Simulation()
    service.scripts["post"] = [Answer(refusal(400, "INVALID_ARGUMENT", message=TOO_SMALL), 400)]
    batch = await run(strategy(service, contents="a map"), 20)
    assert batch.failures == {}
    assert (service.count("post"), service.count("delete")) == (1, 0)
    for seen in service.of("generate"):
        assert seen.body["systemInstruction"]["parts"] == [{"text": KNOWLEDGE}]
        assert next(turn["parts"][0]["text"] for turn in seen.body["contents"]) == "a map"
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "1024" in warning.getMessage()


async def test_a_context_that_is_too_small_stops_the_batch_where_that_is_wanted():
    service = Simulation()
    service.scripts["post"] = [Answer(refusal(400, "INVALID_ARGUMENT", message=TOO_SMALL), 400)]
    batch = await run(strategy(service, too_small="stop"), 20)
    assert [group.kind for group in batch.systematic] == ["denied"]
    assert batch.succeeded == 0
    assert service.count("generate") == 0
    assert any("1024" in str(result.error) for result in batch.results)


async def test_an_invalid_key_reported_as_400_is_not_taken_for_a_small_context():
    service = Simulation()
    body = refusal(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"})
    service.scripts["post"] = [Answer(body, 400)]
    batch = await run(strategy(service), 20)
    assert [group.kind for group in batch.systematic] == ["denied"]
    assert batch.succeeded == 0


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ttl": 5}, "ttl"),
        ({"ttl": "3600s"}, "ttl"),
        ({"too_small": "ignore"}, "too_small"),
        ({"system_instruction": None}, "system_instruction"),
        ({"config": {"tools": [print]}}, "tools"),
        ({"model": ""}, "model"),
    ],
    ids=repr,
)
def test_an_invalid_argument_is_named(arguments, named):
    with pytest.raises(ConfigurationError, match=named):
        GeminiCachedStrategy(**{"api_key": KEY, "system_instruction": KNOWLEDGE, **arguments})


def test_both_strategies_share_the_quota_of_a_model():
    cached = GeminiCachedStrategy(api_key=KEY, system_instruction=KNOWLEDGE)
    assert cached.quota == GeminiStrategy(api_key=KEY).quota
    assert repr(cached) == "GeminiCachedStrategy(model='gemini-2.5-flash')"
    assert KEY not in repr(vars(cached))


async def test_what_the_cache_saves_is_in_the_batchs_account():
    service = Simulation()
    batch = await run(strategy(service, price=Price(1.0, 2.0, 0.1)), 10)
    cached, fresh, written = 10 * CONTEXT_TOKENS, 10 * 7, 10 * 3
    assert batch.cost == pytest.approx((cached * 0.1 + fresh * 1.0 + written * 2.0) / 1e6)


async def test_the_key_is_in_no_log_of_a_cache(caplog):
    caplog.set_level(logging.DEBUG)
    service = Simulation()
    message = f"{KEY} is too small"
    service.scripts["post"] = [Answer(refusal(400, "INVALID_ARGUMENT", message=message), 400)]
    await run(strategy(service), 3)
    assert "too small" in caplog.text
    assert KEY not in caplog.text
