"""A simulated provider, and virtual time: for tests, benchmarks, demos, and users' own tests.

In virtual time a batch of five minutes takes a second. On trio:

    from trio.testing import MockClock

    provider = SimulatedProvider(Service(limits=(TokenBucket(100, 200),)))
    trio.run(main, SimulatedStrategy(provider), clock=MockClock(autojump_threshold=0))
    assert provider.statistics().refused == 0

On asyncio, use `VirtualTimeLoop`. A provider reads only the event loop's clock, so any other virtual clock works as well.
"""

from .journal_conformance import check_journal as check_journal
from .limits import ConcurrencyCap as ConcurrencyCap
from .limits import FixedWindow as FixedWindow
from .limits import Limit as Limit
from .limits import TokenBucket as TokenBucket
from .models import SimulatedStrategy as SimulatedStrategy
from .models import parse_model as parse_model
from .provider import ProviderStatistics as ProviderStatistics
from .provider import SimulatedProvider as SimulatedProvider
from .replies import Reply as Reply
from .replies import SimulatedError as SimulatedError
from .replies import SimulatedResponse as SimulatedResponse
from .service import Service as Service
from .virtual_time import HangError as HangError
from .virtual_time import VirtualTimeLoop as VirtualTimeLoop

__all__ = [
    "ConcurrencyCap",
    "FixedWindow",
    "HangError",
    "Limit",
    "ProviderStatistics",
    "Reply",
    "Service",
    "SimulatedError",
    "SimulatedProvider",
    "SimulatedResponse",
    "SimulatedStrategy",
    "TokenBucket",
    "VirtualTimeLoop",
    "check_journal",
    "parse_model",
]
