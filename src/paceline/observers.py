"""Observers, and the events that they receive."""

from __future__ import annotations

from ._core.events import BatchCompleted as BatchCompleted
from ._core.events import BatchStarted as BatchStarted
from ._core.events import Event as Event
from ._core.events import ItemCompleted as ItemCompleted
from ._core.events import ItemEscalated as ItemEscalated
from ._core.events import ItemFailed as ItemFailed
from ._core.events import ItemRecalled as ItemRecalled
from ._core.events import ItemRetried as ItemRetried
from ._core.events import ItemStarted as ItemStarted
from ._core.events import PaceChanged as PaceChanged
from ._core.events import ProcessingEvent as ProcessingEvent
from ._core.events import RateLimitHit as RateLimitHit
from .abc import BaseObserver as BaseObserver

__all__ = [
    "BaseObserver",
    "BatchCompleted",
    "BatchStarted",
    "Event",
    "ItemCompleted",
    "ItemEscalated",
    "ItemFailed",
    "ItemRecalled",
    "ItemRetried",
    "ItemStarted",
    "PaceChanged",
    "ProcessingEvent",
    "RateLimitHit",
]
