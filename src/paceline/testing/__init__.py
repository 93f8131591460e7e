"""A simulated provider: for tests, benchmarks, the demo, and users' own tests.

In virtual time a batch of five minutes takes a second. On trio:

    from trio.testing import MockClock

    provider = SimulatedProvider(Service(limits=(TokenBucket(100, 200),)))
    trio.run(main, SimulatedStrategy(provider), clock=MockClock(autojump_threshold=0))
    assert provider.statistics().refused == 0

It keeps time by the event loop's clock alone, so any other virtual clock, of trio or of asyncio, does as well.
"""

from .journals import check_journal as check_journal
from .limits import ConcurrencyCap as ConcurrencyCap
from .limits import FixedWindow as FixedWindow
from .limits import Limit as Limit
from .limits import TokenBucket as TokenBucket
from .model_string import parse_model as parse_model
from .provider import ProviderStatistics as ProviderStatistics
from .provider import SimulatedProvider as SimulatedProvider
from .reply import Reply as Reply
from .reply import SimulatedError as SimulatedError
from .reply import SimulatedResponse as SimulatedResponse
from .service import Service as Service
from .strategy import SimulatedStrategy as SimulatedStrategy
from .virtual_loop import HangError as HangError
from .virtual_loop import VirtualTimeLoop as VirtualTimeLoop

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
