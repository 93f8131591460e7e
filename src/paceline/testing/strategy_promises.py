"""Promises of strategies, each as a function that raises AssertionError if a strategy breaks it."""

from __future__ import annotations

import copy
import json
import logging
import math
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import anyio
import attrs
from anyio import CancelScope, create_task_group, current_effective_deadline, get_cancelled_exc_class
from anyio.lowlevel import checkpoint

from .._core.fault import Fault, FaultKind
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy

Make: TypeAlias = Callable[[], LLMCallStrategy[Any]]

_TIMEOUT = 60.0  # seconds: passed to `execute`
_AT_ONCE = 5  # calls of different items
_CANCELLED_AFTER = range(12)  # checkpoints of another task: from before the call's first to well within most calls
_PREPARE_CANCELLED_AFTER = (0, 1, 5)  # checkpoints, as above; fewer, as making a client may take long
_ENDING = 10  # checkpoints in which a task that is ending ends
_PAIR = 2  # (output, tokens)
_CONTAINERS = (list, dict, set, deque, bytearray)
_MISSING = (None, None)
_OPEN_SCOPE = "a call leaves no cancel scope open"


@attrs.frozen(kw_only=True)
class Case:
    """A strategy under test."""

    make: Make
    prompt: Any
    failing: Mapping[FaultKind, Make]
    secrets: Collection[str]
    counts_tokens: bool
    shared: Collection[str]

    def steps(self) -> tuple[LLMCallStrategy[Any], ...]:
        """Return the strategies to call: a new one, or the steps of a new ladder."""
        strategy = self.make()
        return (strategy,) if strategy.ladder is None else strategy.ladder.steps

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[tuple[LLMCallStrategy[Any], ...]]:
        """Prepare the strategies to call, and clean them up at the end."""
        steps = self.steps()
        try:
            for step in steps:
                await step.prepare()
            yield steps
        finally:
            with CancelScope(shield=True):
                for step in steps:
                    await step.cleanup()

    async def call(self, own: LLMCallStrategy[Any]) -> tuple[Any, TokenUsage]:
        """Call a copy; return its output and its tokens."""
        return _checked(await own.execute(self.prompt, 1, _TIMEOUT))


async def has_stable_names(case: Case) -> None:
    """Its names stay the same."""
    first, second = case.make(), case.make()
    names = _names_of(first)
    quota: object = first.quota
    _expect(isinstance(quota, str) and quota.strip() != "", f"quota is a text that is not empty, not {quota!r}")
    try:
        json.dumps(names["identity"], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _broken(f"identity is plain JSON data; {error}") from error
    promise = "quota, identity and model are the same each time, on copies, and for equal strategies"
    for other in (first, copy.copy(first), second):
        _expect(_names_of(other) == names, f"{promise}: {names} is not {_names_of(other)}")
    async with case.prepared() as steps:
        for step, unprepared in zip(steps, case.steps(), strict=True):
            _expect(_names_of(step) == _names_of(unprepared), "prepare changes neither quota nor identity nor model")
    for step in case.steps():
        tokens = step.expected_tokens(case.prompt)
        _expect(tokens is None or tokens > 0, f"expected_tokens returns None or a positive number, not {tokens!r}")


async def returns_output_and_tokens(case: Case) -> None:
    """A call returns the output and the tokens."""
    async with case.prepared() as steps:
        for step in steps:
            own = copy.copy(step)
            for _ in range(2):  # a throttled call is repeated on the same copy
                _, usage = await case.call(own)
                if case.counts_tokens:
                    _expect(usage.total_tokens > 0, "a call reports the tokens that it used")


async def serves_items_at_once(case: Case) -> None:
    """Several items can be called at once."""
    replies = []

    async def call(own: LLMCallStrategy[Any]) -> None:
        replies.append(await case.call(own))

    async with case.prepared() as steps:
        async with create_task_group() as calls:
            for _ in range(_AT_ONCE):
                for step in steps:
                    calls.start_soon(call, copy.copy(step))
        _expect(len(replies) == _AT_ONCE * len(steps), "several items can be called at once")


async def keeps_state_in_copies(case: Case) -> None:
    """What a call assigns stays with the copy of its item."""
    async with case.prepared() as steps:
        for step in steps:
            before = _state_of(step, case.shared)
            own = copy.copy(step)
            kind = type(own).__qualname__
            _expect(isinstance(own, LLMCallStrategy), f"its copy is an LLMCallStrategy, not {kind}")
            await case.call(own)
            await own.on_error(RuntimeError("made by the test"), 1)
            _expect_unchanged(before, step, case.shared)


async def passes_cancellation(case: Case) -> None:
    """A call that is cancelled ends with the cancellation, and the next one works."""
    async with case.prepared() as steps:
        for step in steps:
            for checkpoints in _CANCELLED_AFTER:
                await _cancel_after(checkpoints, partial(case.call, copy.copy(step)))
            await case.call(copy.copy(step))


async def leaves_nothing_behind(case: Case) -> None:
    """A call leaves neither a cancel scope nor a task."""
    async with case.prepared() as steps:
        for step in steps:
            after = _AfterCall(partial(case.call, copy.copy(step)))
            try:
                async with create_task_group() as calls:
                    calls.start_soon(after.look)
            except BaseExceptionGroup as group:
                if after.failure is None and not after.broken and group.subgroup(RuntimeError) is None:
                    raise
                after.broken.append(_OPEN_SCOPE)
            if after.failure is not None:
                raise after.failure
            for promise in after.broken:
                raise _broken(promise)


async def has_a_lifecycle(case: Case) -> None:
    """It can be prepared again after its cleanup, and cleaned up after a cancelled preparation."""
    for step in case.steps():
        for _ in range(2):
            await step.prepare()
            await case.call(copy.copy(step))
            await step.cleanup()
        for checkpoints in _PREPARE_CANCELLED_AFTER:
            await _cancel_after(checkpoints, step.prepare)
            try:
                await step.cleanup()
            except Exception as error:
                raise _broken(f"cleanup works after prepare was cancelled; {error!r}") from error
        await step.prepare()
        await case.call(copy.copy(step))
        await step.cleanup()


async def restores_outputs(case: Case) -> None:
    """Outputs come back from their JSON data."""
    from .._codec import data_text  # noqa: PLC0415 - loads cattrs

    strategy = case.make()
    async with case.prepared() as steps:
        for step in steps:
            output, _ = await case.call(copy.copy(step))
            restored = strategy.restore(json.loads(data_text(output)))
            same = restored == output
            _expect(bool(same), f"restore returns the output from its JSON data: {output!r} became {restored!r}")


async def classifies_failures(case: Case) -> None:
    """Failures have the kinds that are expected."""
    for kind, make in case.failing.items():
        for step, error in await _failures_of(case, make):
            fault: object = step.error_classifier.classify(error)
            _expect(isinstance(fault, Fault), f"classify returns a Fault, not {type(fault).__qualname__}")
            found = getattr(fault, "kind", None)
            _expect(found is kind, f"the failure {kind} is classified as such, not as {found}: {fault}")


async def shows_no_secrets(case: Case) -> None:
    """No text in which it is shown has a secret."""
    if not case.secrets:
        return
    log = _Log()
    logging.getLogger().addHandler(log)
    try:
        texts = [f"its {name}: {text}" for strategy in (case.make(), *case.steps()) for name, text in _shown(strategy)]
        async with case.prepared() as steps:
            for step in steps:
                own = copy.copy(step)
                await case.call(own)
                texts += [f"its {name} after a call: {text}" for name, text in _shown(own)]
        for make in case.failing.values():
            for step, error in await _failures_of(case, make):
                texts += ["its exception: " + "".join(traceback.format_exception(error)), f"its exception: {error!r}"]
                texts.append(f"its fault: {step.error_classifier.classify(error)!r}")
    finally:
        logging.getLogger().removeHandler(log)
    for text in (*texts, *(f"the log: {text}" for text in log.texts)):
        place = text.partition(":")[0]
        _expect(not any(secret in text for secret in case.secrets), f"no secret is shown, but {place} has one")


PROMISES = (
    has_stable_names,
    leaves_nothing_behind,  # before other calls, which a scope that is left open disturbs
    returns_output_and_tokens,
    serves_items_at_once,
    keeps_state_in_copies,
    passes_cancellation,
    has_a_lifecycle,
    restores_outputs,
    classifies_failures,
    shows_no_secrets,
)


# ---------------------------------------------------------------------------------------------- probes


def _checked(reply: object) -> tuple[Any, TokenUsage]:
    """Return what a call returned, if it is an output with tokens."""
    if not isinstance(reply, tuple) or len(reply) != _PAIR:
        raise _broken(f"execute returns the output and the tokens, a tuple of two, not {type(reply).__qualname__}")
    try:
        return reply[0], TokenUsage.of(reply[1])
    except (TypeError, ValueError) as error:
        raise _broken(f"the second member of what execute returns has the tokens; {error}") from error


async def _cancel_after(checkpoints: int, function: Callable[[], Awaitable[object]]) -> None:
    """Cancel a coroutine when another task has passed a number of checkpoints; it may return, or raise the cancellation."""
    raised: list[BaseException] = []
    scope = CancelScope()

    async def run() -> None:
        with scope:
            try:
                await function()
            except BaseException as error:
                if (other := _without_cancellation(error)) is None:
                    raise
                raised.append(other)

    async with create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(checkpoints):
            await checkpoint()
        scope.cancel()
    for error in raised:
        if isinstance(error, AssertionError):
            raise error
        raise _broken(f"a cancellation passes as it is; a call that was cancelled raised {error!r}") from error


def _without_cancellation(error: BaseException) -> BaseException | None:
    """Return what an exception is besides a cancellation; None: nothing."""
    cancelled = get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[1]
    return None if isinstance(error, cancelled) else error


@attrs.define
class _AfterCall:
    """Makes a call in a task and a scope of its own, and looks at what it leaves behind."""

    call: Callable[[], Awaitable[object]]
    broken: list[str] = attrs.field(factory=list)
    """Promises that it broke."""
    failure: Exception | None = None
    """What the call raised."""

    async def look(self) -> None:
        with CancelScope():
            before = {task.id for task in anyio.get_running_tasks()}
            try:
                await self.call()
            except Exception as error:  # noqa: BLE001 - raised again outside of the scopes
                self.failure = error
            try:
                for _ in range(_ENDING):
                    await checkpoint()
            except get_cancelled_exc_class():
                self.broken.append("a call does not cancel the task that makes it")
                raise
            left = [task for task in anyio.get_running_tasks() if task.id not in before]
            if left:
                self.broken.append(f"a call leaves no task running; {left[0].name} is")


async def _failures_of(case: Case, make: Make) -> list[tuple[LLMCallStrategy[Any], Exception]]:
    """Return the exceptions of a strategy that is to fail, each with the copy that raised it."""
    strategy = make()
    found = []
    for step in (strategy,) if strategy.ladder is None else strategy.ladder.steps:
        try:
            found.append(await _failure_of(case, step))
        finally:
            with CancelScope(shield=True):
                await step.cleanup()
    return found


async def _failure_of(case: Case, step: LLMCallStrategy[Any]) -> tuple[LLMCallStrategy[Any], Exception]:
    try:
        await step.prepare()
    except Exception as error:  # noqa: BLE001 - any exception is classified
        return step, error
    before = _state_of(step, case.shared)
    own = copy.copy(step)
    try:
        reply: object = await own.execute(case.prompt, 1, _TIMEOUT)
    except Exception as error:  # noqa: BLE001 - as above
        await own.on_error(error, 1)
        _expect_unchanged(before, step, case.shared)
        return own, error
    except get_cancelled_exc_class() as error:
        if current_effective_deadline() == -math.inf:
            raise
        raise _broken(f"execute fails with an Exception, not with a cancellation: {error!r}") from error
    raise _broken(f"a strategy of `failing` fails; it returned {type(reply).__qualname__}")


def _state_of(strategy: LLMCallStrategy[Any], shared: Collection[str]) -> dict[str, tuple[object, object]]:
    """Return each attribute of an instance, and a copy of those that are containers."""
    slots = {name for cls in type(strategy).__mro__ for name in getattr(cls, "__slots__", ())}
    values = {name: getattr(strategy, name) for name in slots if hasattr(strategy, name)} | getattr(
        strategy, "__dict__", {}
    )
    return {
        name: (value, copy.copy(value) if type(value) in _CONTAINERS else None)
        for name, value in values.items()
        if name not in {"__dict__", "__weakref__", *shared}
    }


def _expect_unchanged(
    before: Mapping[str, tuple[object, object]], strategy: LLMCallStrategy[Any], shared: Collection[str]
) -> None:
    after = _state_of(strategy, shared)
    for name in sorted({*before, *after}):
        (old, contents), (new, _) = before.get(name, _MISSING), after.get(name, _MISSING)
        promise = "what a call changes stays with the copy of its item"
        _expect(old is new, f"{promise}; it assigned {name} of all items (if on purpose: shared=[{name!r}])")
        same = type(new) not in _CONTAINERS or contents == new
        _expect(same, f"{promise}; it changed {name}, which all items share (if on purpose: shared=[{name!r}])")


def _names_of(strategy: LLMCallStrategy[Any]) -> dict[str, Any]:
    return {"quota": strategy.quota, "model": strategy.model, "identity": dict(strategy.identity)}


def _shown(strategy: LLMCallStrategy[Any]) -> list[tuple[str, str]]:
    """Return the texts in which a strategy is shown, and their names."""
    names = {**_names_of(strategy), "server": strategy.server}
    return [("repr", repr(strategy)), ("text", str(strategy)), *((name, repr(text)) for name, text in names.items())]


class _Log(logging.Handler):
    """Keeps the texts of log records, with their tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def _expect(holds: bool, promise: str) -> None:  # noqa: FBT001 - like assert
    if not holds:
        raise _broken(promise)


def _broken(promise: str) -> AssertionError:
    return AssertionError(f"the strategy breaks a promise: {promise}")
