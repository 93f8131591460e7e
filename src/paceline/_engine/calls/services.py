"""Services: what a pool lends to its batches and single calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs
from anyio import Lock

from ..._core.config import ProcessorConfig
from ..._core.pace import PaceKnowledge
from ...abc import Journal
from ..loop.clock import Clock
from .hooks import Hooks

if TYPE_CHECKING:
    from ..lanes.scheduler import Scheduler
    from .strategies import Strategies


@attrs.frozen(eq=False)
class Services:
    """What every task of a pool uses."""

    config: ProcessorConfig
    clock: Clock
    hooks: Hooks
    draw: Callable[[], float]
    """Returns a random number from 0 to 1, for the jitter of waits."""
    scheduler: Scheduler
    strategies: Strategies
    journal: Journal | None
    journal_lock: Lock
    """Held while the journal writes: batches and single calls share it."""
    knowledge: Callable[[], Mapping[str, PaceKnowledge]]
    """Returns what was learned about each quota."""
