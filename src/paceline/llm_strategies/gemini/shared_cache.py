"""SharedCache: carries out the decisions of `cache_state` for one context cache that all calls of a strategy share in one loop.

There is no background task: a worker carries out an operation within its own call, so a deadline or a cancellation may end
it, and the next worker takes over. Calls that wait for an operation fail if it fails, as repeating it would fail too.

Time is the event loop's. The expiry of a cache that was found is not read but set, by renewing the cache.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import attrs
from anyio import Event as Signal
from anyio import current_time
from google import genai
from google.genai import types
from google.genai.errors import APIError

from ..._core.exceptions import CallError, IllegalTransitionError
from ..._core.fault import Fault, FaultKind
from ..._core.fault_groups import provider_words
from ...abc import ErrorClassifier
from . import cache_signals as signals
from . import cache_state as machine
from .errors import is_cache_gone
from .request import Context, duration, sdk_errors

IfTooSmall: TypeAlias = Literal["send", "stop"]
_Operation: TypeAlias = signals.Search | signals.Create | signals.Renew

_PAGE = 100  # caches per page of a list
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_BAD_REQUEST, _NOT_FOUND = 400, 404

logger: logging.Logger = logging.getLogger("paceline.llm_strategies.gemini")


@attrs.define(eq=False)
class _Flight:
    """One operation, or several that follow from each other."""

    ended: Signal = attrs.field(factory=Signal)
    fault: Fault | None = None


class SharedCache:
    """A context cache at the service."""

    def __init__(
        self, context: Context, policy: machine.CachePolicy, if_too_small: IfTooSmall, classifier: ErrorClassifier
    ) -> None:
        self._context = context
        self._policy = policy
        self._if_too_small = if_too_small
        self._classifier = classifier
        self._state = machine.NEW
        self._flight: _Flight | None = None

    async def name(self, client: genai.Client) -> str | None:
        """Return the name of the cache for the next call, once one exists; None if the call must send the context itself.

        On cancellation another call takes over this one's operation.

        Raises:
            CallError: Another call's operation, for which this call waited, failed; or the context is too small and
                `too_small` is `stop`.
            google.genai.errors.APIError: The service refused the operation.
            httpx2.HTTPError: The service could not be reached.
        """
        effect = self._step(signals.Wanted())
        while True:
            match effect:
                case signals.Use(name):
                    return name
                case signals.SendContext():
                    return None
                case signals.Wait():
                    await self._wait()
                    effect = self._step(signals.Wanted())
                case signals.AskAgain():
                    effect = self._step(signals.Wanted())
                case signals.Search() | signals.Create() | signals.Renew():
                    effect = await self._carry_out(client, effect)
                case _:
                    raise IllegalTransitionError(f"{effect} for a call")

    def on_served(self, name: str) -> None:
        """Record that a call succeeded with a cache."""
        self._step(signals.Served(name))

    def on_gone(self, name: str) -> None:
        """Record that the service has no cache of this name."""
        self._step(signals.Gone(name))

    async def close(self, client: genai.Client) -> None:
        """Delete the cache at the service, unless the policy keeps it.

        Raises:
            Exception: The cache could not be deleted; it will expire.
        """
        await self._remove(client, self._step(signals.Closing()))

    def _step(self, event: signals.Event) -> signals.Effect:
        before = self._state
        self._state, effect = machine.step(self._policy, before, event, current_time())
        if isinstance(event, signals.Gone) and self._state is not before:
            logger.info("the context cache %s is gone", event.name)
            if isinstance(self._state, machine.Unusable):
                logger.warning("caches disappear before they serve a call; the context is sent with each call instead")
        return effect

    async def _wait(self) -> None:
        flight = self._flight
        if flight is None:  # unreachable: an operation and its flight end in the same step
            raise IllegalTransitionError("no operation of the context cache is in flight")
        await flight.ended.wait()
        if flight.fault is not None:
            fault = flight.fault
            message = f"the context cache: {fault.message}"
            raise CallError(
                message, kind=fault.kind, retry_after=fault.retry_after, quota=fault.quota, reason=fault.reason
            )

    async def _carry_out(self, client: genai.Client, operation: _Operation) -> signals.Effect:
        """Carry out an operation and return the next effect for the call."""
        self._flight = self._flight or _Flight()
        try:
            event = await self._do(client, operation)
        except Exception as error:
            fault = self._classifier.classify(error)
            effect = self._step(signals.Failed(_may_have_succeeded(error)))
            if isinstance(effect, signals.AskAgain):  # the cache is still usable for a while
                logger.info("the context cache could not be renewed: %s", provider_words(fault.message))
                self._end_flight(None)
                return effect
            self._end_flight(fault)
            raise
        except BaseException:  # cancelled: another call takes over
            self._step(signals.Failed(lost=True))
            self._end_flight(None)
            raise
        effect = self._step(event)
        if isinstance(effect, signals.Delete):  # closed in the meantime
            await self._remove(client, effect)
        if not isinstance(effect, signals.Search | signals.Create | signals.Renew):
            self._end_flight(None)
        return effect

    def _end_flight(self, fault: Fault | None) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.fault = fault
            flight.ended.set()

    async def _do(self, client: genai.Client, operation: _Operation) -> signals.Event:
        match operation:
            case signals.Search():
                return await self._search(client)
            case signals.Create():
                return await self._create(client)
            case signals.Renew(name):
                return await self._renew(client, name)

    async def _search(self, client: genai.Client) -> signals.Found | signals.NotFound:
        try:
            existing = await self._existing(client)
        except APIError as error:
            if self._classifier.classify(error).kind is not FaultKind.REJECTED:
                raise
            return signals.NotFound()  # a gateway that does not list caches
        latest = max(existing, key=lambda cache: cache.expire_time or _LONG_AGO, default=None)
        if latest is None or latest.name is None:
            return signals.NotFound()
        logger.info("found the context cache %s", latest.name)
        return signals.Found(latest.name)

    async def _create(self, client: genai.Client) -> signals.Created | signals.TooSmall:
        since = current_time()
        config = self._context.creation_config(self._policy.ttl)
        try:
            with sdk_errors():
                cache = await client.aio.caches.create(model=self._context.model, config=config)
        except APIError as error:
            fault = self._classifier.classify(error)
            if error.code != _BAD_REQUEST or fault.kind is not FaultKind.REJECTED:
                raise
            if self._if_too_small == "stop":
                message = (
                    f"the context cannot be cached, most often as it is below the model's minimum: {fault.message}"
                )
                raise CallError(message, kind=FaultKind.DENIED) from error
            logger.warning(
                "%s does not cache this context, most often as it is below the minimum; it is sent with each call instead (%s)",
                self._context.model,
                fault.message,
            )
            return signals.TooSmall()
        if not cache.name:
            raise CallError("the service created a context cache without a name", kind=FaultKind.TRANSIENT)
        tokens = cache.usage_metadata.total_token_count if cache.usage_metadata else None
        logger.info("created the context cache %s of %s tokens", cache.name, tokens)
        return signals.Created(cache.name, since)

    async def _renew(self, client: genai.Client, name: str) -> signals.Renewed | signals.Missing:
        since = current_time()
        config = types.UpdateCachedContentConfig(ttl=duration(self._policy.ttl), http_options=self._options)
        try:
            with sdk_errors():
                await client.aio.caches.update(name=name, config=config)
        except APIError as error:
            if error.code == _NOT_FOUND or is_cache_gone(error):
                return signals.Missing()
            raise
        return signals.Renewed(since)

    async def _remove(self, client: genai.Client, effect: signals.Effect) -> None:
        match effect:
            case signals.Delete(name):
                names = [name]
            case signals.Sweep():
                names = [cache.name for cache in await self._existing(client) if cache.name]
            case _:
                return
        for name in names:
            try:
                with sdk_errors():
                    config = types.DeleteCachedContentConfig(http_options=self._options)
                    await client.aio.caches.delete(name=name, config=config)
            except APIError as error:
                if error.code != _NOT_FOUND and not is_cache_gone(error):
                    raise

    async def _existing(self, client: genai.Client) -> list[types.CachedContent]:
        config = types.ListCachedContentsConfig(page_size=_PAGE, http_options=self._options)
        with sdk_errors():
            caches = [cache async for cache in await client.aio.caches.list(config=config)]
        return [cache for cache in caches if cache.display_name == self._context.fingerprint]

    @property
    def _options(self) -> types.HttpOptions | None:
        return self._context.config.http_options


def _may_have_succeeded(error: Exception) -> bool:
    """Whether the service may have created a cache although the request raised: true unless it clearly refused."""
    if isinstance(error, CallError):
        return error.kind is not FaultKind.DENIED
    return not (isinstance(error, APIError) and 400 <= error.code < 500)  # noqa: PLR2004 - HTTP's own bounds
