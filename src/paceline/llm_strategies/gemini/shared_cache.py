"""One context cache at Gemini's, shared by all calls of a strategy in one loop.

The machine in `_core.context_cache` decides; here is done what it says, by the workers themselves and without a task of its
own. The worker of an operation carries it out within its own call, so a deadline or a cancellation may end it: then the next
one takes over. Those who wait for an operation that fails, fail with it, as its repetition for each of them would fail too.

Time is the loop's. When a cache that was found expires is not asked, but set: by renewing it.
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
from ...abc import ErrorClassifier
from . import cache_state as machine
from .errors import is_cache_gone
from .request import Context, duration, understood

IfTooSmall: TypeAlias = Literal["send", "stop"]
_Operation: TypeAlias = machine.Search | machine.Create | machine.Renew

_PAGE = 100  # caches of a list
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_BAD_REQUEST, _NOT_FOUND = 400, 404

logger: logging.Logger = logging.getLogger("paceline.llm_strategies.gemini")


@attrs.define(eq=False)
class _Flight:
    """One operation, or several that follow from each other."""

    landed: Signal = attrs.field(factory=Signal)
    fault: Fault | None = None


class SharedCache:
    """A cache of a context."""

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
        """Return the cache that the next call is to use, once there is one; None: it sends the context itself.

        A cancellation passes at once, and another call takes over what this one was doing.

        Raises:
            CallError: somebody else's operation, for which this call waited, has failed; or the context is too small, and
                that is to stop the batch.
            google.genai.errors.APIError: the service refused the operation.
            httpx2.HTTPError: the service could not be reached.
        """
        effect = self._tell(machine.Wanted())
        while True:
            match effect:
                case machine.Use(name):
                    return name
                case machine.SendContext():
                    return None
                case machine.Wait():
                    await self._wait()
                    effect = self._tell(machine.Wanted())
                case machine.AskAgain():
                    effect = self._tell(machine.Wanted())
                case machine.Search() | machine.Create() | machine.Renew():
                    effect = await self._carry_out(client, effect)
                case _:
                    raise IllegalTransitionError(f"{effect} for a call")

    def served(self, name: str) -> None:
        """Hear that a call was served with a cache."""
        self._tell(machine.Served(name))

    def gone(self, name: str) -> None:
        """Hear that the service knows no such cache."""
        self._tell(machine.Gone(name))

    async def close(self, client: genai.Client) -> None:
        """Leave nothing at the service, unless the cache is to be kept.

        Raises:
            Exception: it could not be deleted; it will expire by itself.
        """
        await self._remove(client, self._tell(machine.Closing()))

    def _tell(self, event: machine.Event) -> machine.Effect:
        before = self._state
        self._state, effect = machine.step(self._policy, before, event, current_time())
        if isinstance(event, machine.Gone) and self._state is not before:
            logger.info("the context cache %s is gone", event.name)
            if isinstance(self._state, machine.Unusable):
                logger.warning("caches are gone before they serve a call: the context is sent with each call instead")
        return effect

    async def _wait(self) -> None:
        flight = self._flight
        if flight is None:  # not reached: who ends an operation ends its flight before anyone else can run
            raise IllegalTransitionError("nothing to wait for")
        await flight.landed.wait()
        if flight.fault is not None:
            fault = flight.fault
            message = f"the context cache: {fault.message}"
            raise CallError(message, kind=fault.kind, retry_after=fault.retry_after, quota=fault.quota)

    async def _carry_out(self, client: genai.Client, operation: _Operation) -> machine.Effect:
        """Carry out an operation; return what follows for the call."""
        self._flight = self._flight or _Flight()
        try:
            event = await self._do(client, operation)
        except Exception as error:
            fault = self._classifier.classify(error)
            effect = self._tell(machine.Failed(_may_be_done(error)))
            if isinstance(effect, machine.AskAgain):  # the cache lives on for a while
                logger.info("the context cache could not be renewed: %s", fault)
                self._land(None)
                return effect
            self._land(fault)
            raise
        except BaseException:  # cancelled: somebody else takes over
            self._tell(machine.Failed(lost=True))
            self._land(None)
            raise
        effect = self._tell(event)
        if isinstance(effect, machine.Delete):  # it was closed meanwhile
            await self._remove(client, effect)
        if not isinstance(effect, machine.Search | machine.Create | machine.Renew):
            self._land(None)
        return effect

    def _land(self, fault: Fault | None) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.fault = fault
            flight.landed.set()

    async def _do(self, client: genai.Client, operation: _Operation) -> machine.Event:
        match operation:
            case machine.Search():
                return await self._search(client)
            case machine.Create():
                return await self._create(client)
            case machine.Renew(name):
                return await self._renew(client, name)

    async def _search(self, client: genai.Client) -> machine.Found | machine.NotFound:
        try:
            ours = await self._ours(client)
        except APIError as error:
            if self._classifier.classify(error).kind is not FaultKind.REJECTED:
                raise
            return machine.NotFound()  # a gateway that lists none
        latest = max(ours, key=lambda cache: cache.expire_time or _LONG_AGO, default=None)
        if latest is None or latest.name is None:
            return machine.NotFound()
        logger.info("found the context cache %s", latest.name)
        return machine.Found(latest.name)

    async def _create(self, client: genai.Client) -> machine.Created | machine.TooSmall:
        since = current_time()
        config = self._context.to_cache(self._policy.ttl)
        try:
            with understood():
                cache = await client.aio.caches.create(model=self._context.model, config=config)
        except APIError as error:
            fault = self._classifier.classify(error)
            if error.code != _BAD_REQUEST or fault.kind is not FaultKind.REJECTED:
                raise
            if self._if_too_small == "stop":
                message = f"the context cannot be cached; most often it is below the model's minimum: {fault.message}"
                raise CallError(message, kind=FaultKind.DENIED) from error
            logger.warning(
                "%s does not cache this context, which is below its minimum most often: it is sent with each call instead (%s)",
                self._context.model,
                fault.message,
            )
            return machine.TooSmall()
        if not cache.name:
            raise CallError("the service created a context cache without a name", kind=FaultKind.TRANSIENT)
        tokens = cache.usage_metadata.total_token_count if cache.usage_metadata else None
        logger.info("created the context cache %s of %s tokens", cache.name, tokens)
        return machine.Created(cache.name, since)

    async def _renew(self, client: genai.Client, name: str) -> machine.Renewed | machine.Missing:
        since = current_time()
        config = types.UpdateCachedContentConfig(ttl=duration(self._policy.ttl), http_options=self._options)
        try:
            with understood():
                await client.aio.caches.update(name=name, config=config)
        except APIError as error:
            if error.code == _NOT_FOUND or is_cache_gone(error):
                return machine.Missing()
            raise
        return machine.Renewed(since)

    async def _remove(self, client: genai.Client, effect: machine.Effect) -> None:
        match effect:
            case machine.Delete(name):
                names = [name]
            case machine.Sweep():
                names = [cache.name for cache in await self._ours(client) if cache.name]
            case _:
                return
        for name in names:
            try:
                with understood():
                    config = types.DeleteCachedContentConfig(http_options=self._options)
                    await client.aio.caches.delete(name=name, config=config)
            except APIError as error:
                if error.code != _NOT_FOUND and not is_cache_gone(error):
                    raise

    async def _ours(self, client: genai.Client) -> list[types.CachedContent]:
        config = types.ListCachedContentsConfig(page_size=_PAGE, http_options=self._options)
        with understood():
            caches = [cache async for cache in await client.aio.caches.list(config=config)]
        return [cache for cache in caches if cache.display_name == self._context.fingerprint]

    @property
    def _options(self) -> types.HttpOptions | None:
        return self._context.whole.http_options


def _may_be_done(error: Exception) -> bool:
    """Whether a creation that raised this may have been heard all the same: any but a clear no."""
    if isinstance(error, CallError):
        return error.kind is not FaultKind.DENIED
    return not (isinstance(error, APIError) and 400 <= error.code < 500)  # noqa: PLR2004 - HTTP's own bounds
