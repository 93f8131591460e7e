"""CallableStrategy: an async function as a strategy."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar, cast, overload

from .._core.accounting import Price
from .._core.exceptions import ConfigurationError
from .._core.usage import NO_USAGE, TokenUsage
from ..abc import DefaultErrorClassifier, ErrorClassifier, LLMCallStrategy

T = TypeVar("T")

_PAIR = 2  # (output, tokens)


class CallableStrategy(LLMCallStrategy[T], Generic[T]):
    """Calls `function(prompt)` for each item.

    The function returns the output, or the output and a `TokenUsage`. It raises `RateLimitError` when the provider asks for
    fewer calls, and `CallError` for other kinds of fault; exceptions with an HTTP status are classified by it.

    Args:
        function: Async function of the prompt.
        quota: Name of the lane; by default the function's name.
        model: Name of the model, for results.
        price: Price of the tokens that it returns.
        error_classifier: Returns the fault of an exception.

    Raises:
        ConfigurationError: `function` is not callable, or is a generator.
    """

    @overload  # a pair before any other value: else its type would be the output's
    def __init__(
        self,
        function: Callable[[str], Awaitable[tuple[T, TokenUsage]]],
        *,
        quota: str | None = None,
        model: str | None = None,
        price: Price | None = None,
        error_classifier: ErrorClassifier | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        function: Callable[[str], Awaitable[T | tuple[T, TokenUsage]]],
        *,
        quota: str | None = None,
        model: str | None = None,
        price: Price | None = None,
        error_classifier: ErrorClassifier | None = None,
    ) -> None: ...

    def __init__(
        self,
        function: Callable[[str], Awaitable[T | tuple[T, TokenUsage]]],
        *,
        quota: str | None = None,
        model: str | None = None,
        price: Price | None = None,
        error_classifier: ErrorClassifier | None = None,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"function must be an async function of the prompt, not {function!r}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"{function.__qualname__} is a generator; give an async function of the prompt")
        self._function = function
        self._name = str(getattr(function, "__qualname__", type(function).__qualname__))
        self._quota = quota or self._name
        self.model = model
        self.price: Price | None = price
        self.error_classifier: ErrorClassifier = error_classifier or DefaultErrorClassifier()

    @property
    def quota(self) -> str:
        """Name of the lane."""
        return self._quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """Names of the function and of the model."""
        return {**super().identity, "function": self._name}

    def __copy__(self) -> CallableStrategy[T]:
        return self  # immutable after __init__, so items can share it

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Call the function.

        Raises:
            TypeError: The function's return value cannot be awaited.
        """
        awaitable = self._function(prompt)
        if not inspect.isawaitable(awaitable):
            raise TypeError(f"{self._name} must be an async function; it returned {type(awaitable).__name__}")
        reply = await awaitable
        if isinstance(reply, tuple) and len(reply) == _PAIR and isinstance(reply[1], TokenUsage):
            return cast("tuple[T, TokenUsage]", reply)
        return cast("T", reply), NO_USAGE
