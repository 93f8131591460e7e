"""Chat clients: endpoint and API key for OpenAI, Anthropic and compatible servers.

A variable of the environment applies where an argument is not given; a blank one is not set. A compatible server needs no key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import attrs

from .._core.exceptions import ConfigurationError, MissingKeyError
from .._core.request import Dialect
from .common import server_setting, setting


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
