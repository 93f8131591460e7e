"""Request templates: a request that a provider's package has written once, and that is sent with one prompt after another.

A package takes half of the CPU time of a call to write its request: it validates the arguments, copies and converts them, with the
same result each time except for the prompt.

Rules owned here:

1. A template is made of a request that the package itself has written, for a sample prompt. It replaces the sample and the length of
   the body, and nothing else.
2. There is a template only if the sample stands in the body exactly once, written as it is written here. Otherwise the package writes each
   request.
3. The headers hold the API key: they are never printed.
"""

from __future__ import annotations

from typing import Any

import attrs
import httpx2

_UTF_8 = {"application/json", "application/json; charset=utf-8"}
"""Content types, in lower case, of JSON in UTF-8."""
_WRITTEN_ANEW = {b"content-length"}
"""Headers that differ from request to request, in lower case."""


@attrs.frozen(eq=False)
class RequestTemplate:
    """A request with a place for a prompt."""

    url: httpx2.URL
    before: bytes = attrs.field(repr=False)
    """Body up to the prompt."""
    after: bytes = attrs.field(repr=False)
    """Body from the prompt on."""
    _headers: list[tuple[bytes, bytes]] = attrs.field(repr=False)
    _extensions: dict[str, Any] = attrs.field(repr=False)

    @classmethod
    def of(cls, request: httpx2.Request, sample: bytes) -> RequestTemplate | None:
        """Return the template of a request; None if it has none, under rule 2.

        Args:
            request: Request with a body of JSON.
            sample: JSON that stands where the prompts will.
        """
        before, found, after = request.content.partition(sample)
        if request.method != "POST" or not found or sample in after:
            return None
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _WRITTEN_ANEW]
        return cls(request.url, before, after, headers, dict(request.extensions))

    def request(self, prompt: bytes, *, authorization: str | None = None) -> httpx2.Request:
        """Return the request with a prompt.

        Args:
            prompt: Prompt as JSON.
            authorization: Value that replaces the Authorization header's; None leaves it.
        """
        body = b"".join((self.before, prompt, self.after))
        headers = self._headers
        if authorization is not None:
            headers = [(name, value) for name, value in headers if name.lower() != b"authorization"]
            headers.append((b"Authorization", authorization.encode("ascii")))
        return httpx2.Request(
            "POST",
            self.url,
            headers=[*headers, (b"Content-Length", b"%d" % len(body))],
            stream=httpx2.ByteStream(body),
            extensions=self._extensions,
        )


def text_of(response: httpx2.Response) -> str:
    """Return a reply's body as `response.text` does; its content type is parsed only if it is not one of the usual ones."""
    content_type = response.headers.get("content-type", "")
    return response.content.decode("utf-8", "replace") if content_type.lower() in _UTF_8 else response.text
