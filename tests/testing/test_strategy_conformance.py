"""The tests of strategies: ours pass them, and a strategy that breaks any promise fails one that names it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from unittest import SkipTest

import anyio
import pytest
import trio

from paceline import CallableStrategy, CallError, FaultKind, LLMCallStrategy, RateLimitError, TokenUsage
from paceline.abc import DefaultErrorClassifier
from paceline.testing import StrategyConformance, check_strategy, run_in_virtual_time
from paceline.testing.strategy_promises import PROMISES

USAGE = TokenUsage(3, 2)
KEY = "key-that-must-not-be-seen"


class Sound(LLMCallStrategy[str]):
    """Keeps every promise; each test changes one thing."""

    async def prepare(self):
        self.client = object()

    async def execute(self, prompt, attempt, timeout):
        await anyio.sleep(1)
        return await self.answer(prompt)

    async def answer(self, prompt):
        return prompt.upper(), USAGE

    async def cleanup(self):
        self.client = None


def check(kind, *, backend="trio", **options):
    run_in_virtual_time(lambda: check_strategy(kind, **options), backend=backend)


def broken(kind, words, *, backends=("trio", "asyncio"), **options):
    for backend in backends:
        with pytest.raises(AssertionError, match=f"the strategy breaks a promise: .*{words}"):
            check(kind, backend=backend, **options)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_sound_strategy_keeps_every_promise(backend):
    check(Sound, backend=backend, secrets=[KEY])


def test_a_quota_that_changes_is_found():
    class Counting(Sound):
        asked = 0

        @property
        def quota(self):
            Counting.asked += 1
            return f"lane {Counting.asked}"

    class Empty(Sound):
        quota = " "

    class OfTheInstance(Sound):
        @property
        def quota(self):
            return repr(id(self))

    class Prepared(Sound):
        async def prepare(self):
            self.model = "found out"

    broken(Counting, "quota, identity and model are the same each time")
    broken(OfTheInstance, "quota, identity and model are the same each time")
    broken(Empty, "quota is a text that is not empty, not ' '")
    broken(Prepared, "prepare changes neither quota nor identity nor model")


def test_an_identity_that_is_not_json_is_found():
    class Identified(Sound):
        @property
        def identity(self):
            return {"client": object()}

    broken(Identified, "identity is plain JSON data")


@pytest.mark.parametrize("tokens", [0, -1.0])
def test_an_estimate_of_no_tokens_is_found(tokens):
    class Estimating(Sound):
        def expected_tokens(self, prompt):
            return tokens

    broken(Estimating, "expected_tokens returns None or a positive number")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("text", "execute returns the output and the tokens, a tuple of two, not str"),
        (None, "execute returns the output and the tokens, a tuple of two, not NoneType"),
        (("a", USAGE, 1), "execute returns the output and the tokens"),
        (("a", 7), "tokens must be a TokenUsage, a mapping or None, not int"),
        (("a", {"input_tokens": -1}), "input_tokens must be a whole number"),
        (("a", {"prompt_tokens": 5}), "a call reports the tokens that it used"),
        (("a", None), "a call reports the tokens that it used"),
    ],
)
def test_a_reply_of_another_form_is_found(reply, words):
    class Replying(Sound):
        async def answer(self, prompt):
            return reply

    broken(Replying, words)


def test_a_strategy_that_counts_no_tokens_may_say_so():
    class Uncounted(Sound):
        async def answer(self, prompt):
            return prompt, None

    check(Uncounted, counts_tokens=False)


def test_state_that_items_share_is_found():
    class Assigns(Sound):
        def __copy__(self):
            return self

        async def answer(self, prompt):
            self.last = prompt
            return prompt, USAGE

    class Appends(Sound):
        def __init__(self):
            self.errors = []

        async def on_error(self, exception, attempt):
            self.errors.append(exception)

    class OwnState(Appends):
        async def on_error(self, exception, attempt):
            self.errors = [*self.errors, exception]

    broken(Assigns, "it assigned last of all items")
    broken(Appends, "it changed errors, which all items share")
    check(OwnState)
    check(Appends, shared=["errors"])


def test_a_client_that_serves_one_item_at_a_time_is_found():
    class Exclusive(Sound):
        async def prepare(self):
            self.busy = anyio.Semaphore(1)

        async def answer(self, prompt):
            self.busy.acquire_nowait()
            await anyio.sleep(1)
            self.busy.release()
            return prompt, USAGE

    for backend in ("trio", "asyncio"):
        with pytest.raises(ExceptionGroup) as caught:
            check(Exclusive, backend=backend)
        assert caught.value.subgroup(anyio.WouldBlock)


def test_a_cancellation_that_does_not_pass_is_found():
    class Replaces(Sound):
        async def execute(self, prompt, attempt, timeout):
            try:
                return await super().execute(prompt, attempt, timeout)
            except BaseException as error:
                raise CallError("failed", kind=FaultKind.TRANSIENT) from error

    class Swallows(Sound):
        async def execute(self, prompt, attempt, timeout):
            try:
                return await super().execute(prompt, attempt, timeout)
            except anyio.get_cancelled_exc_class():
                return None

    broken(Replaces, "a cancellation passes as it is; a call that was cancelled raised CallError")
    broken(Swallows, "execute returns the output and the tokens, a tuple of two, not NoneType")


def test_a_client_that_a_cancellation_breaks_is_found():
    class Breaks(Sound):
        async def prepare(self):
            self.free = anyio.CapacityLimiter(5)

        async def execute(self, prompt, attempt, timeout):
            self.free.acquire_on_behalf_of_nowait(object())
            reply = await super().execute(prompt, attempt, timeout)
            self.free.total_tokens += 1
            return reply

    for backend in ("trio", "asyncio"):
        with pytest.raises((anyio.WouldBlock, AssertionError)):
            check(Breaks, backend=backend)


def test_a_nursery_of_the_strategy_may_wrap_the_cancellation():
    class InNursery(Sound):
        async def execute(self, prompt, attempt, timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 1)
                await anyio.sleep(1)
            return prompt, USAGE

    for backend in ("trio", "asyncio"):
        check(InNursery, backend=backend)


@asynccontextmanager
async def leaking():
    with anyio.fail_after(50):
        yield


class LeaksAScope(Sound):
    async def answer(self, prompt):
        self.held = leaking()
        await self.held.__aenter__()
        return prompt, USAGE


def test_a_cancel_scope_that_stays_open_is_found():
    broken(LeaksAScope, "a call leaves no cancel scope open")


def test_a_task_that_keeps_running_is_found():
    class LeaksATask(Sound):
        async def answer(self, prompt):
            self.task = asyncio.ensure_future(asyncio.sleep(3))
            return prompt, USAGE

    class LeaksIntoANursery(Sound):
        def __init__(self, nursery):
            self.nursery = nursery

        async def answer(self, prompt):
            self.nursery.start_soon(anyio.sleep, 3)
            return prompt, USAGE

    async def main():
        async with anyio.create_task_group() as nursery:
            with pytest.raises(AssertionError, match="a call leaves no task running"):
                await check_strategy(lambda: LeaksIntoANursery(nursery))

    broken(LeaksATask, "a call leaves no task running", backends=["asyncio"])
    for backend in ("trio", "asyncio"):
        run_in_virtual_time(main, backend=backend)


def test_a_task_that_the_call_cancels_is_found():
    class CancelsItself(Sound):
        async def answer(self, prompt):
            asyncio.current_task().cancel()
            return prompt, USAGE

    broken(CancelsItself, "a call does not cancel the task that makes it", backends=["asyncio"])


def test_a_cleanup_that_needs_a_complete_prepare_is_found():
    class Closes(Sound):
        client = None

        async def prepare(self):
            await anyio.lowlevel.checkpoint()
            self.client = anyio.Event()

        async def cleanup(self):
            self.client.set()
            self.client = None

    broken(Closes, "cleanup works after prepare was cancelled")


def test_a_strategy_that_can_be_prepared_only_once_is_found():
    class Once(Sound):
        closed = False

        async def execute(self, prompt, attempt, timeout):
            if self.closed:
                raise OSError("the client has been closed")
            return await super().execute(prompt, attempt, timeout)

        async def cleanup(self):
            self.closed = True

    with pytest.raises(OSError, match="the client has been closed"):
        check(Once)


def test_an_output_that_a_journal_does_not_return_is_found():
    class Pairs(Sound):
        async def answer(self, prompt):
            return (prompt, 1), USAGE

    class RestoredPairs(Pairs):
        def restore(self, data):
            return tuple(data)

    broken(Pairs, "restore returns the output from its JSON data")
    check(RestoredPairs)


class Failing(Sound):
    """Raises an exception."""

    def __init__(self, error=None):
        self.error = error

    async def answer(self, prompt):
        if self.error is not None:
            raise self.error
        return prompt, USAGE


def test_failures_must_have_the_kind_that_is_expected():
    rate_limit = {FaultKind.THROTTLED: lambda: Failing(RateLimitError())}
    check(Failing, failing=rate_limit)
    broken(
        Failing,
        "the failure denied is classified as such, not as bug",
        failing={FaultKind.DENIED: lambda: Failing(ValueError("x"))},
    )
    broken(Failing, "a strategy of `failing` fails; it returned tuple", failing={FaultKind.DENIED: Failing})


def test_a_failure_of_prepare_is_classified_too_and_cleaned_up():
    cleaned = []

    class Unprepared(Sound):
        async def prepare(self):
            raise CallError("the key is wrong", kind=FaultKind.DENIED)

        async def cleanup(self):
            cleaned.append(self)

    check(Sound, failing={FaultKind.DENIED: Unprepared})
    assert len(cleaned) == 1


def test_a_cancellation_that_no_one_asked_for_is_no_failure():
    class Cancels(Sound):
        async def answer(self, prompt):
            raise asyncio.CancelledError

    broken(
        Sound,
        "execute fails with an Exception, not with a cancellation",
        backends=["asyncio"],
        failing={FaultKind.CANCELLED: Cancels},
    )


def test_a_classifier_that_returns_something_else_is_found():
    class Classifies(Failing):
        class error_classifier:  # noqa: N801 - stands for an object
            @staticmethod
            def classify(exception):
                return "throttled"

    broken(Sound, "classify returns a Fault", failing={FaultKind.THROTTLED: lambda: Classifies(RateLimitError())})


def test_secrets_are_found_wherever_they_are_shown():
    class InItsRepr(Sound):
        def __repr__(self):
            return f"InItsRepr({KEY})"

    class InItsIdentity(Sound):
        @property
        def identity(self):
            return {"key": KEY}

    class InItsServer(Sound):
        server = f"https://{KEY}@example.com"

    class InTheLog(Sound):
        async def answer(self, prompt):
            logging.getLogger("mine").warning("calling with %s", KEY)
            return prompt, USAGE

    for kind, place in {
        InItsRepr: "its repr",
        InItsIdentity: "its identity",
        InItsServer: "its server",
        InTheLog: "the log",
    }.items():
        broken(kind, f"no secret is shown, but {place} has one", secrets=[KEY])
    failing = {FaultKind.REJECTED: lambda: Failing(CallError(f"no {KEY}", kind=FaultKind.REJECTED))}
    broken(Sound, "no secret is shown, but its exception has one", secrets=[KEY], failing=failing)


def test_a_broken_promise_does_not_show_the_secret():
    class InItsRepr(Sound):
        def __repr__(self):
            return f"InItsRepr({KEY})"

    with pytest.raises(AssertionError) as caught:
        check(InItsRepr, secrets=[KEY])
    assert KEY not in str(caught.value)


class TestSound(StrategyConformance):
    """The class, as a user has it: pytest collects its tests."""

    virtual_time = True
    secrets = (KEY,)

    def make(self):
        return Sound()

    def failing(self):
        return {FaultKind.THROTTLED: lambda: Failing(RateLimitError())}


def test_a_class_has_one_test_for_each_promise():
    assert len([name for name in dir(TestSound) if name.startswith("test_")]) == len(PROMISES)


def test_what_a_class_does_not_define_is_skipped_or_asked_for():
    with pytest.raises(NotImplementedError, match="define make"):
        StrategyConformance().test_its_quota_and_identity_are_stable()
    with pytest.raises(SkipTest, match="define failing"):
        StrategyConformance().test_its_failures_are_classified()
    with pytest.raises(SkipTest, match="define secrets"):
        StrategyConformance().test_it_shows_no_secrets()


def test_a_class_runs_on_its_backends_only():
    seen = set()

    class OnAsyncio(StrategyConformance):
        backends = ("asyncio",)

        def make(self):
            async def answer(prompt):
                seen.add(asyncio.get_running_loop())
                return prompt

            return CallableStrategy(answer)

        counts_tokens = False

    OnAsyncio().test_it_answers_with_an_output_and_tokens()
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="no running event loop"):
        trio.run(check_strategy, OnAsyncio().make)


def test_the_default_classifier_is_used():
    assert isinstance(Sound.error_classifier, DefaultErrorClassifier)
