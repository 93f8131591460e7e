"""Tests of strategies: whether one of your own keeps the promises of `LLMCallStrategy`.

    class TestMyStrategy(StrategyConformance):
        def make(self):
            return MyStrategy(api_key="sk-test", base_url=FAKE_SERVER)

With pytest the class has one test for each promise, and runs it on trio and on asyncio. Without pytest, await `check_strategy(make)`.
Of a ladder, each step is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal
from unittest import SkipTest

import anyio
from anyio import fail_after

from .._core.fault import FaultKind
from .._core.prompt import Prompt
from ..abc import LLMCallStrategy
from .strategy_promises import (
    PROMISES,
    Case,
    Make,
    classifies_failures,
    has_a_lifecycle,
    has_stable_names,
    keeps_state_in_copies,
    leaves_nothing_behind,
    passes_cancellation,
    restores_outputs,
    returns_output_and_tokens,
    serves_items_at_once,
    shows_no_secrets,
)
from .virtual_time import virtual_backend_options

PROMPT = "Answer in one word: is water wet?"
NO_FAILURES: Mapping[FaultKind, Make] = MappingProxyType({})

_LONGEST = 60.0  # seconds that a promise may take


async def check_strategy(  # noqa: PLR0913 - all but the first have defaults
    make: Make,
    *,
    prompt: Prompt = PROMPT,
    failing: Mapping[FaultKind, Make] = NO_FAILURES,
    secrets: Collection[str] = (),
    counts_tokens: bool = True,
    shared: Collection[str] = (),
) -> None:
    """Check all promises of a strategy in the running event loop. It makes about 30 calls.

    Args:
        make: Returns a new strategy, whose calls succeed.
        prompt: Prompt of the calls.
        failing: For each kind of fault, a function that returns a strategy whose call, or `prepare`, fails with it.
        secrets: Texts that must not be shown, such as the API key.
        counts_tokens: Whether a call reports its tokens.
        shared: Names of attributes that all items change on purpose, such as a cache.

    Raises:
        AssertionError: The strategy breaks a promise; the message names it.
    """
    case = Case(make=make, prompt=prompt, failing=failing, secrets=secrets, counts_tokens=counts_tokens, shared=shared)
    for promise in PROMISES:
        await _check(promise, case)


class StrategyConformance:
    """Tests of a strategy: subclass it, and define `make`. Each test runs on every one of `backends`.

        class TestMyStrategy(StrategyConformance):
            secrets = ("sk-test",)
            def make(self):
                return MyStrategy(api_key="sk-test", base_url=FAKE_SERVER)
            def failing(self):
                return {FaultKind.DENIED: lambda: MyStrategy(api_key="wrong", base_url=FAKE_SERVER)}

    A fixture of yours reaches `make` by an attribute that another fixture, with `autouse=True`, assigns to `self`.
    """

    prompt: ClassVar[Prompt] = PROMPT
    """Prompt of the calls."""
    secrets: ClassVar[Collection[str]] = ()
    """Texts that must not be shown, such as the API key."""
    counts_tokens: ClassVar[bool] = True
    """Whether a call reports its tokens."""
    shared: ClassVar[Collection[str]] = ()
    """Names of attributes that all items change on purpose, such as a cache."""
    backends: ClassVar[Collection[Literal["trio", "asyncio"]]] = ("trio", "asyncio")
    """Event loops on which the strategy works."""
    virtual_time: ClassVar[bool] = False
    """Whether sleeping takes no time; not for a strategy that waits for a server."""

    def make(self) -> LLMCallStrategy[Any]:
        """Return a new strategy, whose calls succeed."""
        raise NotImplementedError("define make(self), which returns a new strategy whose calls succeed")

    def failing(self) -> Mapping[FaultKind, Make]:
        """Return for each kind of fault a function that returns a strategy whose call, or `prepare`, fails with it."""
        return NO_FAILURES

    def test_its_quota_and_identity_are_stable(self) -> None:
        """Run `check_strategy` for what names the strategy."""
        self._run(has_stable_names)

    def test_it_answers_with_an_output_and_tokens(self) -> None:
        """Run it for what `execute` returns."""
        self._run(returns_output_and_tokens)

    def test_it_answers_several_items_at_once(self) -> None:
        """Run it for concurrent calls."""
        self._run(serves_items_at_once)

    def test_the_state_of_an_item_stays_with_its_copy(self) -> None:
        """Run it for what `execute` assigns."""
        self._run(keeps_state_in_copies)

    def test_it_lets_cancellation_pass(self) -> None:
        """Run it for calls that are cancelled."""
        self._run(passes_cancellation)

    def test_a_call_leaves_no_cancel_scope_and_no_task(self) -> None:
        """Run it for what is left after a call."""
        self._run(leaves_nothing_behind)

    def test_it_can_be_prepared_and_cleaned_up_again(self) -> None:
        """Run it for `prepare` and `cleanup`, also after a cancellation."""
        self._run(has_a_lifecycle)

    def test_its_outputs_survive_a_journal(self) -> None:
        """Run it for `restore`."""
        self._run(restores_outputs)

    def test_its_failures_are_classified(self) -> None:
        """Run it for the exceptions of `failing`."""
        if not self.failing():
            raise SkipTest("define failing(self) to check how failures are classified")
        self._run(classifies_failures)

    def test_it_shows_no_secrets(self) -> None:
        """Run it for reprs, names, logs and exceptions."""
        if not self.secrets:
            raise SkipTest("define secrets, such as the API key, to check that they are not shown")
        self._run(shows_no_secrets)

    def _run(self, promise: Callable[[Case], Awaitable[None]]) -> None:
        case = Case(
            make=self.make,
            prompt=self.prompt,
            failing=self.failing(),
            secrets=self.secrets,
            counts_tokens=self.counts_tokens,
            shared=self.shared,
        )
        for backend in self.backends:
            options = virtual_backend_options(backend) if self.virtual_time else {}
            anyio.run(_check, promise, case, backend=backend, backend_options=options)


async def _check(promise: Callable[[Case], Awaitable[None]], case: Case) -> None:
    with fail_after(_LONGEST):
        await promise(case)
