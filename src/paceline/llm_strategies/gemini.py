"""Gemini by google-genai, on trio and on asyncio alike.

Rules owned here:

1. One attempt is one HTTP request: the SDK's retries, automatic continuation and automatic function calling are off.
   Waiting and calling again is the engine's business.
2. The client lives in the loop that made it, from `prepare` to `cleanup`, for all who share the strategy there. Its pool
   never limits the calls and keeps every connection, so it is the workers who set the number of both. A client that the
   user gives is used as it is, and never closed.
3. The SDK reads no reply: its models refuse, or warn of, what they do not know yet, at a fifth of the CPU of a call. What
   a reply says is read here, from its JSON, of which every level may be missing or of another type.
4. The key is held by a record that does not print it, and by the client.

The pool is httpx2's because the SDK's own clients need asyncio, and with aiohttp installed repeat requests unseen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from json import JSONDecodeError
from typing import Any

import attrs
import trio
from anyio import Lock, to_thread
from anyio.lowlevel import EventLoopToken, current_token

from .._core.exceptions import CallError, ConfigurationError, MissingExtraError, MissingKeyError, MisuseError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from .errors import GeminiErrorClassifier, must_be_readable, read_reply
from .headers import quota_hint

try:
    import google.auth
    import httpx2
    from google import genai
    from google.auth.transport.requests import Request
    from google.genai import types
    from google.oauth2.credentials import Credentials
    from pydantic import ValidationError
except ImportError as _error:
    raise MissingExtraError("GeminiStrategy", "gemini") from _error

_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30.0)
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class GeminiStrategy(LLMCallStrategy[str]):
    """Asks a Gemini model for text, by the Gemini API or Vertex AI.

    Args:
        model: the model's name.
        client: a `google.genai.Client` to use; it is never closed. To run on trio it must have been made with
            `HttpOptions(httpx_async_client=httpx2.AsyncClient(...))`, and its pool must not be smaller than the number of
            workers.
        api_key: by default GOOGLE_API_KEY or GEMINI_API_KEY of the environment. With GOOGLE_GENAI_USE_VERTEXAI=true no key
            is needed: the application default credentials are used, with GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION.
        base_url: of a gateway or a test server.
        system_instruction: what the model is told before every prompt.
        config: a `GenerateContentConfig`, or its fields.
        quota: the lane's name; by default the class's name and the model's.

    Raises:
        ConfigurationError: an argument is wrong, or two contradict each other.
        MissingKeyError: there is no key.
        MissingExtraError: google-genai is not installed; raised by the import of this module.
    """

    def __init__(  # noqa: PLR0913 - all but the model have good defaults
        self,
        model: str = "gemini-2.5-flash",
        *,
        client: genai.Client | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        system_instruction: str | None = None,
        config: types.GenerateContentConfig | Mapping[str, Any] | None = None,
        quota: str | None = None,
    ) -> None:
        _check(model, client, base_url, system_instruction)
        if client is not None and (api_key is not None or base_url is not None):
            raise ConfigurationError("give either client or api_key and base_url: a client has its own")
        self.model = self._name = model
        self._quota = quota
        self._given = client
        self._connection: _Connection | None = None
        self._config = _config_of(config, system_instruction, given=client is not None)
        self._access = None if client is not None else _Access.of(api_key, base_url)
        self.error_classifier = GeminiErrorClassifier(secret=self._access.api_key if self._access else None)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}(model={self.model!r})"

    @property
    def quota(self) -> str:
        """The lane's name."""
        return self._quota or super().quota

    async def prepare(self) -> None:
        """Make the client.

        Raises:
            ConfigurationError: the client given needs asyncio, and this is trio; or Vertex AI is given no project.
            google.auth.exceptions.GoogleAuthError: there are no credentials for Vertex AI.
        """
        if self._access is None:
            _must_run_here(self._given)
            return
        identity = await _Identity.find() if self._access.needs_identity else None
        here = current_token()
        if self._connection is None or self._connection.loop != here:
            self._connection = _Connection(self._access, identity, here)
        self._connection.users += 1

    async def cleanup(self) -> None:
        """Close the client, if it was made here and nobody else uses it."""
        connection = self._connection
        if connection is None or connection.loop != current_token():
            return
        connection.users -= 1
        if connection.users <= 0:
            self._connection = None
            await connection.close()

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:  # noqa: ARG002
        """Make one request and return the text of its first candidate.

        Raises:
            CallError: the reply holds no answer, or not the whole of it; what it cost is in `usage`.
            google.genai.errors.APIError: the service refused.
            httpx2.HTTPError: the service could not be reached.
        """
        return read_reply(await self._request([types.Part(text=prompt)]))

    async def _request(self, parts: list[types.Part]) -> str:
        """Make one request; return the body of the reply."""
        try:
            response = await (await self._client()).aio.models.generate_content(
                model=self._name, contents=types.Content(role="user", parts=parts), config=self._config
            )
        except ValidationError as error:  # the SDK's, of the request: not to be taken for one of an output
            raise CallError(f"the SDK refuses the request: {error}", kind=FaultKind.BUG) from error
        except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CallError(f"the reply cannot be read: {error}", kind=FaultKind.TRANSIENT) from error
        raw = response.sdk_http_response
        if raw is None or raw.body is None:  # a client that knows nothing of raw replies
            return response.model_dump_json(by_alias=True, exclude_none=True)
        self.quota_hint = quota_hint(raw.headers)  # Google says nothing there; gateways before it do
        return raw.body

    async def _client(self) -> genai.Client:
        if self._given is not None:
            return self._given
        if self._connection is None:
            raise MisuseError(f"{self!r}.execute() was called before prepare()")
        if self._connection.identity is not None:
            await self._connection.identity.refresh()
        return self._connection.client


def _check(model: object, client: object, base_url: object, system_instruction: object) -> None:
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError(f"model must be a model's name, not {model!r}")
    if not isinstance(client, genai.Client | None):
        raise ConfigurationError(f"client must be a google.genai.Client, not {type(client).__qualname__}")
    if base_url is not None and not (isinstance(base_url, str) and base_url.startswith(("http://", "https://"))):
        raise ConfigurationError(f"base_url must begin with http:// or https://, not {base_url!r}")
    if not isinstance(system_instruction, str | None):
        raise ConfigurationError(f"system_instruction must be a string, not {type(system_instruction).__name__}")


def _config_of(
    config: types.GenerateContentConfig | Mapping[str, Any] | None, system_instruction: str | None, *, given: bool
) -> types.GenerateContentConfig:
    """Return the config of every request, under rules 1 and 3."""
    try:
        model = types.GenerateContentConfig.model_validate({} if config is None else config)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"config{'.' if field else ''}{field}: {first['msg']}") from error
    if system_instruction is not None and model.system_instruction is not None:
        raise ConfigurationError("system_instruction is given twice: as an argument and in config")
    always: dict[str, Any] = {
        "system_instruction": model.system_instruction if system_instruction is None else system_instruction,
        "automatic_continuation": False,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
        "should_return_http_response": True,
    }
    if given or model.http_options is not None:  # whatever the client's retries are, a request's own come first
        options = model.http_options or types.HttpOptions()
        always["http_options"] = options.model_copy(update={"retry_options": types.HttpRetryOptions(attempts=1)})
    return model.model_copy(update=always)


@attrs.frozen
class _Access:
    """Where to call and as whom; the key is never printed."""

    api_key: str | None = attrs.field(repr=False)
    vertex: bool
    base_url: str | None

    @classmethod
    def of(cls, api_key: str | None, base_url: str | None) -> _Access:
        """Fill up from the environment what is not given."""
        chosen = os.environ.get("GOOGLE_GENAI_USE_ENTERPRISE") or os.environ.get("GOOGLE_GENAI_USE_VERTEXAI") or ""
        vertex = chosen.lower() in {"true", "1"}
        project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GOOGLE_CLOUD_LOCATION")
        from_environment = os.environ.get("GOOGLE_API_KEY") or os.environ.get("GEMINI_API_KEY")
        key = (api_key or (None if vertex and project else from_environment) or "").strip()
        if not key and not vertex:
            raise MissingKeyError(
                "GeminiStrategy found no key: give api_key or client, or set GOOGLE_API_KEY or GEMINI_API_KEY, "
                "or GOOGLE_GENAI_USE_VERTEXAI=true for Vertex AI"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError("the Gemini API key has characters that no key has (it is not shown here)")
        return cls(key or None, vertex, base_url)

    @property
    def needs_identity(self) -> bool:
        """Whether calls are made by application default credentials."""
        return self.vertex and self.api_key is None


class _Identity:
    """Application default credentials, kept fresh in a worker thread: the SDK would do so on asyncio only."""

    def __init__(self, source: Any, project: str | None) -> None:
        self.project = os.environ.get("GOOGLE_CLOUD_PROJECT") or project
        self.shown = Credentials(None, quota_project_id=source.quota_project_id)  # type: ignore[no-untyped-call]  # theirs
        """What the SDK is given: a token that never expires, for all it knows."""
        self._source = source
        self._lock = Lock()
        if not self.project:
            raise ConfigurationError("Vertex AI needs a project: set GOOGLE_CLOUD_PROJECT")

    @classmethod
    async def find(cls) -> _Identity:
        """Look for the credentials where Google's libraries do."""
        find = partial(google.auth.default, scopes=_SCOPES)
        return cls(*await to_thread.run_sync(find, abandon_on_cancel=True))

    async def refresh(self) -> None:
        """Fetch a new token if the old one is about to expire; once, however many calls wait for it."""
        if not self._source.valid:
            async with self._lock:
                if not self._source.valid:
                    await to_thread.run_sync(self._source.refresh, Request(), abandon_on_cancel=True)
        self.shown.token = self._source.token


class _Connection:
    """A client and its pool, in the loop that made them."""

    def __init__(self, access: _Access, identity: _Identity | None, loop: EventLoopToken) -> None:
        self.loop = loop
        self.identity = identity
        self.users = 0
        tls = httpx2.create_ssl_context()  # 40 ms: made once, and not again by the SDK for what is never used
        self._pool = httpx2.AsyncClient(
            verify=tls,
            timeout=None,
            follow_redirects=True,
            limits=_LIMITS,
            event_hooks={"response": [must_be_readable]},
        )
        options = types.HttpOptions(
            api_version="v1beta1" if access.vertex else "v1beta",
            base_url=access.base_url,
            httpx_async_client=self._pool,
            client_args={"verify": tls},
            async_client_args={"ssl": tls},
        )
        identified: dict[str, Any] = {}
        if identity is not None:
            location = os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
            identified = {"credentials": identity.shown, "project": identity.project, "location": location}
        self.client = genai.Client(vertexai=access.vertex, api_key=access.api_key, http_options=options, **identified)

    async def close(self) -> None:
        """Close the pool, which the client does not do, and the client."""
        self.client.close()
        await self._pool.aclose()


def _must_run_here(client: genai.Client | None) -> None:
    """Raise if a client made for asyncio only is to run on trio; it would fail at every call."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    on_trio = isinstance(current_token().native_token, trio.lowlevel.TrioToken)
    if on_trio and options is not None and options.httpx_async_client is None:
        raise ConfigurationError(
            "this google.genai.Client needs asyncio; for trio, make it with "
            "http_options=HttpOptions(httpx_async_client=httpx2.AsyncClient(...))"
        )
