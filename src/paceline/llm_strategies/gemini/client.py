"""Gemini's clients and credentials: where to call, with whose identity, and through which connection pool.

Rules owned here:

1. A client belongs to the event loop that made it. Its pool never limits the calls and keeps every connection: the number of
   workers bounds both.
2. A client given by the user is never closed. If it is plain, a companion is made that calls the same service with the same
   identity: the SDK's own transports need asyncio, allow 100 connections only, and repeat requests silently if aiohttp is
   installed. A client made with `HttpOptions(httpx_async_client=...)`, or of the user's own class, is used unchanged.
3. The API key is held by a record that does not print it, and by the client.
4. A blank variable of the environment is not set. One that says whether to call Vertex AI must say so clearly: otherwise prompts would go
   to another service.
5. Tokens of Google's credentials are refreshed before they expire, in a worker thread: the SDK would do so on asyncio only.
"""

from __future__ import annotations

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
from google.genai.errors import APIError
from google.oauth2.credentials import Credentials

from ..._core.exceptions import ConfigurationError, MissingKeyError
from .._connection_pool import ShardedClient
from .._loops import bind_to_loop
from ..common import server_setting, setting, shown_server
from .errors import require_readable_body
from .frame import Frame, Templates, json_of

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_CLOSE_TIMEOUT = 5.0  # seconds for all connections together
_HOME = "https://generativelanguage.googleapis.com/"
_OTHER_URL_NAMES = ("GEMINI_BASE_URL", "GEMINI_API_BASE", "GOOGLE_API_BASE")
_ENDPOINTS = (":generatecontent", ":streamgeneratecontent", "/models")
_MULTI_REGIONS = {"us", "eu"}  # as in the SDK
_NOT_COPIED = (
    "httpx_client",
    "httpx_async_client",
    "aiohttp_client",
    "retry_options",
    "client_args",
    "async_client_args",
)
"""Options of a user's client that its companion does not copy."""


@attrs.frozen(kw_only=True)
class Access:
    """Service and identity for Gemini calls; the key is never printed."""

    api_key: str | None = attrs.field(default=None, repr=False)
    vertex: bool = False
    project: str | None = None
    location: str | None = None
    credentials: Any = attrs.field(default=None, repr=False)
    needs_identity: bool = False
    """Whether calls use Google credentials: those of a given client, or the application default ones."""
    options: types.HttpOptions = attrs.field(factory=types.HttpOptions, repr=False)
    """Base URL, API version and headers."""

    @property
    def is_google(self) -> bool:
        """Whether the service is Google's own, at Google's prices."""
        url = self.options.base_url
        return url is None or (urlsplit(url).hostname or "").endswith(".googleapis.com")

    @property
    def server(self) -> str:
        """Server that is called, for people, without credentials; with the project that is charged."""
        url = shown_server(self.options.base_url or (_vertex_url(self.location) if self.vertex else _HOME))
        if not self.vertex:
            return url
        place = f"project {self.project or 'of the credentials'}, location {self.location or 'global'}"
        return f"{url} (Vertex AI, {'by an API key' if self.api_key else place})"

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
        """Return the access from arguments, with the environment as default.

        Raises:
            ConfigurationError: The arguments contradict each other, or the key has invalid characters.
            MissingKeyError: No API key was found.
        """
        vertex = _vertex_by_environment() if vertexai is None else vertexai
        place = project or location
        if place and not vertex:
            raise ConfigurationError("project and location are for Vertex AI; add vertexai=True, or remove them")
        if place and api_key:
            raise ConfigurationError("give either api_key or project and location")
        base_url = server_setting(
            base_url,
            "GOOGLE_VERTEX_BASE_URL" if vertex else "GOOGLE_GEMINI_BASE_URL",
            ignored=() if vertex else _OTHER_URL_NAMES,
            endpoints=_ENDPOINTS,
        )
        from_environment = setting("GOOGLE_API_KEY", "GEMINI_API_KEY")
        placed = place or setting("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION")
        key = (api_key or (None if vertex and placed else from_environment) or "").strip()
        if not key and not vertex:
            variables = "GOOGLE_API_KEY or GEMINI_API_KEY, or GOOGLE_GENAI_USE_VERTEXAI=true for Vertex AI"
            raise MissingKeyError(
                f"GeminiStrategy found no key: give api_key or client, or set {variables}", variables=variables
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                "the Gemini API key (not shown) has characters that are not allowed in a key; check it"
            )
        options = types.HttpOptions(api_version="v1beta1" if vertex else "v1beta", base_url=base_url)
        if key or not vertex:
            return cls(api_key=key or None, vertex=vertex, options=options)
        project = project or setting("GOOGLE_CLOUD_PROJECT")
        location = location or setting("GOOGLE_CLOUD_LOCATION") or "global"
        return cls(vertex=True, project=project, location=location, needs_identity=True, options=options)

    @classmethod
    def like(cls, client: genai.Client) -> Access:
        """Return the access of a user's client.

        Raises:
            ConfigurationError: This version of the SDK stores the settings elsewhere.
        """
        try:
            theirs: Any = client._api_client  # noqa: SLF001 - the SDK has no public place for it
            options: types.HttpOptions = theirs._http_options  # noqa: SLF001
            return cls(
                api_key=theirs.api_key,
                vertex=bool(theirs.vertexai),
                project=theirs.project,
                location=theirs.location,
                credentials=theirs._credentials,  # noqa: SLF001
                needs_identity=bool(theirs.vertexai and (theirs.project or theirs.location) and not theirs.api_key),
                options=options.model_copy(update=dict.fromkeys(_NOT_COPIED)),
            )
        except AttributeError as error:
            raise ConfigurationError(
                "the settings of this google-genai client cannot be read; give the strategy api_key, or a client made with "
                f"http_options=HttpOptions(httpx_async_client=httpx2.AsyncClient(...)) ({error})"
            ) from error


def _vertex_by_environment() -> bool:
    for name in ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI"):
        value = setting(name)
        if value is not None and value.lower() not in {"true", "1", "false", "0"}:
            raise ConfigurationError(f"{name} must be true or false, not {value!r}: it says which service is called")
        if value is not None:
            return value.lower() in {"true", "1"}
    return False


def _vertex_url(location: str | None) -> str:
    """Return Vertex AI's URL for a location, as the SDK makes it."""
    if location is None or location == "global":
        return "https://aiplatform.googleapis.com/"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com/"
    return f"https://{location}-aiplatform.googleapis.com/"


def server_of(client: genai.Client) -> str | None:
    """Return the server that a user's client calls, for people, without credentials; None if it cannot be read."""
    try:
        return Access.like(client).server
    except ConfigurationError:
        return None


class Identity:
    """Google's credentials, with a valid token."""

    def __init__(self, source: Any, project: str | None) -> None:
        self.project = project
        self.sdk_credentials: Credentials = Credentials(None, quota_project_id=source.quota_project_id)  # type: ignore[no-untyped-call]  # google-auth's
        """For the SDK: a token without expiry, so that the SDK never refreshes it."""
        self._source = source
        self._lock = Lock()

    @classmethod
    async def of(cls, access: Access) -> Identity:
        """Return the identity of the given credentials, or of the application default credentials.

        Raises:
            ConfigurationError: No project is named.
            google.auth.exceptions.GoogleAuthError: No credentials were found.
        """
        source, project = access.credentials, access.project
        if source is None:
            find = partial(google.auth.default, scopes=_SCOPES)
            source, found = await to_thread.run_sync(find, abandon_on_cancel=True)
            project = project or found
        if not project:
            raise ConfigurationError("Vertex AI needs a project: give project, or set GOOGLE_CLOUD_PROJECT")
        return cls(source, project)

    async def token(self) -> str:
        """Return a valid token, also in `sdk_credentials`; fetch one if the present one is about to expire, once for all calls."""
        if not self._source.valid:
            async with self._lock:
                if not self._source.valid:
                    await to_thread.run_sync(self._source.refresh, Request(), abandon_on_cancel=True)
        token: str = self._source.token
        self.sdk_credentials.token = token
        return token


class Connection:
    """A client in its event loop, and the number of its users."""

    def __init__(
        self,
        client: genai.Client,
        pool: ShardedClient | None = None,
        identity: Identity | None = None,
        templates: Templates | None = None,
    ) -> None:
        self.loop: EventLoopToken = current_token()
        self.users = 0
        self._client = client
        self._pool = pool
        self._identity = identity
        self._templates = templates

    @classmethod
    def given(cls, client: genai.Client) -> Connection:
        """Use a client unchanged.

        Raises:
            ConfigurationError: The client needs asyncio, and this is trio.
        """
        _require_loop_support(client)
        http, _ = http_client_of(client)
        if http is not None:
            bind_to_loop(http)
        return cls(client)

    @classmethod
    def make(cls, access: Access, identity: Identity | None, model: str) -> Connection:
        """Make a client for calls of a model."""
        tls = httpx2.create_ssl_context()  # takes 40 ms: made once, also for the SDK's transports that are never used
        pool = ShardedClient(verify=tls, timeout=None, event_hooks={"response": [require_readable_body]})
        transport = {"httpx_async_client": pool, "client_args": {"verify": tls}, "async_client_args": {"ssl": tls}}
        client = genai.Client(
            vertexai=access.vertex,
            api_key=access.api_key,
            credentials=None if identity is None else identity.sdk_credentials,
            project=access.project if identity is None else identity.project,
            location=access.location,
            http_options=access.options.model_copy(update=transport),
        )
        return cls(client, pool, identity, Templates(client, model))

    @property
    def is_last_here(self) -> bool:
        """Whether the last user is leaving, in the client's own loop."""
        return self.users <= 1 and self.loop == current_token()

    async def client(self) -> genai.Client:
        """Return the client, with a valid token."""
        if self._identity is not None:
            await self._identity.token()
        return self._client

    async def send(self, frame: Frame, texts: tuple[str, ...]) -> httpx2.Response | None:
        """Send a prompt in a frame's template; return the reply, or None if the SDK must write the request.

        Raises:
            google.genai.errors.APIError: The service refused.
            httpx2.HTTPError: The service could not be reached.
        """
        if self._templates is None or self._pool is None:
            return None
        template = await self._templates.of(frame)
        if template is None:
            return None
        bearer = None if self._identity is None else f"Bearer {await self._identity.token()}"
        response = await self._pool.send_written(template.request(json_of(texts), authorization=bearer))
        await APIError.raise_for_async_response(response)
        return response

    async def close(self) -> None:
        """Close the client and its pool if they were made here; shielded from cancellation, in bounded time."""
        if self._pool is not None:
            self._client.close()  # does not close the pool
            with move_on_after(_CLOSE_TIMEOUT, shield=True):
                await self._pool.aclose()


def is_plain(client: genai.Client) -> bool:
    """Whether a companion can replace a client: it is of the SDK's class and has the SDK's transport."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    theirs = ("httpx_async_client", "aiohttp_client", "async_client_args")
    return type(client) is genai.Client and not any(getattr(options, name, None) for name in theirs)


def http_client_of(client: genai.Client) -> tuple[Any, str | None]:
    """Return the HTTP client that a user's client was made with, and the URL that it calls; None if it has none."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    return getattr(options, "httpx_async_client", None), getattr(options, "base_url", None)


def _require_loop_support(client: genai.Client) -> None:
    """Raise if a client for asyncio only is used on trio, where it would fail at every call."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    on_trio = isinstance(current_token().native_token, trio.lowlevel.TrioToken)
    if on_trio and options is not None and options.httpx_async_client is None:
        raise ConfigurationError(
            "this google.genai.Client has a transport that needs asyncio; for trio, make it with "
            "http_options=HttpOptions(httpx_async_client=httpx2.AsyncClient(...)), or without a transport"
        )
