"""ChatStrategy: the base of the strategies that use OpenAI's and Anthropic's packages.

Rules owned here:

1. One attempt is one HTTP request, made by a `ChatClient`.
2. Replies are parsed here, from their JSON, not by the package. A typed output is validated here, even if the provider
   enforces the schema.
3. The API key is held by a record that does not print it, by the client, and by the classifier, which blanks an echoed key.
4. A request in a format of the provider's is sent unchanged, with the strategy's model, or its own under `keep_model`. The complete
   reply is its output, or the text of the answer if the request asks for that.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any, ClassVar, Generic, TypedDict, Unpack, overload

from typing_extensions import TypeVar

from .._core.accounting import Price
from .._core.connections import Connections
from .._core.exceptions import CallError, ConfigurationError, MisuseError
from .._core.fault import FaultKind
from .._core.model_settings import check_values, is_sampled, merged, shown
from .._core.prompt import Parts, Prompt
from .._core.request import Request, with_defaults
from .._core.usage import TokenUsage
from ..abc import ErrorClassifier
from .chat_client import ChatClient, Endpoint, Provider, one_of
from .common import (
    KeyHolder,
    ProviderErrorClassifier,
    check_arguments,
    fingerprint,
    is_same_host,
    output_bound,
    quota_hint,
)
from .output_types.answer_format import AnswerFormat
from .output_types.output_type import NO_REQUESTS
from .prices import Priced, processing_of

T = TypeVar("T", default=str)

_MISSPELT = 0.85  # least ratio of difflib at which a name is a known one with an error: temprature is, top_k is not
_RESERVED = {"model", "messages", "stream", "stream_options", "timeout", "n", "system"}
"""Arguments of a request that `options` may not hold, as the strategy sets them."""


class Arguments(TypedDict, total=False):
    """Arguments of a strategy except `model` and `output_type`."""

    client: Any
    api_key: str | None
    base_url: str | None
    system_instruction: str | None
    schema_mode: str | None
    options: Mapping[str, Any] | None
    price: Price | None
    quota: str | None
    keep_model: bool


class ChatStrategy(KeyHolder, Priced[T], Generic[T]):
    """Base of `OpenAIStrategy` and `AnthropicStrategy`, which document the arguments."""

    _provider: ClassVar[Provider]
    takes_requests = True

    @overload
    def __init__(self, model: str, *, output_type: type[T] = ..., **arguments: Unpack[Arguments]) -> None: ...
    @overload
    def __init__(self, model: str, *, output_type: Any, **arguments: Unpack[Arguments]) -> None: ...
    def __init__(  # noqa: PLR0913 - all but the model have defaults
        self,
        model: str,
        *,
        client: Any = None,
        api_key: str | None = None,
        base_url: str | None = None,
        system_instruction: str | None = None,
        output_type: Any = str,
        schema_mode: str | None = None,
        options: Mapping[str, Any] | None = None,
        price: Price | None = None,
        quota: str | None = None,
        keep_model: bool = False,
    ) -> None:
        check_arguments(
            model=model,
            client=client,
            client_class=self._provider.client,
            base_url=base_url,
            system_instruction=system_instruction,
            price=price,
        )
        self._name = model.strip()
        self.model: str | None = self._name
        self.price = price
        self._output: AnswerFormat[T] = AnswerFormat.of(output_type)
        self._mode = one_of("schema_mode", schema_mode or self._provider.modes[0], self._provider.modes)
        is_own_service = self.is_own_service(base_url, client)
        self._options = self._check_options(options, is_own_service=is_own_service)
        self._check_conflicts(self._options, self._name, is_own_service=is_own_service)
        if self._provider.name == "openai":
            self._processing = processing_of(self._options.get("service_tier"))
        self.is_sampled: bool = is_sampled(self._options)
        schema_text = self._output.instruction if self._mode in {"json", "text"} else ""
        self._fixed = self._fixed_arguments()
        self.max_output_tokens: int | None = output_bound(self._fixed)
        texts = system_instruction, schema_text, self._tool_instruction
        self._instruction = "\n\n".join(filter(None, texts))
        self._keeps_model = keep_model
        if client is not None and (api_key is not None or base_url is not None):
            raise ConfigurationError("give either client, which has its own settings, or api_key and base_url")
        endpoint = (
            None if client is not None else Endpoint.of(type(self).__qualname__, self._provider, api_key, base_url)
        )
        self._connection = ChatClient(self._provider, endpoint, given=client)
        if endpoint is not None and is_same_host(endpoint.url, endpoint.home):
            self._listed_as = (self._name, self._provider.name)
        self._quota = quota or self._default_quota()
        self.error_classifier: ErrorClassifier = ProviderErrorClassifier(
            secret=self._connection.api_key, server=self.server
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
        return self._connection.server

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the outputs depend on besides the prompt, as plain data."""
        return {
            **super().identity,
            "server": self._connection.compatible_server,
            "system_instruction": fingerprint(self._instruction or None),
            "options": fingerprint(self._without_options() or None),
            **({"settings": self._settings()} if self._options else {}),
            **self._output.identity,
            **({"keep_model": True} if self._keeps_model else {}),
        }

    def restore(self, data: Any) -> T:
        """Return an output from its data in a journal."""
        return self._output.restore(data)

    @property
    def connections(self) -> Connections | None:  # type: ignore[override]  # follows from the client
        """Connections of a client given by the user; None: any number."""
        return self._connection.connections

    async def prepare(self) -> None:
        """Make the client, and look up the price if the service is the provider's own and none was given.

        Raises:
            ConfigurationError: The client has an HTTP client of its own, and was used in another event loop.
        """
        if self._connection.endpoint is not None:
            await self._look_up_price()
        self._connection.open()  # no await follows, so each counted user is cleaned up once

    async def cleanup(self) -> None:
        """Close the client if it was made here, once the last user leaves."""
        await self._connection.close()

    async def execute(self, prompt: Prompt, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Make one request and return its answer.

        Raises:
            CallError: The reply holds no answer, or an incomplete one; its usage is in `usage`.
            InvalidOutputError: The answer is not of its type.
            Exception: An exception of the package: the service refused, or could not be reached.
        """
        if isinstance(prompt, Request):
            if (objection := self.objection(prompt)) is not None:
                raise CallError(objection, kind=FaultKind.REJECTED)
            if prompt.dialect in self._provider.paths:
                return await self._send_unchanged(prompt)
            system, prompt = prompt.plain or (None, prompt.text)
            return await self._ask(prompt, "\n\n".join(filter(None, (self._instruction, system))))
        return await self._ask(prompt, self._instruction)

    def objection(self, request: Request) -> str | None:
        """Return why a request in a provider's format cannot be sent; None if it can."""
        if self._output.schema is not None and request.reply == "complete":
            return NO_REQUESTS
        if request.dialect in self._provider.paths:
            return None
        return request.objection(f"an {self._provider.title} model")

    async def _ask(self, prompt: Parts, instruction: str) -> tuple[T, TokenUsage]:
        write, templates = partial(self._write, self._client(), instruction), self._connection.templates()
        if templates is not None and isinstance(prompt, str):
            headers, body = await templates.send(instruction, prompt, write)
        else:
            headers, body = await write(prompt)
        self.quota_hint = quota_hint(headers)
        text, usage = self._read(body)
        return await self._output.read(text, usage), usage

    async def _write(self, client: Any, instruction: str, prompt: Parts) -> tuple[Any, str]:
        """Make one request by the package; return the headers and the body of the reply."""
        return await self._send(client, {"model": self._name, **self._messages(prompt, instruction), **self._fixed})

    async def _send_unchanged(self, request: Request) -> tuple[Any, TokenUsage]:
        import httpx2  # noqa: PLC0415 - comes with the package, which is an extra

        named = request.body.get("model")
        if self._keeps_model and isinstance(named, str) and named.strip():
            self._switch_model(named)
        body = {**self._body_of(request), "model": self.model}
        path = self._provider.paths[request.dialect]
        response = await self._client().post(path, cast_to=httpx2.Response, body=body)
        self.quota_hint = quota_hint(response.headers)
        if request.reply == "complete":
            return self._read_complete(response.text)
        text, usage = self._read(response.text)
        return await self._output.read(text, usage), usage

    def _body_of(self, request: Request) -> Mapping[str, Any]:
        """Return the body of a request, completed if its reply is a text."""
        if request.reply == "complete" or request.dialect != "openai":
            return request.body
        arguments = {name: value for name, value in self._fixed.items() if name != "extra_body"}
        return with_defaults(
            request, instruction=self._instruction, arguments={**arguments, **self._fixed.get("extra_body", {})}
        )

    @abstractmethod
    def _fixed_arguments(self) -> dict[str, Any]:
        """Return the arguments that are the same in every request."""

    @abstractmethod
    def _messages(self, prompt: Parts, instruction: str) -> dict[str, Any]:
        """Return the arguments that hold the instruction and the prompt."""

    @abstractmethod
    async def _send(self, client: Any, request: dict[str, Any]) -> tuple[Any, str]:
        """Make one request; return the headers and the body of the reply."""

    @abstractmethod
    def _read(self, body: str) -> tuple[str, TokenUsage]:
        """Return the text of a reply and its usage."""

    @abstractmethod
    def _read_complete(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        """Return a reply as data and its usage, for any finish reason."""

    def _client(self) -> Any:
        client = self._connection.get()
        if client is None:
            raise MisuseError(f"{self!r}.execute() was called before prepare()")
        return client

    @classmethod
    def is_own_service(cls, base_url: str | None, client: Any) -> bool:
        """Whether a strategy with these arguments calls the provider's own service, and not a compatible server."""
        url = base_url or os.environ.get(cls._provider.url_name) or None
        return cls._provider.is_own_host(url if client is None else client.base_url)

    def _check_options(self, options: object, *, is_own_service: bool) -> dict[str, Any]:
        """Return the user's options as arguments of a request, those that the package has no argument for in its extra body."""
        if not isinstance(options, Mapping | None):
            raise ConfigurationError(f"options must be a mapping, not {type(options).__name__}")
        given, arguments = dict(options or {}), self._provider.arguments
        known = arguments - _RESERVED - (set() if self._output.schema is None else self._type_options)
        body: dict[str, Any] = {}
        for name in [*given]:
            if name in _RESERVED or name in arguments - known:
                raise ConfigurationError(f"options may not hold {name!r}: the strategy sets it itself; remove it")
            if name not in known and (
                name in self._provider.body_names or self._is_of_server(name, is_own_service=is_own_service)
            ):
                body[name] = given.pop(name)
            else:
                one_of("the name of an option", name, sorted(known | self._provider.body_names))
        made = {**given, "extra_body": merged(body, given.get("extra_body") or {})} if body else given
        check_values({**made, **body})
        return made

    _check_conflicts: ClassVar[Callable[..., None]]
    """Refuses options that the provider does not accept together."""

    def _is_of_server(self, name: object, *, is_own_service: bool) -> bool:
        """Whether an unknown name may be an option that a compatible server has, and is not a misspelt one."""
        near = get_close_matches(str(name), self._provider.arguments, n=1, cutoff=_MISSPELT)
        return isinstance(name, str) and not is_own_service and not near

    def _without_options(self) -> dict[str, Any]:
        """Return the arguments of a request that do not depend on the user's options."""
        replaceable = self._defaults({})
        given = {*self._options, *replaceable}
        return replaceable | {name: value for name, value in self._fixed.items() if name not in given}

    def _settings(self) -> dict[str, Any]:
        """Return the user's options for the identity; those of the extra body among the others."""
        options = {name: value for name, value in self._options.items() if name != "extra_body"}
        return shown({**self._options.get("extra_body", {}), **options}, fingerprint)

    def _defaults(self, options: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Anthropic's depend on them
        """Return the arguments that options may replace, as these options leave them."""
        return {}

    @property
    def _tool_instruction(self) -> str:
        """Instruction to call the tool that takes the answer, where the request cannot force the model to."""
        return ""

    _type_options: ClassVar[frozenset[str]]
    """Arguments that request a typed output."""

    def _default_quota(self) -> str:
        """Return the lane's name: the same model on another server has another lane."""
        name = f"{type(self).__qualname__}:{self._name}"
        server = self._connection.compatible_server
        return f"{name}@{server}" if server else name
