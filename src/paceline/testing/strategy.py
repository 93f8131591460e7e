"""The simulated provider as a strategy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .._core.exceptions import ConfigurationError
from .._core.headers import quota_of
from .._core.request import Request
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from .provider import SimulatedProvider


class SimulatedStrategy(LLMCallStrategy[str]):
    """Calls a simulated provider. To a `Request` of any form it answers as it would to its words.

    Args:
        provider: shared by all items, and by other strategies that are to share its limits.
        model: the model's name, for results.
        quota: the lane's name; by default the class's and the model's.

    Raises:
        ConfigurationError: `provider` is none.
    """

    takes_requests = True

    def __init__(self, provider: SimulatedProvider, *, model: str = "sim", quota: str | None = None) -> None:
        if not isinstance(provider, SimulatedProvider):
            raise ConfigurationError(f"provider must be a SimulatedProvider, not {provider!r}")
        self.provider = provider
        self.model = model
        self._quota = quota
        self._tells_limits = provider.tells_limits

    @property
    def quota(self) -> str:
        """The lane's name."""
        return super().quota if self._quota is None else self._quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its class, its model, and the name of its lane, which tells one simulated service from another."""
        return {**super().identity, "service": self.quota}

    def __copy__(self) -> SimulatedStrategy:
        if not self._tells_limits:
            return self  # nothing changes after __init__, so items can share it
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    async def execute(self, prompt: str | Request, attempt: int, timeout: float) -> tuple[str, TokenUsage]:  # noqa: ARG002
        """Make one call; it raises what `SimulatedProvider.call` raises."""
        if isinstance(prompt, Request):
            prompt = prompt.text
        reply = await self.provider.call(prompt, attempt)
        if reply.headers:
            self.quota_hint = quota_of(reply.headers, wall_time=time.time())
        return reply.text, reply.usage
