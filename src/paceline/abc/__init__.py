"""Ports: every place where an application or another library can plug its own code into paceline.

    LLMWorkItem       one prompt with an id, and the strategy that answers it
    ErrorClassifier   turns an exception of a strategy into a `Fault`; DefaultErrorClassifier is the default
    LLMCallStrategy   makes one call to a model
    Ladder            strategies from the cheapest to the most capable, climbed by the engine
    Middleware        sees every item before its first call and every result, and may replace them
    BaseObserver      receives the events of a batch
    Journal           stores results, so that an interrupted batch can be resumed
    NativeBatch       makes, watches and reads the jobs of a provider's batch API
    RateController    decides when a call of one lane may start

Rules that hold for all ports:

1. Coroutines are awaited on the processor's event loop and must not block it. Methods that are not coroutines run between two
   steps of the event loop and must return at once.
2. Times are seconds and token counts are whole calls (input and output together), unless a docstring says otherwise.
3. Cancellation must pass: a coroutine that catches the cancellation exception of trio or asyncio must raise it again.
4. Every coroutine of a middleware or an observer, `on_error` and `cleanup` get `ProcessorConfig.hook_timeout` seconds; one that
   takes longer is cancelled and treated as if it had raised TimeoutError.
"""

from .classifier import DefaultErrorClassifier, ErrorClassifier
from .hooks import BaseObserver, Middleware
from .journal import Journal
from .native_batch import NativeAnswer, NativeBatch, NativeLook, NativeRequest
from .rate_controller import RateController, RateLimitObserver
from .strategy import Ladder, LLMCallStrategy, Tokens
from .work_item import LLMWorkItem

__all__ = [
    "BaseObserver",
    "DefaultErrorClassifier",
    "ErrorClassifier",
    "Journal",
    "LLMCallStrategy",
    "LLMWorkItem",
    "Ladder",
    "Middleware",
    "NativeAnswer",
    "NativeBatch",
    "NativeLook",
    "NativeRequest",
    "RateController",
    "RateLimitObserver",
    "Tokens",
]
