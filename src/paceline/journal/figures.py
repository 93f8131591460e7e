"""Figures: what a journal says of a batch in numbers, of its runs, and of the changes of its pace."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Counts:
    """How many items of a batch are settled, and how."""

    total: int
    """Items in the input: registered, and not gone."""
    succeeded: int
    """Items with an output."""
    failures: Mapping[str, int]
    """Items that are settled without an output, by kind of fault."""
    refusals: int
    """Throttled calls of settled items."""
    last: int
    """Number of the latest result; 0 if there is no result."""

    @property
    def settled(self) -> int:
        """Items with a result."""
        return self.succeeded + sum(self.failures.values())

    @property
    def pending(self) -> int:
        """Items without a result."""
        return self.total - self.settled


@attrs.frozen(kw_only=True)
class RunRecord:
    """One run on the journal."""

    run: int
    """Number of the run, from 1."""
    pid: int
    """Process id."""
    version: str
    """Version of paceline."""
    began: float
    """Wall-clock time of the start, in seconds since 1970."""
    ended: float | None
    """Wall-clock time of the end; None if the run is active or was killed."""


@attrs.frozen
class ItemUse:
    """What all calls of a settled item have taken of one model."""

    id: str
    """Id of the item."""
    model: str
    """Name of the model; of a model without one, the lane."""
    calls: int
    """Calls, failed ones included."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    """USD; None: the price of a call was not known."""
    seconds: float
    """Duration of the calls, added up."""


@attrs.frozen
class LimitEntry:
    """What limits a batch from one moment on."""

    run: int
    """Number of the run."""
    at: float
    """Seconds since the batch started."""
    quota: str | None
    """Quota key of the lane that is held back; None: the reason is not a lane's."""
    reason: str
    """What limits the batch: a value of `LimitReason`, or of a later version's; `ended`: the batch has ended."""
    basis: str | None
    """How a limit of the provider is known: a value of `LimitBasis`; None: it is not a provider's."""


@attrs.frozen
class PaceEntry:
    """One change of the pace."""

    run: int
    """Number of the run."""
    at: float
    """Seconds since the batch started."""
    quota: str
    """Quota key of the lane."""
    handle: str
    """What changed: see `PaceChanged.handle`."""
    old: float | None
    """Value before; None for no limit."""
    new: float | None
    """Value after; None for no limit."""
    reason: str
    """Why it changed, in a sentence."""
