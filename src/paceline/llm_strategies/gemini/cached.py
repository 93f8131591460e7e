"""GeminiCachedStrategy: a large context is sent once, and each call pays for it at the price of cached tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, Unpack, overload

from google.genai.errors import APIError

from ..._core.exceptions import CallError, ConfigurationError
from ..._core.fault import FaultKind
from ..._core.prompt import Parts
from ..._core.request import Request
from ...abc import NativeBatch
from .._loops import PerLoop
from ..output_types.output_type import NO_REQUESTS
from .cache_state import CachePolicy
from .client import Connection
from .errors import is_cache_gone
from .frame import Frame, LastFrame
from .request import Context
from .shared_cache import IfTooSmall, SharedCache
from .strategy import DEFAULT_MODEL, GeminiStrategy, Options

T = TypeVar("T")


class GeminiCachedStrategy(GeminiStrategy[T], Generic[T]):
    """Calls a Gemini model with many prompts about one context, through a cache at the service that all calls share.

        GeminiCachedStrategy(model="gemini-2.5-flash", system_instruction=knowledge, output_type=str)

    All items and workers share one cache. It is created before the first call, renewed before it expires while calls are
    made, and deleted when the processor closes, also after an error. After a crash, or with `keep`, the next run finds it by
    a fingerprint of the model and the content, and does not pay for it again.

    If the service loses the cache, one worker creates another while the others wait. A call that was refused for that reason
    cost nothing; the engine makes it again as after any transient fault, so it spends one of the item's attempts.

    Storage is billed by the hour, and the creation costs the context's tokens once: neither is in the batch's account. The
    usage of each call includes the tokens that it read from the cache.

    Args:
        model: Name of the model; each model has its own cache.
        system_instruction: Instruction before every prompt, cached. Required unless `contents` is given.
        contents: Further context before every prompt, as texts and media, cached.
        ttl: Lifetime of the cache after it is created or renewed, in seconds; at least 60. A short one limits the cost of a
            cache that a crashed run left behind.
        keep: Whether the cache is left to expire: for the next run, or for other processes that use it now.
        too_small: Reaction if the service does not cache this context, most often because it is below the model's minimum:
            `send` logs a warning and sends it with every call, `stop` stops the batch before any call is paid.
        options: Arguments of `GeminiStrategy`. Tools in `config` go into the cache, as a request with a cache has none.

    Raises:
        ConfigurationError: An argument is wrong, or there is nothing to cache.
        MissingKeyError: No API key was found.
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
    def __init__(  # noqa: PLR0913 - all have defaults
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
        self._uncached_frame = Frame(self._config, self._context.contents)
        self._cached_frame = LastFrame()  # by the name of the cache
        self._policy = CachePolicy(ttl=ttl, keep=keep)
        self._if_too_small: IfTooSmall = too_small
        self._caches: PerLoop[SharedCache] = PerLoop()

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the outputs depend on besides the prompt, as plain data."""
        return {**super().identity, "context": self._context.fingerprint}

    def native_batch(self) -> NativeBatch:
        """A batch job cannot hold a context cache that is renewed while it waits.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"{self._name}: a batch job does not use a context cache: leave out cached, or call it online"
        )

    async def prepare(self) -> None:
        """Make the client, and find or create the cache.

        Raises:
            CallError: The context is too small and `too_small` is `stop`.
            google.genai.errors.APIError: The service refused.
            httpx2.HTTPError: The service could not be reached.
            Exception: Any exception of `GeminiStrategy.prepare`.
        """
        before = self._connection
        await super().prepare()
        connection = self._connection
        if connection is None:  # unreachable: it was just made
            return
        cache = self._caches.get()
        if cache is None or connection is not before:
            cache = SharedCache(self._context, self._policy, self._if_too_small, self.error_classifier)
            self._caches.set(cache)
        try:
            await cache.name(await connection.client())
        except BaseException:
            connection.users -= 1  # prepare may be called again, and cleanup once
            raise

    async def cleanup(self) -> None:
        """Delete the cache unless `keep` is set, and close the client, once the last user leaves."""
        connection, cache = self._connection, self._caches.get()
        try:
            if connection is not None and cache is not None and connection.is_last_here:
                self._caches.set(None)
                await cache.close(await connection.client())
        finally:
            await super().cleanup()

    def objection(self, request: Request) -> str | None:
        """Return why a request in a provider's format cannot be sent; None if it can be sent as a text with the context."""
        if self._output.schema is not None:
            return NO_REQUESTS
        if (plain := request.plain) is not None and plain[0] is None:
            return None
        return (
            f"with a context cache a request may hold one user text only, not {request.beyond_text or 'a system text'}"
        )

    def _sends_unchanged(self, request: Request) -> bool:  # noqa: ARG002
        return False

    async def _ask(self, connection: Connection, prompt: Parts) -> str:
        cache = self._caches.get()
        name = None if cache is None else await cache.name(await connection.client())
        if cache is None or name is None:
            return await self._send(connection, prompt, self._uncached_frame)
        frame = self._cached_frame.of(name, lambda name: Frame(self._context.config_with_cache(name)))
        try:
            body = await self._send(connection, prompt, frame)
        except APIError as error:
            if not is_cache_gone(error):
                raise
            cache.on_gone(name)
            raise CallError("the context cache is gone; another is created", kind=FaultKind.TRANSIENT) from error
        cache.on_served(name)
        return body
