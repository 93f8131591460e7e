"""Gemini, with a large context that is sent once and paid at the price of cached tokens from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, Unpack, overload

from google import genai
from google.genai import types
from google.genai.errors import APIError

from ..._core.exceptions import CallError, ConfigurationError
from ..._core.fault import FaultKind
from ..._core.prompt import Parts
from ..._core.request import Request
from ..output_types.output_type import NO_REQUESTS
from .cache_state import CachePolicy
from .errors import is_cache_gone
from .request import Context
from .shared_cache import IfTooSmall, SharedCache
from .strategy import DEFAULT_MODEL, GeminiStrategy, Options

T = TypeVar("T")


class GeminiCachedStrategy(GeminiStrategy[T], Generic[T]):
    """Asks a Gemini model many questions about one context, by a cache at the service that all calls share.

        GeminiCachedStrategy(model="gemini-2.5-flash", system_instruction=knowledge, output_type=str)

    The cache is created before the first call, however many items and workers share the strategy; renewed before it expires,
    while calls go on; and deleted when the processor closes, however that ends. After a crash, or with `keep`, the next run
    finds it by a fingerprint of the model and the content, and does not pay for it again.

    If the service loses the cache, one worker creates another while the others wait. A call that was refused for it cost
    nothing and is made again by the engine, as after any passing failure: it spends one of the item's attempts.

    What is stored costs by the hour, and the creation costs the context's tokens once: neither is in the batch's account.
    What each call read from the cache is in its usage.

    Args:
        model: the model's name; there is a cache for each.
        system_instruction: what the model is told before every prompt, cached.
        contents: further context before every prompt, texts and media, cached. One of the two must be given.
        ttl: seconds that the cache lives after it is created or renewed; 60 or more. The shorter, the less it costs that a run
            left behind.
        keep: whether the cache is left to expire by itself: for a next run, or for others that use it at the same time.
        too_small: what to do if the service does not cache this context, because it is below the model's minimum most often:
            `send` warns and sends it with every call, `stop` stops the batch before anything is paid.
        options: as for `GeminiStrategy`. Tools in `config` go into the cache, as a request with a cache can have none.

    Raises:
        ConfigurationError: an argument is wrong, or there is nothing to cache.
        MissingKeyError: there is no key.
    """

    @overload
    def __init__(
        self: GeminiCachedStrategy[str],
        model: str = ...,
        *,
        output_type: type[str] = ...,
        contents: Parts | None = ...,
        ttl: float = ...,
        keep: bool = ...,
        too_small: IfTooSmall = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self,
        model: str = ...,
        *,
        output_type: type[T],
        contents: Parts | None = ...,
        ttl: float = ...,
        keep: bool = ...,
        too_small: IfTooSmall = ...,
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(  # noqa: PLR0913 - all have good defaults
        self,
        model: str = DEFAULT_MODEL,
        *,
        output_type: type[Any] = str,
        contents: Parts | None = None,
        ttl: float = 3600.0,
        keep: bool = False,
        too_small: IfTooSmall = "send",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(model, output_type=output_type, **options)
        if too_small not in {"send", "stop"}:
            raise ConfigurationError(f"too_small must be 'send' or 'stop', not {too_small!r}")
        self._context = Context.of(self._name, contents, self._config)
        self._policy = CachePolicy(ttl=ttl, keep=keep)
        self._if_too_small: IfTooSmall = too_small
        self._cache: SharedCache | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its outputs depend on besides the prompt."""
        return {**super().identity, "context": self._context.fingerprint}

    async def prepare(self) -> None:
        """Make the client, and find or create the cache.

        Raises:
            CallError: the context is too small, and that is to stop the batch.
            google.genai.errors.APIError: the service refused.
            httpx2.HTTPError: the service could not be reached.
            Exception: what `GeminiStrategy.prepare` raises.
        """
        before = self._connection
        await super().prepare()
        connection = self._connection
        if connection is None:  # not reached: it was just made
            return
        if self._cache is None or connection is not before:
            self._cache = SharedCache(self._context, self._policy, self._if_too_small, self.error_classifier)
        try:
            await self._cache.name(await connection.client())
        except BaseException:
            connection.users -= 1  # it may be tried again, and is cleaned up once
            raise

    async def cleanup(self) -> None:
        """Delete the cache, unless it is to be kept, and close the client; if nobody else uses them."""
        connection, cache = self._connection, self._cache
        try:
            if connection is not None and cache is not None and connection.is_last_here:
                self._cache = None
                await cache.close(await connection.client())
        finally:
            await super().cleanup()

    def objection(self, request: Request) -> str | None:
        """Return why it cannot be asked a request in a provider's own form; None: its words can be asked about the context."""
        if self._output.schema is not None:
            return NO_REQUESTS
        if (plain := request.plain) is not None and plain[0] is None:
            return None
        return f"beside a context cache only a text of the user's can be asked, not {request.beyond_text or 'a system text'}"

    def _passes_on(self, request: Request) -> bool:  # noqa: ARG002
        return False

    async def _ask(self, client: genai.Client, content: types.Content) -> str:
        cache = self._cache
        name = None if cache is None else await cache.name(client)
        if cache is None or name is None:
            return await self._send(client, [*self._context.contents, content], self._config)
        try:
            body = await self._send(client, [content], self._context.cached_as(name))
        except APIError as error:
            if not is_cache_gone(error):
                raise
            cache.gone(name)
            raise CallError("the context cache is gone: it is created anew", kind=FaultKind.TRANSIENT) from error
        cache.served(name)
        return body
