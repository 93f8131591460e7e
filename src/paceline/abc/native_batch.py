"""How the jobs of a provider's batch API are made, watched and read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import attrs

from .._core.native.job import JobPolicy, Outcome
from .._core.native.splitting import JobLimits
from .._core.prompt import Prompt


@attrs.frozen
class NativeRequest:
    """The request of one row, as it would be sent online."""

    kind: str
    """What all rows of its job have in common, such as the model."""
    body: bytes = attrs.field(repr=False)
    """Body of the request, as JSON."""


@attrs.frozen
class NativeLook:
    """What the provider says about a job."""

    outcome: Outcome | None
    """How it ended; None: it has not."""
    done: int = 0
    """Rows that are done, as far as the provider says so."""
    message: str = ""
    """The provider's words about a job that failed."""


@attrs.frozen
class NativeAnswer:
    """The answer to one row."""

    key: str
    """Name of the row."""
    status: int
    """HTTP status that the answer would have online."""
    body: str = attrs.field(repr=False)
    """Body of the answer, as JSON."""


class NativeBatch(Protocol):
    """Makes, watches and reads the jobs of one provider's batch API, for one strategy, which must be prepared.

    Every coroutine makes at most a few HTTP requests, is bounded in time by its caller, and raises the exceptions of the provider's
    package, which the strategy's `error_classifier` knows. None repeats a request. Cancelling one leaves open what the provider does.
    """

    limits: JobLimits
    """What one job may hold."""
    policy: JobPolicy
    """Whether rows are uploaded first, and whether the provider shows markers."""
    title: str
    """The provider's name, for people."""

    async def request(self, prompt: Prompt) -> NativeRequest:
        """Return the request that the strategy would send online for a prompt; nothing is sent.

        Raises:
            Exception: The strategy cannot send it.
        """
        ...

    def line(self, key: str, request: NativeRequest) -> bytes:
        """Return the row of a job: a line of JSON with its line end.

        Args:
            key: Name of the row: letters, digits, `-` and `_`, up to 64.
            request: What is asked.
        """
        ...

    async def upload(self, marker: str, lines: Sequence[bytes]) -> str:
        """Give the rows of a job to the provider; return its name for them. Called only if `policy.has_upload`."""
        ...

    async def create(self, marker: str, kind: str, rows: str, lines: Sequence[bytes]) -> str:
        """Create a job; return the provider's name for it.

        Args:
            marker: Our name for it, which the provider shows if it can.
            kind: What its rows have in common.
            rows: What `upload` returned.
            lines: The rows themselves, if there is no upload.
        """
        ...

    async def find(self, marker: str, rows: int, since: float) -> Sequence[str]:
        """Return the provider's names of the jobs with a marker; without markers, of those with as many rows, created since a time.

        Args:
            marker: Our name for the job.
            rows: Number of its rows.
            since: Wall-clock time in seconds since 1970.
        """
        ...

    async def look(self, name: str) -> NativeLook:
        """Return what the provider says about a job.

        Raises:
            LookupError: The provider does not have it.
        """
        ...

    async def cancel(self, name: str) -> None:
        """Ask the provider to cancel a job; one that has ended already is left as it is."""
        ...

    async def answers(self, name: str, store: Callable[[Sequence[NativeAnswer]], Awaitable[None]]) -> None:
        """Pass on all answers of a job that has ended, whatever its end, some at a time and in any order.

        Rows that the provider has not answered, and does not bill, are left out.
        """
        ...

    def replayed(self, status: int, body: str) -> AbstractContextManager[Any]:
        """Within the block, the strategy's calls of the current task are answered with this, instead of being sent."""
        ...
