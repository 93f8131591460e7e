"""A simulated provider, virtual time, a recorder of events, and tests of strategies and journals: for users' own tests.

In virtual time a batch of five minutes takes a second, on trio and on asyncio:

    provider = SimulatedProvider(Service(limits=(TokenBucket(100, 200),)))
    run_in_virtual_time(main, SimulatedStrategy(provider))
    assert provider.statistics().refused == 0

A provider reads only the event loop's clock, so any other virtual clock works as well: a `MockClock` of trio's, or a `VirtualTimeLoop`.
Fixtures for pytest are in `paceline.testing.pytest_plugin`.
"""

from .journal_conformance import check_journal as check_journal
from .limits import ConcurrencyCap as ConcurrencyCap
from .limits import FixedWindow as FixedWindow
from .limits import Limit as Limit
from .limits import TokenBucket as TokenBucket
from .models import SimulatedStrategy as SimulatedStrategy
from .models import parse_model as parse_model
from .native_jobs import NativeService as NativeService
from .native_jobs import NativeStatistics as NativeStatistics
from .native_server import NativeServer as NativeServer
from .provider import ProviderStatistics as ProviderStatistics
from .provider import SimulatedProvider as SimulatedProvider
from .recorder import EventRecorder as EventRecorder
from .replies import Reply as Reply
from .replies import SimulatedError as SimulatedError
from .replies import SimulatedResponse as SimulatedResponse
from .service import Service as Service
from .strategy_conformance import StrategyConformance as StrategyConformance
from .strategy_conformance import check_strategy as check_strategy
from .virtual_time import HangError as HangError
from .virtual_time import VirtualTimeLoop as VirtualTimeLoop
from .virtual_time import run_in_virtual_time as run_in_virtual_time

__all__ = [
    "ConcurrencyCap",
    "EventRecorder",
    "FixedWindow",
    "HangError",
    "Limit",
    "NativeServer",
    "NativeService",
    "NativeStatistics",
    "ProviderStatistics",
    "Reply",
    "Service",
    "SimulatedError",
    "SimulatedProvider",
    "SimulatedResponse",
    "SimulatedStrategy",
    "StrategyConformance",
    "TokenBucket",
    "VirtualTimeLoop",
    "check_journal",
    "check_strategy",
    "parse_model",
    "run_in_virtual_time",
]
