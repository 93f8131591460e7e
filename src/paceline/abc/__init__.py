"""The ports: what users and adapters implement, and what the engine calls.

LLMCallStrategy      makes one call to a model
Ladder               is climbed by the items of a strategy that has one
ErrorClassifier      says which fault an exception is
Middleware           sees each item before, each result after, each retry
BaseObserver         is told what happens
RateLimitObserver    hears every call's start and end, and answers with the pace
Journal              keeps results, so that none is lost, and none paid for twice
"""

from .hooks import BaseObserver as BaseObserver
from .hooks import Middleware as Middleware
from .services import Journal as Journal
from .services import RateLimitObserver as RateLimitObserver
from .strategy import DefaultErrorClassifier as DefaultErrorClassifier
from .strategy import ErrorClassifier as ErrorClassifier
from .strategy import Ladder as Ladder
from .strategy import LLMCallStrategy as LLMCallStrategy
from .strategy import Tokens as Tokens

__all__ = [
    "BaseObserver",
    "DefaultErrorClassifier",
    "ErrorClassifier",
    "Journal",
    "LLMCallStrategy",
    "Ladder",
    "Middleware",
    "RateLimitObserver",
    "Tokens",
]
