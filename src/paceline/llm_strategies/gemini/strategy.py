"""Gemini by google-genai, on trio and on asyncio alike.

Rules owned here:

1. One attempt is one HTTP request. Waiting and calling again is the engine's business.
2. The client lives from `prepare` to `cleanup`, for all who share the strategy in a loop.
3. The SDK reads no reply: its models refuse, or warn of, what they do not know yet, at a fifth of the CPU of a call. What
   a reply says is read here, from its JSON, of which every level may be missing or of another type.
4. A request of Gemini's own form is sent as it is: nothing of the strategy's goes with it but the model. The SDK is given it as
   an extra body, which it puts over its own; its models would refuse, or lose, what they do not know yet. The whole reply is its
   output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload
from urllib.parse import urlsplit

from anyio.lowlevel import current_token
from google import genai
from google.genai import types

from ..._core.accounting import Price
from ..._core.exceptions import CallError, ConfigurationError, MisuseError
from ..._core.fault import FaultKind
from ..._core.prompt import Prompt
from ..._core.request import Request
from ..._core.usage import TokenUsage
from ..common import fingerprint, quota_hint
from ..output_types.output_type import NO_REQUESTS, OutputType
from ..prices import Priced
from .client import Access, Connection, Identity, is_plain
from .errors import GeminiErrorClassifier, read_reply, read_whole
from .request import as_it_is, beside, check, config_of, content_of, understood

T = TypeVar("T")

DEFAULT_MODEL = "gemini-2.5-flash"


class Options(TypedDict, total=False):
    """The arguments of `GeminiStrategy`, but the model and the type of its output."""

    client: genai.Client | None
    api_key: str | None
    base_url: str | None
    vertexai: bool | None
    project: str | None
    location: str | None
    system_instruction: str | None
    config: types.GenerateContentConfig | Mapping[str, Any] | None
    safety_settings: Sequence[types.SafetySetting | Mapping[str, Any]] | None
    price: Price | None
    quota: str | None


class GeminiStrategy(Priced[T], Generic[T]):
    """Asks a Gemini model, by the Gemini API or Vertex AI.

        GeminiStrategy()                                             # answers in text
        GeminiStrategy("gemini-2.5-pro", output_type=Person)         # answers that are persons

    A prompt may have images and documents as parts: they are sent along.

    Args:
        model: the model's name.
        client: a `google.genai.Client` whose service is called as its user; it is never closed. One that was made with
            `HttpOptions(httpx_async_client=...)` is used itself: its pool must not be smaller than the number of workers. Of a
            plain one only the settings are used, as it would not run on trio.
        api_key: by default GOOGLE_API_KEY or GEMINI_API_KEY of the environment.
        base_url: of a gateway or a test server.
        vertexai: whether to call Vertex AI; by default what GOOGLE_GENAI_USE_VERTEXAI says. There no key is needed: Google's
            application default credentials are used.
        project: of Vertex AI; by default GOOGLE_CLOUD_PROJECT, or that of the credentials.
        location: of Vertex AI; by default GOOGLE_CLOUD_LOCATION, or `global`.
        system_instruction: what the model is told before every prompt.
        config: a `GenerateContentConfig`, or its fields. Its tools are sent; a reply that calls one is an invalid output.
        safety_settings: a list of `SafetySetting`, or of their fields.
        output_type: what an answer is to be: `str`, or a pydantic model, an attrs class, a dataclass and the like. The model
            is given its schema, and every answer is checked.
        price: what tokens cost; by default what genai-prices knows, where it is installed and the service is Google's own.
        quota: the lane's name; by default `GeminiStrategy:` and the model's.

    A `Request` of Gemini's own form is sent as it is, without `system_instruction` and `config`; its output is the reply as data.

    Raises:
        ConfigurationError: an argument is wrong, or two contradict each other.
        MissingKeyError: there is no key.
        MissingExtraError: google-genai is not installed; raised by the import of `paceline.llm_strategies.gemini`.
    """

    takes_requests = True

    @overload
    def __init__(
        self: GeminiStrategy[str], model: str = ..., *, output_type: type[str] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self, model: str = ..., *, output_type: type[T], **options: Unpack[Options]) -> None: ...
    def __init__(  # noqa: PLR0913 - all but the model have good defaults
        self,
        model: str = DEFAULT_MODEL,
        *,
        client: genai.Client | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        vertexai: bool | None = None,
        project: str | None = None,
        location: str | None = None,
        system_instruction: str | None = None,
        config: types.GenerateContentConfig | Mapping[str, Any] | None = None,
        safety_settings: Sequence[types.SafetySetting | Mapping[str, Any]] | None = None,
        output_type: type[Any] = str,
        price: Price | None = None,
        quota: str | None = None,
    ) -> None:
        check(model, client, base_url, system_instruction, price)
        named = {"api_key": api_key, "base_url": base_url, "project": project, "location": location}
        if client is not None and (vertexai is not None or any(value is not None for value in named.values())):
            raise ConfigurationError(f"give either client or {', '.join(named)} and vertexai: a client has its own")
        self.model = self._name = model.strip()
        self.price = price
        self._quota = quota or f"{GeminiStrategy.__qualname__}:{self._name}"
        self._output: OutputType[T] = OutputType.of(output_type)
        self._given = None if client is None or is_plain(client) else client
        self._access = (
            Access.of(vertexai=vertexai, **named)
            if client is None
            else Access.like(client)
            if is_plain(client)
            else None
        )
        if self._access is not None and self._access.is_googles:
            self._listed_as = (self._name, "google")
        schema = self._output.schema
        self._config = config_of(config, system_instruction, safety_settings, schema, given=self._given is not None)
        self._connection: Connection | None = None
        self.error_classifier = GeminiErrorClassifier(secret=_secret(self._access, self._given))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}(model={self.model!r})"

    @property
    def quota(self) -> str:
        """The lane's name."""
        return self._quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its outputs depend on besides the prompt."""
        said = self._config.model_dump_json(exclude_none=True, exclude={"http_options"}, warnings=False)
        server = self._access.options.base_url if self._access is not None else None
        return {
            **super().identity,
            "server": server and urlsplit(server).netloc.rpartition("@")[2],
            "config": fingerprint(said),
            **self._output.identity,
        }

    def restore(self, data: Any) -> T:
        """Return an output from what a journal has kept of it."""
        return self._output.restore(data)

    async def prepare(self) -> None:
        """Make the client, and look for the price if none was given.

        Raises:
            ConfigurationError: the client given needs asyncio, and this is trio; or Vertex AI is given no project.
            google.auth.exceptions.GoogleAuthError: there are no credentials for Vertex AI.
        """
        needs_identity = self._access is not None and self._access.needs_identity
        identity = await Identity.of(self._access) if self._access is not None and needs_identity else None
        if self._connection is None or self._connection.loop != current_token():
            self._connection = self._connect(identity)
        await self._look_up_price()
        self._connection.users += 1

    def _connect(self, identity: Identity | None) -> Connection:
        if self._access is not None:
            return Connection.make(self._access, identity)
        if self._given is None:  # not reached: one of them is there
            raise MisuseError("there is neither a client nor a key")
        return Connection.given(self._given)

    async def cleanup(self) -> None:
        """Close the client, if it was made here and nobody else uses it."""
        connection = self._connection
        if connection is None or connection.loop != current_token():
            return
        connection.users -= 1
        if connection.users <= 0:
            self._connection = None
            await connection.close()

    async def execute(self, prompt: Prompt, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Make one request and return its first candidate.

        Raises:
            CallError: the reply holds no answer, or not the whole of it; what it cost is in `usage`.
            InvalidOutputError: the answer is not of its type.
            google.genai.errors.APIError: the service refused.
            httpx2.HTTPError: the service could not be reached.
        """
        if self._connection is None:
            raise MisuseError(f"{self!r}.execute() was called before prepare()")
        client = await self._connection.client()
        if isinstance(prompt, Request):
            if (objection := self.objection(prompt)) is not None:
                raise CallError(objection, kind=FaultKind.REJECTED)
            if self._passes_on(prompt):
                contents, config = as_it_is(prompt, self._config)
                return read_whole(await self._send(client, contents, config))  # type: ignore[return-value]  # T is str: data is what it is
            body = await self._ask_words(client, *(prompt.plain or (None, prompt.text)))
        else:
            body = await self._ask(client, content_of(prompt))
        text, usage = read_reply(body)
        return self._output.parse(text, usage), usage

    def objection(self, request: Request) -> str | None:
        """Return why it cannot be asked a request in a provider's own form; None: it can."""
        if self._output.schema is not None:
            return NO_REQUESTS
        return None if self._passes_on(request) else request.objection("a model of Gemini's")

    def _passes_on(self, request: Request) -> bool:
        """Whether a request is sent as it is."""
        return request.dialect == "gemini"

    async def _ask_words(self, client: genai.Client, system: str | None, text: str) -> str:
        if system is None:
            return await self._ask(client, content_of(text))
        return await self._send(client, [content_of(text)], beside(self._config, system))

    async def _ask(self, client: genai.Client, content: types.Content) -> str:
        """Make one request; return the body of the reply."""
        return await self._send(client, [content], self._config)

    async def _send(
        self, client: genai.Client, contents: list[types.Content], config: types.GenerateContentConfig
    ) -> str:
        with understood():
            response = await client.aio.models.generate_content(model=self._name, contents=contents, config=config)
        raw = response.sdk_http_response
        if raw is None or raw.body is None:  # a client that knows nothing of raw replies
            return response.model_dump_json(by_alias=True, exclude_none=True)
        self.quota_hint = quota_hint(raw.headers)  # Google says nothing there; gateways before it do
        return raw.body


def _secret(access: Access | None, client: genai.Client | None) -> str | None:
    """Return the key, which the service may echo."""
    if access is not None:
        return access.api_key
    key = getattr(getattr(client, "_api_client", None), "api_key", None)
    return key if isinstance(key, str) else None
