"""What the engine leans on: the controller of a lane's pace, and the journal."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .._core.outcome import WorkItemResult
    from .._core.pace import PaceChange, PaceKnowledge, PaceStatistics, Signal
    from .._core.price import Price
    from ..work import LLMWorkItem


class RateLimitObserver(Protocol):
    """The controller of one lane: hears every call's start and end, and answers with the pace.

    Times are seconds of a clock that does not go back. A cost is the tokens that a call is expected to use, input and
    output together; every call is one request besides.

    A processor's `pace` makes one for each quota: it is called with what is known of the quota, or None. There the time at
    which it was learned is one of that same clock.
    """

    @property
    def limit(self) -> int:
        """How many calls may be in flight."""
        ...

    @property
    def rate(self) -> float:
        """Calls a second; inf while none is enforced."""
        ...

    @property
    def token_rate(self) -> float:
        """Tokens a second; inf while none is enforced."""
        ...

    @property
    def history(self) -> Sequence[PaceChange]:
        """The latest changes of the pace, explained; bounded."""
        ...

    def admit_at(self, now: float, cost: float) -> float:
        """Return when a call may start: `now` or before, a later time, or inf: not before one settles."""
        ...

    def started(self, now: float, cost: float) -> Any:
        """Count a call that starts; return a ticket that `settled` is given back."""
        ...

    def settled(self, ticket: Any, now: float, signal: Signal) -> None:
        """Count the call's end, once for each ticket."""
        ...

    def statistics(self) -> PaceStatistics:
        """Return a snapshot."""
        ...

    def knowledge(self, now: float) -> PaceKnowledge | None:
        """Return what was learned, to be given to a later controller of the same quota; None: nothing yet.

        Its `learned` is `now`: whoever saves it puts the time of the wall in its place.
        """
        ...


class Journal(Protocol):
    """Keeps the results of a batch. `paceline.journal` has one in a file.

    Used by one processor at a time: opened when that is entered, closed when it is left. What it raises but `JournalError` is
    taken for a bug of its.
    """

    async def open(self, *, share: bool = True) -> Mapping[str, PaceKnowledge]:
        """Make ready; return what was known of quotas when it was last written.

        Args:
            share: whether an item may have the result of another with the same prompt. Not so where a middleware sees items
                before they are called: it may make other prompts of the same.
        """
        ...

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return what two items have in common of which one needs no call of its own; None: each needs its own.

        Asked when the item has been recalled.
        """
        ...

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Take note of items; return for each the result that is kept of it, or None: it is to be called.

        Raises:
            JournalChangedError: one of them is not what it was.
        """
        ...

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Keep results, with what their attempts cost; all or none. Of a pending one only the attempts.

        Args:
            results: of items that were recalled before.
            prices: of models, by name, as far as they are known.

        Raises:
            JournalError: they are not kept. It may be called with them again.
        """
        ...

    async def note(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Keep what the pace did, and what was learned.

        Args:
            changes: each with its quota; their times are seconds since the batch began.
            knowledge: of quotas, by name.

        Raises:
            JournalError: it is not kept, which loses no result.
        """
        ...

    async def close(self) -> None:
        """Let go of what `open` made."""
        ...
