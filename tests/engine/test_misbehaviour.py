"""Foreign code that misbehaves: every accepted item still has exactly one result, and nothing hangs."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from paceline import (
    CallError,
    Fault,
    FaultKind,
    LLMCallStrategy,
    ParallelBatchProcessor,
    ProcessorConfig,
    RateLimitError,
    RetryPolicy,
    TokenUsage,
    process_prompts,
)
from paceline.abc import ErrorClassifier, Middleware

from .support import USAGE, Echo, Scripted, Status, add_all
from .test_streams import leak

pytestmark = pytest.mark.anyio


def only_fault(batch: Any) -> Fault:
    (result,) = [result for result in batch.results if not result.success]
    assert result.error is not None
    return result.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("boo"), FaultKind.BUG),
        (Status(400), FaultKind.REJECTED),
        (ExceptionGroup("g", [Status(400)]), FaultKind.REJECTED),
        (ExceptionGroup("g", [Status(500), ExceptionGroup("h", [ValueError("deep")])]), FaultKind.BUG),
        (CallError("no", kind=FaultKind.REFUSED), FaultKind.REFUSED),
        (StopIteration("odd"), FaultKind.BUG),
        (RecursionError("deep"), FaultKind.BUG),
        (MemoryError(), FaultKind.BUG),
    ],
)
async def test_an_exception_of_a_call_is_the_fault_of_its_item_only(error, kind):
    batch = await process_prompts(Scripted({"bad": [error]}), ["a", "bad", "b"])
    assert batch.succeeded == 2
    assert only_fault(batch).kind is kind


async def test_an_exception_group_of_transient_failures_is_retried():
    strategy = Scripted({"a": [ExceptionGroup("g", [ConnectionResetError(), Status(503)])]})
    batch = await process_prompts(strategy, ["a"])
    assert batch.succeeded == 1
    assert [a.fault.kind if a.fault else None for a in batch.results[0].attempts] == [FaultKind.TRANSIENT, None]


async def test_a_leaked_cancellation_costs_its_item_and_no_other():
    strategy = Scripted({str(i): [leak] for i in range(0, 30, 3)})
    batch = await process_prompts(strategy, [str(i) for i in range(30)], config=ProcessorConfig(max_workers=2))
    assert batch.failures == {FaultKind.CANCELLED: 10}
    assert batch.succeeded == 20


async def test_the_only_worker_is_replaced_when_a_cancellation_leaks():
    strategy = Scripted({"a": [leak], "c": [leak]})
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=1)) as processor:
        await add_all(processor, strategy, list("abcd"))
        batch = await processor.process_all()
    assert (batch.succeeded, batch.failures) == (2, {FaultKind.CANCELLED: 2})


async def test_a_cancellation_in_an_exception_group_is_a_leak_too():
    async def leak_in_group():
        try:
            await leak()
        except BaseException as error:  # noqa: BLE001 - the leak is the subject of this test
            raise BaseExceptionGroup("both", [error, ValueError("x")]) from None

    batch = await process_prompts(Scripted({"a": [leak_in_group]}), ["a", "b"])
    assert batch.failures == {FaultKind.CANCELLED: 1}


async def test_a_nursery_that_fails_while_it_is_cancelled_loses_nothing():
    class Nested(LLMCallStrategy[str]):
        async def execute(self, prompt: str, attempt: int, timeout: float):
            async def fails_on_the_way_out():
                try:
                    await anyio.sleep(100)
                finally:
                    raise ValueError("while being cancelled")

            async with anyio.create_task_group() as nursery:
                nursery.start_soon(fails_on_the_way_out)
                await anyio.sleep(100)
            return prompt, USAGE

    config = ProcessorConfig(timeout_per_item=1, retry=RetryPolicy(max_attempts=1))
    batch = await process_prompts(Nested(), ["a", "b"], config=config)
    assert batch.failures == {FaultKind.TIMEOUT: 2}
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Nested(), ["a", "b"])
        with anyio.move_on_after(5):
            await processor.process_all()
        assert processor.batch.failures == {FaultKind.PENDING: 2}


@pytest.mark.parametrize("invalid", [None, 5, "ab", ("a",), ("a", "b", "c"), ["a", None]])
async def test_a_reply_of_the_wrong_form_is_a_bug_that_names_the_strategy(invalid):
    async def reply():
        return invalid

    batch = await process_prompts(Scripted({"a": [reply]}), ["a", "b"])
    fault = only_fault(batch)
    assert fault.kind is FaultKind.BUG
    assert fault.message.startswith("Scripted.execute must return (output, tokens)")


@pytest.mark.parametrize("tokens", [-1, "many", {"input_tokens": -5}, {"input_tokens": "7"}, {"output_tokens": 1.5}])
async def test_an_output_with_invalid_token_counts_is_kept(tokens, caplog):
    async def reply():
        return "good", tokens

    batch = await process_prompts(Scripted({"a": [reply]}), ["a"])
    assert batch.results[0].output == "good"
    assert batch.usage == TokenUsage()
    assert "tokens not counted" in caplog.text


async def test_tokens_may_be_a_mapping():
    async def reply():
        return "good", {"input_tokens": 3, "output_tokens": 4, "cached_input_tokens": None, "total_tokens": 9}

    batch = await process_prompts(Scripted({"a": [reply]}), ["a"])
    assert batch.usage == TokenUsage(3, 4, 0, 9)


async def test_the_tokens_of_a_failed_call_are_counted():
    cut = CallError("cut", kind=FaultKind.TRUNCATED, usage=TokenUsage(7, 8))
    batch = await process_prompts(Scripted({"a": [cut]}), ["a"])
    assert batch.failures == {FaultKind.TRUNCATED: 1}
    assert batch.usage == TokenUsage(7, 8)


async def test_a_plain_function_in_place_of_execute_is_a_bug():
    class Plain(LLMCallStrategy[str]):
        def execute(self, prompt, attempt, timeout):
            return prompt, None

    batch = await process_prompts(Plain(), ["a"])
    assert only_fault(batch).kind is FaultKind.BUG


async def test_a_copy_that_fails_is_a_bug():
    class Single(Echo):
        def __copy__(self):
            raise RuntimeError("there is only one")

    assert "there is only one" in only_fault(await process_prompts(Single(), ["a"])).message


@pytest.mark.parametrize("wrong", [ZeroDivisionError, None, ["a list"]])
async def test_an_invalid_quota_key_is_a_bug(wrong):
    class Odd(Echo):
        @property
        def quota(self):
            if wrong is ZeroDivisionError:
                raise wrong
            return wrong

    assert only_fault(await process_prompts(Odd(), ["a"])).kind is FaultKind.BUG


async def test_a_failing_classifier_makes_the_fault_a_bug():
    class Broken(ErrorClassifier):
        def classify(self, exception):
            raise KeyError("table")

    class Wrong(ErrorClassifier):
        def classify(self, exception):
            return "throttled"

    for classifier in (Broken(), Wrong()):
        strategy = Scripted({"a": [Status(429)]})
        strategy.error_classifier = classifier
        fault = only_fault(await process_prompts(strategy, ["a"]))
        assert fault.kind is FaultKind.BUG
        assert "error_classifier" in fault.message


async def test_a_throttled_call_of_a_users_own_client_waits():
    strategy = Scripted({"a": [RateLimitError(retry_after=7)]})
    batch = await process_prompts(strategy, ["a"])
    assert batch.succeeded == 1
    assert batch.seconds == pytest.approx(9, abs=0.01)


@pytest.mark.parametrize("hint", ["-5", "nan", "inf", "1e308", "soon", "", "99999999"])
async def test_a_hint_never_freezes_a_lane(hint):
    strategy = Scripted({"a": [Status(429, {"retry-after": hint})]})
    batch = await process_prompts(strategy, ["a"])
    assert batch.succeeded == 1
    assert batch.seconds < 65


async def test_each_item_has_its_own_state_on_a_shared_instance():
    class Counting(LLMCallStrategy[int]):
        def __init__(self):
            self.failures = 0

        async def execute(self, prompt: str, attempt: int, timeout: float):
            await anyio.sleep(1)
            if self.failures < int(prompt):
                raise CallError("again", kind=FaultKind.INVALID)
            return self.failures, None

        async def on_error(self, exception: Exception, attempt: int):
            self.failures += 1

    strategy = Counting()
    batch = await process_prompts(strategy, ["0", "1", "2"] * 10)
    assert [result.output for result in batch.in_input_order()] == [0, 1, 2] * 10
    assert strategy.failures == 0


async def test_an_on_error_that_fails_or_hangs_harms_nothing(caplog):
    class Bad(Scripted):
        async def on_error(self, exception, attempt):
            if attempt == 1:
                raise RuntimeError("in on_error")
            await anyio.sleep_forever()

    strategy = Bad({"a": [Status(500), Status(500)]})
    async with ParallelBatchProcessor(ProcessorConfig(hook_timeout=3)) as processor:
        await add_all(processor, strategy, ["a"])
        batch = await processor.process_all()
        stats = await processor.get_stats()
    assert batch.succeeded == 1
    assert stats["hook_failures"] == 2
    assert "no item was harmed" in caplog.text


async def test_on_error_receives_the_only_exception_of_a_nurserys_group():
    received = []

    class Listening(Scripted):
        async def on_error(self, exception, attempt):
            received.append((exception, attempt))

    error = Status(500)
    await process_prompts(Listening({"a": [ExceptionGroup("nursery", [error])]}), ["a"])
    assert received == [(error, 1)]


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)  # asyncio raises it out of the event loop
async def test_an_interrupt_passes_and_every_item_has_a_result():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Scripted({"b": [KeyboardInterrupt()]}, seconds=1), ["a", "b", "c"])
        with pytest.raises(KeyboardInterrupt):
            await processor.process_all()
        assert processor.batch.total_items == 3


async def test_a_bug_is_logged_with_its_traceback(caplog):
    caplog.set_level(logging.ERROR, "paceline")
    await process_prompts(Scripted({"a": [ValueError("boo")]}), ["a"])
    assert "Scripted raised" in caplog.text
    assert "Traceback" in caplog.text


async def test_credentials_in_a_message_are_blanked():
    key = "AIzaSyA-0123456789abcdefghijklmnopqrstu"
    batch = await process_prompts(Scripted({"a": [ValueError(f"bad key {key}")]}), ["a"])
    assert key not in str(only_fault(batch))


class _FailingMiddleware(Middleware):
    def __init__(self, act):
        self.act = act

    async def before_process(self, work_item):
        return await self.act("before", work_item)

    async def after_process(self, result):
        return await self.act("after", result)

    async def on_retry(self, work_item, attempt, error):
        return await self.act("retry", work_item)


async def _raise(stage, thing):
    raise RuntimeError(stage)


async def _hang(stage, thing):
    await anyio.sleep_forever()


async def _leak(stage, thing):
    await leak()


async def _invalid(stage, thing):
    return 42


@pytest.mark.parametrize("act", [_raise, _hang, _leak, _invalid])
async def test_a_middleware_that_fails_before_the_call_settles_the_item_as_a_bug_without_a_call(act):
    strategy = Echo()
    batch = await process_prompts(strategy, list("abc"), middlewares=[_FailingMiddleware(act)])
    assert batch.failures == {FaultKind.BUG: 3}
    assert strategy.board.calls.total() == 0


@pytest.mark.parametrize("act", [_raise, _hang, _leak, _invalid])
async def test_a_middleware_that_fails_after_the_call_harms_no_result(act):
    async def only_late(stage, thing):
        return None if stage == "before" else await act(stage, thing)

    strategy = Scripted({"a": [Status(500)]})
    config = ProcessorConfig(max_workers=2)
    batch = await process_prompts(strategy, list("abc"), middlewares=[_FailingMiddleware(only_late)], config=config)
    assert batch.succeeded == 3
