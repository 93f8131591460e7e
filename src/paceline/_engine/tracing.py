"""Tracing: what the engine reports of batches, items and calls while they happen, to one observer that stands beside them.

1. An observer of events receives them later, in a task of its own. A tracer is called at once, in the task that starts or ends a thing, so that
   what a call does is done inside its span. Its methods are not coroutines, and must neither block nor raise.
2. A tracer that is not `is_on` when its pool is opened costs nothing: it is not called.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

from .._core.fault import Fault
from .._core.pace import PaceChange
from .._core.results import BatchResult, WorkItemResult
from .._core.usage import TokenUsage
from ..abc import BaseObserver, LLMCallStrategy, LLMWorkItem


class ItemTrace(Protocol):
    """One item, from its acceptance to its result."""

    def start_call(self, strategy: LLMCallStrategy[Any], quota: str, number: int, prompt: Any) -> None:
        """A call starts in this task."""
        ...

    def leave_call(self, *, is_cancelled: bool) -> None:
        """The call has ended in this task; `is_cancelled`: by a cancellation, so that nothing else becomes of it."""
        ...

    def end_call(self, usage: TokenUsage, cost: float | None, fault: Fault | None) -> None:
        """It is known what the call came to."""
        ...

    def settle(self, result: WorkItemResult[Any]) -> None:
        """The item has its result."""
        ...


class BatchTrace(Protocol):
    """One batch; or the single calls of a pool, which are no batch."""

    def accept(self, item: LLMWorkItem[Any]) -> ItemTrace:
        """An item was accepted, in the task of whoever submits it or reads the source."""
        ...

    def end(self, result: BatchResult[Any] | None) -> None:
        """The batch has ended; None: it has failed or was cancelled."""
        ...


class Tracer(BaseObserver):
    """Is called when a batch, an item or a call starts and ends."""

    @property
    @abstractmethod
    def is_on(self) -> bool:
        """Whether anything receives what it makes."""

    @abstractmethod
    def submit(self, item: LLMWorkItem[Any]) -> None:
        """An item is submitted by the running task, to be accepted later."""

    @abstractmethod
    def start_batch(self) -> BatchTrace:
        """A batch starts, in a task with the context of whoever started it."""

    @abstractmethod
    def single_calls(self) -> BatchTrace:
        """Return what single calls are reported to."""

    @abstractmethod
    def change_pace(self, quota: str, change: PaceChange) -> None:
        """The pace of a lane has changed."""
