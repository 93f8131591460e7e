"""Chat clients: the clients of OpenAI's and Anthropic's packages, for the provider's own service or a compatible server.

Rules owned here:

1. The package's own retries are off, also on a client given by the user. Waiting and repeating are the engine's task.
2. A client belongs to the loop that it was made in and lives from `open` to `close`, for all users of the strategy there. Its
   pool never limits the calls, so the number of workers does; it has no timeout, as the engine cancels.
3. A client given by the user is never closed. If it has the package's own HTTP client, its copy with a pool as above makes the calls. With an
   HTTP client of the user's, it is used in one event loop, for as many calls at once as that has connections: a call does not wait for one.
4. A variable of the environment applies where an argument is not given; a blank one is not set. A compatible server needs no key.
5. Requests have templates only with a client that is made here: the settings of one that is given, such as its key, may change from call to call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from .._core.connections import Connections
from .._core.exceptions import ConfigurationError, MissingKeyError
from .._core.request import Dialect
from .._core.server_url import shown_url
from ._loops import PerLoop, bind_to_loop, connections_of, without_pool_timeout
from .common import server_setting, setting, shown_server

if TYPE_CHECKING:
    from .chat_templates import ChatTemplates

_NO_KEY = "no-key-needed"  # sent to a compatible server if no key is given, as the packages require one
_PLAIN = "AsyncHttpxClientWrapper"  # class of the HTTP client that both packages make if none is given


@attrs.frozen(kw_only=True)
class Provider:
    """Description of one provider's package."""

    name: Dialect
    """Name in price lists and of the request format."""
    title: str
    """Name in messages."""
    paths: Mapping[Dialect, str]
    """Paths of the endpoints below the base URL, by the format of their requests."""
    client: type[Any]
    """Class of the client."""
    key_names: tuple[str, ...]
    """Environment variables that may hold the API key, the first one first."""
    home: str
    """URL of the provider's own service."""
    url_name: str
    """Environment variable that may hold the base URL."""
    other_url_names: tuple[str, ...]
    """Variables by which other programs find the server."""
    endpoints: tuple[str, ...]
    """Paths that the client appends, in lower case: a base URL must end before them."""
    account_names: Mapping[str, str]
    """Environment variables that say whose account is charged, by the attribute of the client."""
    arguments: frozenset[str]
    """Names of the arguments of a request."""
    modes: tuple[str, ...]
    """Ways to request a schema; the first is the default."""
    hosts: tuple[str, ...]
    """Ends of the names of hosts that are the provider's own service."""
    body_names: frozenset[str] = frozenset()
    """Names of fields of a request that the API takes and the package has no argument for."""
    methods: tuple[tuple[type[Any], str], ...] = ()
    """Classes of the package and the names of their methods that make a call: tracing packages wrap them."""

    def is_own_host(self, url: object) -> bool:
        """Whether a URL is that of the provider's own service; None stands for it."""
        return url is None or (urlsplit(str(url)).hostname or "").endswith(self.hosts)


@attrs.frozen
class Endpoint:
    """Service and API key of chat calls; the key is never printed."""

    api_key: str | None = attrs.field(repr=False)
    base_url: str | None
    """URL of a compatible server; None for the provider's own service."""
    home: str
    """URL of the provider's own service."""
    accounts: Mapping[str, str | None]
    """Whose account is charged, by the attribute of the client; None: the key's."""

    @property
    def url(self) -> str:
        """URL of the server that is called."""
        return self.base_url or self.home

    @classmethod
    def of(cls, name: str, provider: Provider, api_key: str | None, base_url: str | None) -> Endpoint:
        """Return the endpoint from arguments, with the environment as default.

        Args:
            name: Name of the strategy, for messages.
            provider: Provider that is called.
            api_key: API key given by the user, if any.
            base_url: URL given by the user, if any.

        Raises:
            ConfigurationError: The URL is invalid, or the key has invalid characters.
            MissingKeyError: No API key was found, and the service is the provider's own.
        """
        names = provider.key_names
        url = server_setting(
            base_url, provider.url_name, ignored=provider.other_url_names, endpoints=provider.endpoints
        )
        key = (api_key or "").strip() or setting(*names)
        if key is None and url is None:
            variables = " or ".join(names)
            raise MissingKeyError(
                f"{name} found no key: give api_key or client, or set {variables}", variables=variables
            )
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigurationError(
                f"the key of {name} (not shown) has characters that are not allowed in a key; check it"
            )
        accounts = {attribute: setting(variable) for attribute, variable in provider.account_names.items()}
        return cls(key, url, provider.home, accounts)


@attrs.define
class _Connection:
    """A client in its event loop, its connections, and the number of its users."""

    client: Any
    pool: Any
    templates: ChatTemplates | None = None
    users: int = 0


class ChatClient:
    """The client of a strategy: one for each event loop that makes calls, or the user's.

    Args:
        provider: Provider that is called.
        endpoint: Service and API key; None: those of `given`.
        given: Client given by the user; None: one is made.
    """

    def __init__(self, provider: Provider, endpoint: Endpoint | None, *, given: Any = None) -> None:
        self.endpoint: Endpoint | None = endpoint
        """Service and API key; None: those of the user's client."""
        self._provider = provider
        self._given: Any = None
        if given is not None:
            self._given = given.with_options(max_retries=0, timeout=without_pool_timeout(given.timeout))
        self._connections: PerLoop[_Connection] = PerLoop()

    @property
    def api_key(self) -> Any:
        """The key that is sent, so that it can be blanked; None: unknown or missing."""
        return self.endpoint.api_key if self.endpoint is not None else getattr(self._given, "api_key", None)

    @property
    def server(self) -> str | None:
        """Server that is called, for people, without credentials."""
        if self.endpoint is None:
            return shown_url(str(self._given.base_url))
        accounts = [f"{name} {value}" for name, value in self.endpoint.accounts.items() if value]
        return ", ".join([shown_server(self.endpoint.url), *accounts])

    @property
    def compatible_server(self) -> str | None:
        """Host and port of a compatible server; None: the provider's own service, or the user's client."""
        url = self.endpoint.base_url if self.endpoint is not None else None
        return url and urlsplit(url).netloc.rpartition("@")[2]

    @property
    def connections(self) -> Connections | None:
        """Connections of a client given by the user; None: any number."""
        if self._given is None or self._is_plain:
            return None
        return connections_of(self._given._client, str(self._given.base_url))  # noqa: SLF001 - the packages have no public place for it

    def open(self) -> None:
        """Add a user in the running event loop; the first one's client is made.

        Raises:
            ConfigurationError: The user's client has an HTTP client of its own, and was used in another event loop.
        """
        if self._given is not None and not self._is_plain:
            bind_to_loop(self._given._client)  # noqa: SLF001 - as above
            return
        connection = self._connections.get()
        if connection is None:
            connection = self._connect()
            self._connections.set(connection)
        connection.users += 1

    async def close(self) -> None:
        """Remove a user; the client is closed, if it was made here, once the last one leaves."""
        connection = self._connections.get()
        if connection is None:
            return
        connection.users -= 1
        if connection.users <= 0:
            self._connections.set(None)
            await connection.pool.aclose()

    def get(self) -> Any:
        """Return the client of the running event loop; None: it was not opened."""
        connection = self._connections.get()
        return connection.client if connection is not None else self._given

    def templates(self) -> ChatTemplates | None:
        """Return the templates of the running event loop's client; None: the package writes each request."""
        connection = self._connections.get()
        return None if connection is None else connection.templates

    @property
    def _is_plain(self) -> bool:
        """Whether the given client has the package's own HTTP client, which nothing but its settings distinguishes."""
        return type(getattr(self._given, "_client", None)).__name__ == _PLAIN

    def _connect(self) -> _Connection:
        import httpx2  # noqa: PLC0415 - comes with the package, which is an extra

        from ._connection_pool import ShardedClient  # noqa: PLC0415 - needs httpx2
        from .chat_templates import ChatTemplates  # noqa: PLC0415 - as above

        tls = httpx2.create_ssl_context()  # slow: made once for all connections
        pool = ShardedClient(verify=tls, timeout=None)
        if self.endpoint is None:
            return _Connection(self._given.with_options(http_client=pool), pool)
        client = self._provider.client(
            api_key=self.endpoint.api_key or _NO_KEY,
            base_url=self.endpoint.url,  # always given: the package takes a blank variable for a URL
            max_retries=0,
            timeout=None,
            http_client=pool,
        )
        for name, value in self.endpoint.accounts.items():
            setattr(client, name, value)  # as above: a blank variable would be sent
        return _Connection(client, pool, ChatTemplates(pool, self._provider.methods))


def one_of(what: str, name: object, names: Sequence[str]) -> str:
    """Return `name` if it is one of `names`.

    Raises:
        ConfigurationError: The name is unknown; the message has the nearest spelling.
    """
    if isinstance(name, str) and name in names:
        return name
    near = get_close_matches(str(name), names, n=1)
    raise ConfigurationError(
        f"{what} is unknown: {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}")
    )
