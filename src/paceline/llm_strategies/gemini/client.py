"""As whom Gemini is called, and by which client.

Rules owned here:

1. The client lives in the loop that made it. Its pool never limits the calls and keeps every connection, so it is the
   workers who set the number of both.
2. A client that the user gives is never closed. If it is a plain one, a companion is made that calls the same service as the
   same user: the SDK's own transports need asyncio, know only 100 connections, and with aiohttp installed repeat requests
   unseen. One that was made with `HttpOptions(httpx_async_client=...)`, or is of a class of the user's, is used as it is.
3. The key is held by a record that does not print it, and by the client.
4. Tokens of Google's credentials are fetched before they expire, in a worker thread: the SDK would do so on asyncio only.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
import google.auth
import httpx2
import trio
from anyio import Lock, move_on_after, to_thread
from anyio.lowlevel import EventLoopToken, current_token
from google import genai
from google.auth.transport.requests import Request
from google.genai import types
from google.oauth2.credentials import Credentials

from ..._core.exceptions import ConfigurationError, MissingKeyError
from .errors import must_be_readable
from .pool import ShardedClient

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_PATIENCE = 5.0  # seconds for connections to be closed
_OURS = ("httpx_client", "httpx_async_client", "aiohttp_client", "retry_options", "client_args", "async_client_args")
"""What a companion does not take over from the options of its client."""


@attrs.frozen(kw_only=True)
class Access:
    """Where to call and as whom; the key is never printed."""

    api_key: str | None = attrs.field(default=None, repr=False)
    vertex: bool = False
    project: str | None = None
    location: str | None = None
    credentials: Any = attrs.field(default=None, repr=False)
    needs_identity: bool = False
    """Whether calls are made by Google's credentials, be they given or the machine's."""
    options: types.HttpOptions = attrs.field(factory=types.HttpOptions, repr=False)
    """The base URL, the version, and headers."""

    @property
    def is_googles(self) -> bool:
        """Whether the service is Google's own, at Google's prices."""
        url = self.options.base_url
        return url is None or (urlsplit(url).hostname or "").endswith(".googleapis.com")

    @classmethod
    def of(
        cls,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        vertexai: bool | None = None,
        project: str | None = None,
        location: str | None = None,
    ) -> Access:
        """Fill up from the environment what is not given.

        Raises:
            ConfigurationError: the arguments contradict each other, or the key is none.
            MissingKeyError: there is no key.
        """
        vertex = _chosen() if vertexai is None else vertexai
        place = project or location
        if place and not vertex:
            raise ConfigurationError("project and location are Vertex AI's: give vertexai=True")
        if place and api_key:
            raise ConfigurationError("give either api_key or project and location")
        from_environment = os.environ.get("GOOGLE_API_KEY") or os.environ.get("GEMINI_API_KEY")
        placed = place or os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GOOGLE_CLOUD_LOCATION")
        key = (api_key or (None if vertex and placed else from_environment) or "").strip()
        if not key and not vertex:
            raise MissingKeyError(
                "GeminiStrategy found no key: give api_key or client, or set GOOGLE_API_KEY or GEMINI_API_KEY, "
                "or GOOGLE_GENAI_USE_VERTEXAI=true for Vertex AI"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError("the Gemini API key has characters that no key has (it is not shown here)")
        options = types.HttpOptions(api_version="v1beta1" if vertex else "v1beta", base_url=base_url)
        if key or not vertex:
            return cls(api_key=key or None, vertex=vertex, options=options)
        project = project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        location = location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
        return cls(vertex=True, project=project, location=location, needs_identity=True, options=options)

    @classmethod
    def like(cls, client: genai.Client) -> Access:
        """Read from a client how it calls.

        Raises:
            ConfigurationError: this version of the SDK keeps it elsewhere.
        """
        try:
            theirs: Any = client._api_client  # noqa: SLF001 - there is no other place where it is
            options: types.HttpOptions = theirs._http_options  # noqa: SLF001
            return cls(
                api_key=theirs.api_key,
                vertex=bool(theirs.vertexai),
                project=theirs.project,
                location=theirs.location,
                credentials=theirs._credentials,  # noqa: SLF001
                needs_identity=bool(theirs.vertexai and (theirs.project or theirs.location) and not theirs.api_key),
                options=options.model_copy(update=dict.fromkeys(_OURS)),
            )
        except AttributeError as error:
            raise ConfigurationError(
                "this google-genai does not tell how its client calls; give the strategy api_key, or a client made with "
                f"http_options=HttpOptions(httpx_async_client=httpx2.AsyncClient(...)) ({error})"
            ) from error


def _chosen() -> bool:
    chosen = os.environ.get("GOOGLE_GENAI_USE_ENTERPRISE") or os.environ.get("GOOGLE_GENAI_USE_VERTEXAI") or ""
    return chosen.lower() in {"true", "1"}


class Identity:
    """Google's credentials, kept fresh."""

    def __init__(self, source: Any, project: str | None) -> None:
        self.project = project
        self.shown = Credentials(None, quota_project_id=source.quota_project_id)  # type: ignore[no-untyped-call]  # theirs
        """What the SDK is given: a token that never expires, for all it knows."""
        self._source = source
        self._lock = Lock()

    @classmethod
    async def of(cls, access: Access) -> Identity:
        """Take the credentials given, or look for them where Google's libraries do.

        Raises:
            ConfigurationError: no project is named.
            google.auth.exceptions.GoogleAuthError: there are none.
        """
        source, project = access.credentials, access.project
        if source is None:
            find = partial(google.auth.default, scopes=_SCOPES)
            source, found = await to_thread.run_sync(find, abandon_on_cancel=True)
            project = project or found
        if not project:
            raise ConfigurationError("Vertex AI needs a project: give project, or set GOOGLE_CLOUD_PROJECT")
        return cls(source, project)

    async def refresh(self) -> None:
        """Fetch a new token if the old one is about to expire; once, however many calls wait for it."""
        if not self._source.valid:
            async with self._lock:
                if not self._source.valid:
                    await to_thread.run_sync(self._source.refresh, Request(), abandon_on_cancel=True)
        self.shown.token = self._source.token


class Connection:
    """A client in the loop that it is used in, and how many use it."""

    def __init__(self, client: genai.Client, pool: httpx2.AsyncClient | None, identity: Identity | None) -> None:
        self.loop: EventLoopToken = current_token()
        self.users = 0
        self._client = client
        self._pool = pool
        self._identity = identity

    @classmethod
    def given(cls, client: genai.Client) -> Connection:
        """Use a client as it is.

        Raises:
            ConfigurationError: it needs asyncio, and this is trio.
        """
        _must_run_here(client)
        return cls(client, None, None)

    @classmethod
    def make(cls, access: Access, identity: Identity | None) -> Connection:
        """Make a client."""
        tls = httpx2.create_ssl_context()  # 40 ms: made once, and not again by the SDK for what is never used
        pool = ShardedClient(
            verify=tls, timeout=None, follow_redirects=True, event_hooks={"response": [must_be_readable]}
        )
        transport = {"httpx_async_client": pool, "client_args": {"verify": tls}, "async_client_args": {"ssl": tls}}
        client = genai.Client(
            vertexai=access.vertex,
            api_key=access.api_key,
            credentials=None if identity is None else identity.shown,
            project=access.project if identity is None else identity.project,
            location=access.location,
            http_options=access.options.model_copy(update=transport),
        )
        return cls(client, pool, identity)

    @property
    def is_last_here(self) -> bool:
        """Whether its last user is about to leave, in its own loop."""
        return self.users <= 1 and self.loop == current_token()

    async def client(self) -> genai.Client:
        """Return the client, when it may be used: with a token that is valid."""
        if self._identity is not None:
            await self._identity.refresh()
        return self._client

    async def close(self) -> None:
        """Close the pool, which the client does not do, and the client, if they were made here; shielded, in bounded time."""
        if self._pool is not None:
            self._client.close()
            with move_on_after(_PATIENCE, shield=True):
                await self._pool.aclose()


def is_plain(client: genai.Client) -> bool:
    """Whether a companion can stand for a client: it is the SDK's own, with the SDK's own transport."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    theirs = ("httpx_async_client", "aiohttp_client", "async_client_args")
    return type(client) is genai.Client and not any(getattr(options, name, None) for name in theirs)


def _must_run_here(client: genai.Client) -> None:
    """Raise if a client made for asyncio only is to run on trio; it would fail at every call."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    on_trio = isinstance(current_token().native_token, trio.lowlevel.TrioToken)
    if on_trio and options is not None and options.httpx_async_client is None:
        raise ConfigurationError(
            "this google.genai.Client has a transport that needs asyncio; for trio, make it with "
            "http_options=HttpOptions(httpx_async_client=httpx2.AsyncClient(...)), or without any"
        )
