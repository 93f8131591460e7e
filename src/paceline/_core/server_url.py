"""Server URLs: where calls go, as users write it, and as it is shown.

Rules owned here:

1. A URL that might lead elsewhere than its writer means is refused before anything is sent: without `http://` or `https://`, without a
   host, with a space, with parameters, with another URL in it, or with the path that the client appends.
2. What is shown of a URL has no user, no password and no parameters, as each may be a secret.
3. A model's name is followed by `@` and the server. Without a server, a text after `@` that could be one is refused: the name would be
   sent, with the prompts, to the provider's own server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from .exceptions import ConfigurationError

_EXAMPLE = "http://127.0.0.1:8000/v1"
_SERVER = re.compile(r"(?P<name>.*)@\s*(?P<url>https?://.*)", re.DOTALL | re.IGNORECASE)
_VERSION = re.compile(r"\d{4,8}|default|latest|stable|preview", re.ASCII)  # of models, as in claude-sonnet-4@20250514
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f\\]")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>/*)(?P<rest>.*)", re.DOTALL)
_LOCAL = re.compile(r"localhost|127\.|0\.0\.0\.0|\[|10\.|192\.168\.", re.IGNORECASE)
_LONGEST = 100  # characters of a text that a message quotes
_HIGHEST_PORT = 65_535


def checked_url(url: str, given: str, *, endpoints: Iterable[str] = ()) -> str:
    """Return a server's URL, without spaces around it.

    Args:
        url: URL as it was given.
        given: Argument or variable that it was given as, for messages.
        endpoints: Paths that the client appends, such as `/chat/completions`: the URL must end before them.

    Raises:
        ConfigurationError: The URL is refused under rule 1; the message says why, without what rule 2 hides.
    """
    text = url.strip()
    reason = _objection(text, endpoints)
    if reason is None:
        return text
    raise ConfigurationError(f"{given} must be like {_EXAMPLE}, not {_quoted(text)}: {reason}")


def shown_url(url: str) -> str:
    """Return a URL under rule 2; of a text that is not a URL only what cannot be a secret."""
    text = url.strip()
    parts = _split(text)
    if parts is not None and parts.scheme and parts.hostname and "@" not in parts.path:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    start, slashes, rest = text.partition("://")
    if not slashes:
        start, rest = "", text
    before, at, after = rest.rpartition("@")
    if at and ("?" in before or "#" in before):  # either may begin the parameters, or belong to a password
        after = "…"
    return f"{start.rpartition('@')[2]}{slashes}{re.split('[?#]', after)[0]}".rstrip("/")


def split_server(text: str) -> tuple[str, str | None]:
    """Return a model's name and the URL of its server, which is not checked; None: no server is named.

    Raises:
        ConfigurationError: What follows `@` could be a server but does not begin with http:// or https://, or the name holds a URL.
    """
    found = _SERVER.fullmatch(text)
    if found is not None:
        return found["name"].strip(), found["url"]
    name, at, server = text.rpartition("@")
    server = server.strip()
    if "://" in text and (not at or "://" not in server):
        raise ConfigurationError(
            f"the model's name must not hold a URL: {_quoted(text)}; write @ before the URL of a server"
        )
    if not at or not name.strip() or _VERSION.fullmatch(server):
        return text, None  # a name may begin with @, as @cf/meta/llama-3.1-8b-instruct
    advice = (
        f"write {name.strip().partition('@')[0]}@{_suggested(server)}" if server else "write the server's URL after @"
    )
    raise ConfigurationError(
        f"the server after @ must begin with http:// or https://, not {_quoted(server)}; {advice}, "
        "or, if @ belongs to the name of the model, append @ and the server's URL"
    )


def _objection(text: str, endpoints: Iterable[str]) -> str | None:
    """Return why a URL is refused, as the end of a sentence; None if it is not."""
    if not text:
        return "it is empty; leave it out for the provider's own server"
    url = _split(text)
    if url is None:
        return "its host or its port is not valid"
    path = url.path.rstrip("/").lower()
    appended = next((endpoint for endpoint in endpoints if path.endswith(endpoint)), None)
    is_absolute = url.scheme in {"http", "https"} and text.lower().startswith(f"{url.scheme}://")
    objections = (
        (_UNSAFE.search(text), "it has a space or a backslash"),
        (not is_absolute, f"it does not begin with http:// or https://; did you mean {_suggested(text)}?"),
        (not url.hostname or url.netloc.endswith(":") or url.port == 0, "its host or its port is missing"),
        ("?" in text or "#" in text, "it has parameters after ? or #, which would be lost"),
        ("://" in url.path or url.path.startswith("//"), "it has another URL in it"),
        (appended, f"leave out {appended}: the path is appended for each call"),
    )
    return next((reason for is_wrong, reason in objections if is_wrong), None)


def _split(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        return url if url.port is None or url.port <= _HIGHEST_PORT else None
    except ValueError:  # the port is not a number, or the brackets of an IPv6 address do not match
        return None


def _suggested(text: str) -> str:
    """Return what was probably meant by a URL whose beginning is wrong."""
    found = _SCHEME.fullmatch(text)
    rest = (
        text
        if found is None or (not found["slashes"] and not found["scheme"].lower().startswith("http"))
        else found["rest"]
    )
    scheme = "https" if found is not None and found["scheme"].lower() == "https" else "http"
    for start in ("https//", "http//", "https/", "http/"):
        if rest.lower().startswith(start):
            scheme, rest = start.rstrip("/"), rest[len(start) :]
            break
    else:
        if found is None and "." in rest and not _LOCAL.match(rest):
            scheme = "https"
    return f"{scheme}://{shown_url(rest.lstrip('/'))}"[:_LONGEST]


def _quoted(text: str) -> str:
    shown = shown_url(text)
    return repr(shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…")
