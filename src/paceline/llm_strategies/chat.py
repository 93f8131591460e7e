"""What the strategies by OpenAI's and Anthropic's packages have in common.

Rules owned here:

1. One attempt is one HTTP request: the package's own retries are off, of a client that was given too. Waiting and calling
   again is the engine's business.
2. The client lives in the loop that made it, from `prepare` to `cleanup`, for all who share the strategy there. Its pool never
   limits the calls, so it is the workers who set their number; it has no timeout, as the engine cancels. A client that the
   user gives is used as it is, and never closed.
3. The package reads no reply: what one says is read here, from its JSON. A typed output is checked here, whatever the provider
   was told to hold its model to.
4. The key is held by a record that does not print it, by the client, and by the classifier, which blanks it where it is
   echoed.
5. A request of the provider's own form is sent as it is: nothing of the strategy's goes with it but the model, unless the
   request's own is kept. The whole reply is its output.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypedDict, Unpack, overload
from urllib.parse import urlsplit

import attrs
from anyio.lowlevel import EventLoopToken, current_token
from typing_extensions import TypeVar

from .._core.accounting import Price
from .._core.exceptions import CallError, ConfigurationError, MisuseError
from .._core.fault import FaultKind
from .._core.prompt import Parts, Prompt
from .._core.request import Request
from .._core.usage import TokenUsage
from .chat_client import Access, ChatErrorClassifier, Provider, one_of
from .common import fingerprint, quota_hint
from .output_types.output_type import NO_REQUESTS
from .output_types.provider_schema import AnswerFormat
from .prices import Priced

T = TypeVar("T", default=str)

_NO_KEY = "no-key-needed"  # what a server of one's own is sent where no key is given


@attrs.define
class _Connection:
    """A client, in the loop that made it."""

    client: Any
    loop: EventLoopToken
    users: int = 0


class Arguments(TypedDict, total=False):
    """Of a strategy, but for the model and the type."""

    client: Any
    api_key: str | None
    base_url: str | None
    system_instruction: str | None
    schema_mode: str | None
    options: Mapping[str, Any] | None
    price: Price | None
    quota: str | None
    keep_model: bool


class ChatStrategy(Priced[T], Generic[T]):
    """The base of `OpenAIStrategy` and `AnthropicStrategy`, which document the arguments."""

    _provider: ClassVar[Provider]
    takes_requests = True

    @overload
    def __init__(self, model: str, *, output_type: type[T] = ..., **arguments: Unpack[Arguments]) -> None: ...
    @overload
    def __init__(self, model: str, *, output_type: Any, **arguments: Unpack[Arguments]) -> None: ...
    def __init__(  # noqa: PLR0913 - all but the model have good defaults
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
        self._check(model, client, base_url, system_instruction, price)
        self.model = self._name = model.strip()
        self.price = price
        self._asked: AnswerFormat[T] = AnswerFormat.of(output_type)
        self._mode = one_of("schema_mode", schema_mode or self._provider.modes[0], self._provider.modes)
        self._options = self._checked(options)
        told = self._asked.instruction if self._mode in {"json", "text"} else ""
        self._instruction = "\n\n".join(filter(None, (system_instruction, told)))
        self._fixed = self._settings()
        self._keeps_model = keep_model
        self._connection: _Connection | None = None
        self._given = None
        if client is not None:
            if api_key is not None or base_url is not None:
                raise ConfigurationError("give either client or api_key and base_url: a client has its own")
            self._given = client.with_options(max_retries=0)
        self._access = (
            None if client is not None else Access.of(type(self).__qualname__, self._provider, api_key, base_url)
        )
        if self._access is not None and self._access.base_url is None:
            self._listed_as = (self._name, self._provider.name)
        self._quota = quota or self._lane()
        self.error_classifier = ChatErrorClassifier(secret=self._access.api_key if self._access else client.api_key)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}(model={self.model!r})"

    @property
    def quota(self) -> str:
        """The lane's name."""
        return self._quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its outputs depend on besides the prompt."""
        url = self._access.base_url if self._access is not None else None
        return {
            **super().identity,
            "server": url and urlsplit(url).netloc.rpartition("@")[2],
            "system_instruction": fingerprint(self._instruction or None),
            "options": fingerprint(self._fixed or None),
            **self._asked.identity,
            **({"keep_model": True} if self._keeps_model else {}),
        }

    def restore(self, data: Any) -> T:
        """Return an output from what a journal has kept of it."""
        return self._asked.restore(data)

    async def prepare(self) -> None:
        """Make the client, and look for the price if it is the provider's own model and none was given."""
        if self._access is None:
            return
        await self._look_up_price()
        here = current_token()  # nothing is awaited from here on: what is counted is cleaned up once
        if self._connection is None or self._connection.loop != here:
            self._connection = _Connection(self._connect(self._access), here)
        self._connection.users += 1

    async def cleanup(self) -> None:
        """Close the client, if it was made here and nobody else uses it."""
        connection = self._connection
        if connection is None or connection.loop != current_token():
            return
        connection.users -= 1
        if connection.users <= 0:
            self._connection = None
            await connection.client.close()

    async def execute(self, prompt: Prompt, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Make one request and return its answer.

        Raises:
            CallError: the reply holds no answer, or not the whole of it; what it cost is in `usage`.
            InvalidOutputError: the answer is not of its type.
            Exception: the package's own, where the service refused or could not be reached.
        """
        if isinstance(prompt, Request):
            if (objection := self.objection(prompt)) is not None:
                raise CallError(objection, kind=FaultKind.REJECTED)
            if prompt.dialect == self._provider.name:
                return await self._pass_on(prompt)
            system, prompt = prompt.plain or (None, prompt.text)
            return await self._ask(prompt, "\n\n".join(filter(None, (self._instruction, system))))
        return await self._ask(prompt, self._instruction)

    def objection(self, request: Request) -> str | None:
        """Return why it cannot be asked a request in a provider's own form; None: it can."""
        if self._asked.schema is not None:
            return NO_REQUESTS
        if request.dialect == self._provider.name:
            return None
        return request.objection(f"a model of {self._provider.title}'s")

    async def _ask(self, prompt: Parts, instruction: str) -> tuple[T, TokenUsage]:
        request = {"model": self._name, **self._said(prompt, instruction), **self._fixed}
        headers, body = await self._send(self._client(), request)
        self.quota_hint = quota_hint(headers)
        text, usage = self._read(body)
        return self._asked.read(text, usage), usage

    async def _pass_on(self, request: Request) -> tuple[Any, TokenUsage]:
        import httpx2  # noqa: PLC0415 - as below

        named = request.body.get("model")
        if self._keeps_model and isinstance(named, str) and named.strip():
            self._calls(named)
        body = {**request.body, "model": self.model}
        response = await self._client().post(self._provider.path, cast_to=httpx2.Response, body=body)
        self.quota_hint = quota_hint(response.headers)
        return self._read_whole(response.text)

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Return the arguments that every request has."""

    @abstractmethod
    def _said(self, prompt: Parts, instruction: str) -> dict[str, Any]:
        """Return the arguments that say something to the model."""

    @abstractmethod
    async def _send(self, client: Any, request: dict[str, Any]) -> tuple[Any, str]:
        """Make one request; return the headers and the body of the reply."""

    @abstractmethod
    def _read(self, body: str) -> tuple[str, TokenUsage]:
        """Return the text of a reply and what it cost."""

    @abstractmethod
    def _read_whole(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        """Return a reply as data and what it cost, whatever its model finished with."""

    def _connect(self, access: Access) -> Any:
        """Make a client, under rules 1 and 2."""
        import httpx2  # noqa: PLC0415 - comes with the package, which is an extra

        from .gemini.pool import ShardedClient  # noqa: PLC0415 - needs it

        tls = httpx2.create_ssl_context()  # takes long: made once for all connections
        return self._provider.client(
            api_key=access.api_key or _NO_KEY,
            base_url=access.base_url,
            max_retries=0,
            timeout=None,
            http_client=ShardedClient(verify=tls, timeout=None, follow_redirects=True),
        )

    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        if self._connection is None:
            raise MisuseError(f"{self!r}.execute() was called before prepare()")
        return self._connection.client

    def _check(
        self, model: object, client: object, base_url: object, system_instruction: object, price: object
    ) -> None:
        expected = self._provider.client
        if not isinstance(model, str) or not model.strip():
            raise ConfigurationError(f"model must be a model's name, not {model!r}")
        if client is not None and not isinstance(client, expected):
            raise ConfigurationError(
                f"client must be an {self._provider.name}.{expected.__name__}, not {type(client).__qualname__}"
            )
        if not isinstance(base_url, str | None):
            raise ConfigurationError(f"base_url must be a string, not {type(base_url).__name__}")
        if not isinstance(system_instruction, str | None):
            raise ConfigurationError(f"system_instruction must be a string, not {type(system_instruction).__name__}")
        if not isinstance(price, Price | None):
            raise ConfigurationError(f"price must be a paceline.Price, not {type(price).__name__}")

    def _checked(self, options: object) -> dict[str, Any]:
        """Return the user's options, if a request can have them."""
        if not isinstance(options, Mapping | None):
            raise ConfigurationError(f"options must be a mapping, not {type(options).__name__}")
        known = self._provider.arguments - _OURS - (set() if self._asked.schema is None else self._typing)
        for name in options or ():
            if name in _OURS or name in self._provider.arguments - known:
                raise ConfigurationError(f"options may not hold {name!r}: the strategy sets it itself")
            one_of("the name of an option", name, sorted(known))
        return dict(options or {})

    _typing: ClassVar[frozenset[str]]
    """The arguments by which a typed output is asked for."""

    def _lane(self) -> str:
        """Return the name of the quota: the same model of another server has another."""
        name = f"{type(self).__qualname__}:{self._name}"
        url = self._access.base_url if self._access is not None else None
        return f"{name}@{urlsplit(url).netloc.rpartition('@')[2]}" if url else name


_OURS = {"model", "messages", "stream", "stream_options", "timeout", "n", "system"}
