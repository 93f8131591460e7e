"""GeminiStrategy: calls a Gemini model through google-genai, on trio and asyncio.

Rules owned here:

1. One attempt is one HTTP request. Waiting and repeating are the engine's task.
2. The client lives from `prepare` to `cleanup`, for all users of the strategy in one loop.
3. Replies are parsed here, from their JSON. The SDK's models refuse, or warn of, fields that they do not know yet, and take
   a fifth of the CPU time of a call.
4. google-genai writes one request for a strategy's texts, and this is sent with one text after another (`frame.py`): writing each
   from scratch takes half of the CPU time of a call.
5. A request in Gemini's format is sent unchanged, with only the strategy's model. The SDK receives it as an extra body, which
   replaces its own: its models would refuse, or lose, unknown fields. The complete reply is the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload
from urllib.parse import urlsplit

from google import genai
from google.genai import types

from ..._core.accounting import Price
from ..._core.connections import Connections
from ..._core.exceptions import CallError, ConfigurationError, MisuseError
from ..._core.fault import FaultKind
from ..._core.model_settings import is_sampled, shown
from ..._core.prompt import Parts, Prompt
from ..._core.request import Request
from ..._core.usage import TokenUsage
from ...abc import ErrorClassifier, NativeBatch
from .._loops import PerLoop, connections_of
from .._request_template import text_of
from ..common import KeyHolder, check_arguments, fingerprint, output_bound, quota_hint
from ..native.gemini import GeminiBatch
from ..option_conflicts import check_gemini
from ..output_types.output_type import NO_REQUESTS, OutputType
from ..prices import Priced
from .client import Access, Connection, Identity, http_client_of, is_plain, server_of
from .errors import GeminiErrorClassifier, read_complete_reply, read_reply
from .frame import Frame, LastFrame, texts_of
from .request import SETTINGS, config_of, content_of, sdk_errors, settings_of, unchanged, with_system_text

T = TypeVar("T")

DEFAULT_MODEL = "gemini-2.5-flash"


class Options(TypedDict, total=False):
    """Arguments of `GeminiStrategy` except `model` and `output_type`."""

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


class GeminiStrategy(KeyHolder, Priced[T], Generic[T]):
    """Calls a Gemini model through the Gemini API or Vertex AI.

        GeminiStrategy()                                             # text answers
        GeminiStrategy("gemini-2.5-pro", output_type=Person)         # answers of the class Person

    A prompt may contain images and documents as parts.

    Args:
        model: Name of the model.
        client: A `google.genai.Client` whose service and identity are used; it is never closed. A client made with
            `HttpOptions(httpx_async_client=...)` makes the calls itself, in one event loop, as many at once as its pool
            has connections. Of a plain client only the settings are used, as it does not run on trio.
        api_key: API key; by default GOOGLE_API_KEY or GEMINI_API_KEY of the environment.
        base_url: URL of a gateway or a test server.
        vertexai: Whether to call Vertex AI; by default GOOGLE_GENAI_USE_VERTEXAI of the environment. Vertex AI needs no key:
            Google's application default credentials are used.
        project: Vertex AI project; by default GOOGLE_CLOUD_PROJECT, or the project of the credentials.
        location: Vertex AI location; by default GOOGLE_CLOUD_LOCATION, or `global`.
        system_instruction: Instruction before every prompt.
        config: A `GenerateContentConfig`, or its fields. Tools are sent; a reply that calls one is an invalid output.
        safety_settings: A list of `SafetySetting`, or of their fields.
        output_type: Type of the answers: `str`, a pydantic model, an attrs class, a dataclass and so on. The model receives
            its schema, and every answer is validated.
        price: Price of tokens; by default the one in genai-prices, if it is installed and the service is Google's own.
        quota: Name of the lane; by default `GeminiStrategy:` and the model.

    A `Request` in Gemini's format is sent unchanged, without `system_instruction` and `config`; its output is the reply as data.

    Raises:
        ConfigurationError: An argument is wrong, or two contradict each other.
        MissingKeyError: No API key was found.
        MissingExtraError: google-genai is not installed; raised by the import of `paceline.llm_strategies.gemini`.
    """

    takes_requests = True

    @overload
    def __init__(
        self: GeminiStrategy[str], model: str = ..., *, output_type: type[str] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self, model: str = ..., *, output_type: type[T], **options: Unpack[Options]) -> None: ...
    def __init__(  # noqa: PLR0913 - all have defaults
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
        check_arguments(
            model=model,
            client=client,
            client_class=genai.Client,
            base_url=base_url,
            system_instruction=system_instruction,
            price=price,
        )
        named = {"api_key": api_key, "base_url": base_url, "project": project, "location": location}
        if client is not None and (vertexai is not None or any(value is not None for value in named.values())):
            raise ConfigurationError(f"give either client, which has its own settings, or {', '.join(named)}, vertexai")
        self._name = model.strip()
        self.model: str | None = self._name
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
        if self._access is not None and self._access.is_google:
            self._listed_as = (self._name, "google")
        schema = self._output.schema
        self._config = config_of(config, system_instruction, safety_settings, schema, given=self._given is not None)
        check_gemini(self._config, self._name, is_typed=schema is not None)
        self.max_output_tokens: int | None = output_bound(self._config.model_dump(include={"max_output_tokens"}))
        self._frame = Frame(self._config)
        self._system_frame = LastFrame()  # by the system text of a request
        self.is_sampled: bool = is_sampled(settings_of(self._config))
        self._connections: PerLoop[Connection] = PerLoop()
        self.error_classifier: ErrorClassifier = GeminiErrorClassifier(
            secret=_secret(self._access, self._given), server=self.server
        )

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}(model={self.model!r})"

    @property
    def quota(self) -> str:
        """Name of the lane."""
        return self._quota

    @property
    def server(self) -> str | None:  # type: ignore[override]  # follows from the client
        """Server that is called, for people, without credentials."""
        if self._access is not None:
            return self._access.server
        return server_of(self._given) if self._given is not None else None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the outputs depend on besides the prompt, as plain data."""
        hidden = {"http_options", *SETTINGS}
        config = self._config.model_dump_json(exclude_none=True, exclude=hidden, warnings=False)
        settings = settings_of(self._config)
        server = self._access.options.base_url if self._access is not None else None
        return {
            **super().identity,
            "server": server and urlsplit(server).netloc.rpartition("@")[2],
            "config": fingerprint(config),
            **({"settings": shown(settings, fingerprint)} if settings else {}),
            **self._output.identity,
        }

    def restore(self, data: Any) -> T:
        """Return an output from its data in a journal."""
        return self._output.restore(data)

    def native_batch(self) -> NativeBatch:
        """Return the jobs of the Gemini API's batch mode.

        Raises:
            ConfigurationError: The strategy calls Vertex AI, or through a client of the user's.
        """
        if self._access is None or self._access.vertex:
            raise ConfigurationError(
                f"{self._name}: batch jobs are made with the Gemini API and a key only, not on Vertex AI or with a client of your own"
            )
        return GeminiBatch(self, self._batch_client, self._name)

    async def _batch_client(self) -> Any:
        if (connection := self._connection) is None:
            raise MisuseError(f"{self!r} makes batch jobs only after prepare()")
        return await connection.client()

    async def prepare(self) -> None:
        """Make the client, and look up the price if none was given.

        Raises:
            ConfigurationError: The client needs asyncio, and this is trio; or Vertex AI has no project.
            google.auth.exceptions.GoogleAuthError: No credentials for Vertex AI were found.
        """
        needs_identity = self._access is not None and self._access.needs_identity
        identity = await Identity.of(self._access) if self._access is not None and needs_identity else None
        await self._look_up_price()
        connection = self._connection  # no await from here on, so each counted user is cleaned up once
        if connection is None:
            connection = self._connect(identity)
            self._connections.set(connection)
        connection.users += 1

    @property
    def _connection(self) -> Connection | None:
        """The client of the running event loop."""
        return self._connections.get()

    @property
    def connections(self) -> Connections | None:  # type: ignore[override]  # follows from the client
        """Connections of a client given by the user, if it makes the calls itself; None: any number."""
        http, url = (None, None) if self._given is None else http_client_of(self._given)
        return None if http is None else connections_of(http, str(url))

    def _connect(self, identity: Identity | None) -> Connection:
        if self._access is not None:
            return Connection.make(self._access, identity, self._name)
        if self._given is None:  # unreachable: `__init__` sets one of the two
            raise MisuseError("the strategy has neither a client nor a key")
        return Connection.given(self._given)

    async def cleanup(self) -> None:
        """Close the client if it was made here, once the last user leaves."""
        connection = self._connection
        if connection is None:
            return
        connection.users -= 1
        if connection.users <= 0:
            self._connections.set(None)
            await connection.close()

    async def execute(self, prompt: Prompt, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Make one request and return the answer of its first candidate.

        Raises:
            CallError: The reply holds no answer, or an incomplete one; its usage is in `usage`.
            InvalidOutputError: The answer is not of its type.
            google.genai.errors.APIError: The service refused.
            httpx2.HTTPError: The service could not be reached.
        """
        if (connection := self._connection) is None:
            raise MisuseError(f"{self!r}.execute() was called before prepare()")
        if isinstance(prompt, Request):
            if (objection := self.objection(prompt)) is not None:
                raise CallError(objection, kind=FaultKind.REJECTED)
            if self._sends_unchanged(prompt):
                contents, config = unchanged(prompt, self._config)
                return read_complete_reply(await self._send_by_sdk(connection, contents, config))  # type: ignore[return-value]  # T is str; this is data
            body = await self._ask_text(connection, *(prompt.plain or (None, prompt.text)))
        else:
            body = await self._ask(connection, prompt)
        text, usage = read_reply(body)
        return await self._output.parse_async(text, usage), usage

    def objection(self, request: Request) -> str | None:
        """Return why a request in a provider's format cannot be sent; None if it can."""
        if self._output.schema is not None:
            return NO_REQUESTS
        return None if self._sends_unchanged(request) else request.objection("a Gemini model")

    def _sends_unchanged(self, request: Request) -> bool:
        return request.dialect == "gemini"

    async def _ask_text(self, connection: Connection, system: str | None, text: str) -> str:
        if system is None:
            return await self._ask(connection, text)
        frame = self._system_frame.of(system, lambda system: Frame(with_system_text(self._config, system)))
        return await self._send(connection, text, frame)

    async def _ask(self, connection: Connection, prompt: Parts) -> str:
        """Make one request with the strategy's config; return the body of the reply."""
        return await self._send(connection, prompt, self._frame)

    async def _send(self, connection: Connection, prompt: Parts, frame: Frame) -> str:
        texts = texts_of(prompt)
        if texts is not None:
            with sdk_errors():
                response = await connection.send(frame, texts)
            if response is not None:
                self.quota_hint = quota_hint(response.headers)
                return text_of(response)
        return await self._send_by_sdk(connection, [*frame.context, content_of(prompt)], frame.config)

    async def _send_by_sdk(
        self, connection: Connection, contents: list[types.Content], config: types.GenerateContentConfig
    ) -> str:
        client = await connection.client()
        with sdk_errors():
            response = await client.aio.models.generate_content(model=self._name, contents=contents, config=config)
        raw = response.sdk_http_response
        if raw is None or raw.body is None:  # a client of the user's own class, without raw replies
            return response.model_dump_json(by_alias=True, exclude_none=True)
        self.quota_hint = quota_hint(raw.headers)  # sent by gateways, not by Google
        return raw.body


def _secret(access: Access | None, client: genai.Client | None) -> str | None:
    """Return the API key, which the service may echo."""
    if access is not None:
        return access.api_key
    key = getattr(getattr(client, "_api_client", None), "api_key", None)
    return key if isinstance(key, str) else None
