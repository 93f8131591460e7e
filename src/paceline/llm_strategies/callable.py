"""Any async function as a strategy."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from .._core.exceptions import ConfigurationError
from .._core.usage import NO_USAGE, TokenUsage
from ..abc import DefaultErrorClassifier, ErrorClassifier, LLMCallStrategy

T = TypeVar("T")

_WITH_TOKENS = 2  # (output, tokens)


class CallableStrategy(LLMCallStrategy[T], Generic[T]):
    """Calls `function(prompt)` for each item.

    The function returns the output, or the output and a `TokenUsage`. It raises `RateLimitError` when the provider asks for
    fewer calls, and `CallError` for the other kinds of fault; exceptions with an HTTP status are understood as they are.

    Args:
        function: an async function of the prompt.
        quota: the lane's name; by default the function's.
        model: the model's name, for results.
        error_classifier: says which fault an exception is.

    Raises:
        ConfigurationError: `function` is not callable, or is a generator.
    """

    def __init__(
        self,
        function: Callable[[str], Awaitable[T | tuple[T, TokenUsage]]],
        *,
        quota: str | None = None,
        model: str | None = None,
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
        self.error_classifier: ErrorClassifier = error_classifier or DefaultErrorClassifier()

    @property
    def quota(self) -> str:
        """The lane's name."""
        return self._quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """The function's name, and the model's."""
        return {**super().identity, "function": self._name}

    def __copy__(self) -> CallableStrategy[T]:
        return self  # nothing changes after __init__, so items can share it

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Call the function.

        Raises:
            TypeError: what it returned cannot be awaited.
        """
        awaitable = self._function(prompt)
        if not inspect.isawaitable(awaitable):
            raise TypeError(f"{self._name} must be an async function; it returned {type(awaitable).__name__}")
        reply = await awaitable
        if isinstance(reply, tuple) and len(reply) == _WITH_TOKENS and isinstance(reply[1], TokenUsage):
            return cast("tuple[T, TokenUsage]", reply)
        return cast("T", reply), NO_USAGE
