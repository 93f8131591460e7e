"""PoolThread: a pool in a thread with an event loop of its own, whose calls any other event loop may await.

A framework that runs event loops of its own offers no place in which a pool could be entered and left, and may run several, one after the
other. Rules owned here:

1. The thread runs trio, in which a pool and a nursery with all calls are open. Closing cancels the calls, leaves both, and joins the
   thread, for a bounded time.
2. The two loops only post to each other, so that neither ever blocks the other.
3. A caller that is cancelled cancels its call, and does not wait for the end of it: the nursery does.
4. What was learned of the pace stays when the pool is closed: the next one begins with it.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

import anyio
import attrs
import trio
from anyio.lowlevel import current_token

from .._core.exceptions import MisuseError
from .._core.pace import PaceKnowledge
from .._core.results import WorkItemResult
from ..abc import LLMCallStrategy
from ..pool import Pool, open_pool

_PATIENCE = 10.0  # seconds for the cleanup of strategies and for the thread to end: three times what an open connection takes to close
_MANY = 1_000_000  # calls that may wait: the framework holds their prompts already, and bounds their number
_CLOSED = "the pool was closed while the call ran"

Post = Callable[[Callable[[], object]], object]


@attrs.define(eq=False)
class _Call:
    """A call, as both loops see it."""

    make: Callable[[Pool], Any]
    post: Post
    """Runs a function in the loop of the caller."""
    done: anyio.Event
    result: WorkItemResult[Any] | None = None
    error: BaseException | None = None
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self, pool: Pool) -> None:
        """Make the call in the pool's loop, and report to the caller."""
        try:
            with self._scope:
                self.result = await self.make(pool)
        except Exception as error:  # noqa: BLE001 - it is raised at the caller
            self.error = error
        finally:
            self.report()

    def report(self) -> None:
        """Wake the caller."""
        with suppress(RuntimeError):  # the caller's loop has ended, and the caller with it
            self.post(self.done.set)

    def cancel(self) -> None:
        """Cancel the call, in the pool's loop; also before it began, or after it has ended."""
        self._scope.cancel()

    def outcome(self) -> WorkItemResult[Any]:
        """Return the result or raise the exception, in the caller's loop."""
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise MisuseError(_CLOSED)
        return self.result


class PoolThread:
    """A pool in a thread of its own, which starts with the first call and ends with `close`, or with the program."""

    def __init__(self, **options: Any) -> None:
        """Remember the arguments of `open_pool`; nothing is opened."""
        self._options = options
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery
        self._pool: Pool
        self._failure: BaseException | None = None
        self._knowledge: dict[str, PaceKnowledge] = {}

    async def call(
        self, strategy: LLMCallStrategy[Any], prompt: Any, *, timeout: float | None = None
    ) -> WorkItemResult[Any]:
        """Answer one prompt, as `Pool.call` does; from any event loop of trio or asyncio. Cancelling it cancels the call.

        Raises:
            MisuseError: The pool was closed meanwhile.
            PacelineError: As for `Pool.call`.
        """
        await anyio.lowlevel.checkpoint()
        call = _Call(lambda pool: pool.call(strategy, prompt, timeout=timeout), _post_to_this_loop(), anyio.Event())
        token = self._open()
        try:
            token.run_sync_soon(self._start, call)
            await call.done.wait()
        except trio.RunFinishedError:
            raise MisuseError(_CLOSED) from None
        finally:
            if not call.done.is_set():
                self._cancel(call, token)
        return call.outcome()

    def close(self) -> None:
        """Cancel what runs, leave the pool and end the thread. Closing twice is harmless; a call afterwards opens a new one."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            atexit.unregister(self.close)
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._nursery.cancel_scope.cancel)
            thread.join(_PATIENCE)

    def _open(self) -> trio.lowlevel.TrioToken:
        """Start the thread unless it runs, and return the token of its loop."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return self._token
            started = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(started,), name="paceline", daemon=True)
            self._thread.start()
            started.wait()  # entering a pool without a journal takes less than a millisecond
            if self._failure is not None:
                self._thread = None
                raise self._failure
            atexit.register(self.close)  # a daemon would be stopped with its connections open
            return self._token

    def _run(self, started: threading.Event) -> None:
        self._failure = None
        try:
            trio.run(self._main, started)
        except BaseException as error:  # noqa: BLE001 - raised by `_open`, if it waits; each call has its own
            self._failure = error
        finally:
            started.set()

    async def _main(self, started: threading.Event) -> None:
        async with open_pool(
            max_waiting=_MANY, max_waiting_bytes=2**62, knowledge=self._knowledge, **self._options
        ) as pool:
            async with trio.open_nursery() as nursery:
                self._pool, self._nursery, self._token = pool, nursery, trio.lowlevel.current_trio_token()
                started.set()
                await trio.sleep(inf)
            self._knowledge = pool.knowledge()

    def _start(self, call: _Call) -> None:
        if self._nursery.cancel_scope.cancel_called:  # it was closed after the call was posted
            call.report()
        else:
            self._nursery.start_soon(call.run, self._pool)

    @staticmethod
    def _cancel(call: _Call, token: trio.lowlevel.TrioToken) -> None:
        with suppress(trio.RunFinishedError):  # nothing is left to cancel
            token.run_sync_soon(call.cancel)


def _post_to_this_loop() -> Post:
    """Return a function that runs another one in the event loop of the caller, from any thread, without waiting for it."""
    token: Any = current_token().native_token
    return token.run_sync_soon if isinstance(token, trio.lowlevel.TrioToken) else token.call_soon_threadsafe
