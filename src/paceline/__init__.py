"""Large batches of LLM calls at the provider's own pace: trio-first, nothing to tune, nothing lost.

    batch = paceline.run_prompts(strategy, prompts)          # from a script
    batch = await paceline.process_prompts(strategy, prompts)
    async with paceline.open_stream(strategy, prompts) as results: ...
    async with paceline.ParallelBatchProcessor() as processor: ...

Strategies for providers are in `paceline.llm_strategies`, a simulated provider in `paceline.testing`.
"""

from importlib.metadata import version as _version

from ._core.accounting import Price as Price
from ._core.config import ProcessorConfig as ProcessorConfig
from ._core.escalation import EscalationPolicy as EscalationPolicy
from ._core.exceptions import CallError as CallError
from ._core.exceptions import ConfigurationError as ConfigurationError
from ._core.exceptions import DuplicateItemError as DuplicateItemError
from ._core.exceptions import InvalidOutputError as InvalidOutputError
from ._core.exceptions import InvalidWorkItemError as InvalidWorkItemError
from ._core.exceptions import JournalChangedError as JournalChangedError
from ._core.exceptions import JournalError as JournalError
from ._core.exceptions import JournalInUseError as JournalInUseError
from ._core.exceptions import MissingExtraError as MissingExtraError
from ._core.exceptions import MissingKeyError as MissingKeyError
from ._core.exceptions import MisuseError as MisuseError
from ._core.exceptions import PacelineError as PacelineError
from ._core.exceptions import Problem as Problem
from ._core.exceptions import RateLimitError as RateLimitError
from ._core.exceptions import Skip as Skip
from ._core.fault import Fault as Fault
from ._core.fault import FaultKind as FaultKind
from ._core.pace import PaceKnowledge as PaceKnowledge
from ._core.prompt import Media as Media
from ._core.prompt import Prompt as Prompt
from ._core.quota import QuotaHint as QuotaHint
from ._core.quota import QuotaLimit as QuotaLimit
from ._core.request import Request as Request
from ._core.results import Attempt as Attempt
from ._core.results import BatchResult as BatchResult
from ._core.results import SourceError as SourceError
from ._core.results import UnsavedError as UnsavedError
from ._core.results import WorkItemResult as WorkItemResult
from ._core.retry import Backoff as Backoff
from ._core.retry import RetryPolicy as RetryPolicy
from ._core.usage import TokenUsage as TokenUsage
from ._engine.outlets import ResultStream as ResultStream
from ._engine.tally import ProcessorStatistics as ProcessorStatistics
from .abc import BaseObserver as BaseObserver
from .abc import DefaultErrorClassifier as DefaultErrorClassifier
from .abc import ErrorClassifier as ErrorClassifier
from .abc import Journal as Journal
from .abc import LLMCallStrategy as LLMCallStrategy
from .abc import LLMWorkItem as LLMWorkItem
from .abc import Middleware as Middleware
from .abc import RateController as RateController
from .abc import RateLimitObserver as RateLimitObserver
from .llm_strategies.callable import CallableStrategy as CallableStrategy
from .llm_strategies.escalation import ModelEscalation as ModelEscalation
from .llm_strategies.feedback import ValidationFeedback as ValidationFeedback
from .llm_strategies.registry import model as model
from .processor import ParallelBatchProcessor as ParallelBatchProcessor
from .prompts import open_stream as open_stream
from .prompts import process_prompts as process_prompts
from .prompts import run_prompts as run_prompts

__version__ = _version("paceline")

__all__ = [
    "Attempt",
    "Backoff",
    "BaseObserver",
    "BatchResult",
    "CallError",
    "CallableStrategy",
    "ConfigurationError",
    "DefaultErrorClassifier",
    "DuplicateItemError",
    "ErrorClassifier",
    "EscalationPolicy",
    "Fault",
    "FaultKind",
    "InvalidOutputError",
    "InvalidWorkItemError",
    "Journal",
    "JournalChangedError",
    "JournalError",
    "JournalInUseError",
    "LLMCallStrategy",
    "LLMWorkItem",
    "Media",
    "Middleware",
    "MissingExtraError",
    "MissingKeyError",
    "MisuseError",
    "ModelEscalation",
    "PaceKnowledge",
    "PacelineError",
    "ParallelBatchProcessor",
    "Price",
    "Problem",
    "ProcessorConfig",
    "ProcessorStatistics",
    "Prompt",
    "QuotaHint",
    "QuotaLimit",
    "RateController",
    "RateLimitError",
    "RateLimitObserver",
    "Request",
    "ResultStream",
    "RetryPolicy",
    "Skip",
    "SourceError",
    "TokenUsage",
    "UnsavedError",
    "ValidationFeedback",
    "WorkItemResult",
    "__version__",
    "model",
    "open_stream",
    "process_prompts",
    "run_prompts",
]

for _name in __all__:  # in reprs and tracebacks a thing is called by the name that it is imported by
    if hasattr(globals()[_name], "__qualname__"):
        globals()[_name].__module__ = __name__
