"""Large batches of LLM calls at the provider's own pace: trio-first, nothing to tune, nothing lost.

    batch = paceline.run_prompts(strategy, prompts)          # from a script
    batch = await paceline.process_prompts(strategy, prompts)
    async with paceline.open_stream(strategy, prompts) as results: ...
    async with paceline.ParallelBatchProcessor() as processor: ...
    async with paceline.open_pool() as pool: ...             # single calls and batches, from any number of tasks

The rest is in modules of its own:

    paceline.llm_strategies   strategies for Gemini, OpenAI and Anthropic, ladders of models, feedback on invalid answers
    paceline.files            reading prompts from files, and writing results to files
    paceline.runs             a run from file to file, as the command line does it
    paceline.contrib          models for inspect_ai and lm_eval
    paceline.journal          results on disk, so that an interrupted batch can be resumed
    paceline.abc              the ports: what an application or another library may implement
    paceline.observers        the events that observers receive
    paceline.exceptions       every exception
    paceline.typing           types that are returned, and rarely constructed
    paceline.testing          a simulated provider, and tests of your own strategies and journals
"""

from importlib import import_module
from typing import TYPE_CHECKING
from warnings import warn

from ._public import load

if TYPE_CHECKING:
    from ._core.accounting import Price as Price
    from ._core.budget import Budget as Budget
    from ._core.config import ProcessorConfig as ProcessorConfig
    from ._core.fault import Fault as Fault
    from ._core.fault import FaultKind as FaultKind
    from ._core.prompt import Media as Media
    from ._core.request import Request as Request
    from ._core.results import BatchResult as BatchResult
    from ._core.results import WorkItemResult as WorkItemResult
    from ._core.retry import RetryPolicy as RetryPolicy
    from ._core.usage import TokenUsage as TokenUsage
    from ._engine.results.delivery import ResultStream as ResultStream
    from .abc import LLMCallStrategy as LLMCallStrategy
    from .abc import LLMWorkItem as LLMWorkItem
    from .exceptions import CallError as CallError
    from .exceptions import InvalidOutputError as InvalidOutputError
    from .exceptions import PacelineError as PacelineError
    from .exceptions import RateLimitError as RateLimitError
    from .llm_strategies.callable import CallableStrategy as CallableStrategy
    from .llm_strategies.registry import model as model
    from .pool import Pool as Pool
    from .pool import open_pool as open_pool
    from .processor import ParallelBatchProcessor as ParallelBatchProcessor
    from .prompts import open_stream as open_stream
    from .prompts import process_prompts as process_prompts
    from .prompts import run_prompts as run_prompts

    __version__: str

__all__ = [
    "BatchResult",
    "Budget",
    "CallError",
    "CallableStrategy",
    "Fault",
    "FaultKind",
    "InvalidOutputError",
    "LLMCallStrategy",
    "LLMWorkItem",
    "Media",
    "PacelineError",
    "ParallelBatchProcessor",
    "Pool",
    "Price",
    "ProcessorConfig",
    "RateLimitError",
    "Request",
    "ResultStream",
    "RetryPolicy",
    "TokenUsage",
    "WorkItemResult",
    "__version__",
    "model",
    "open_pool",
    "open_stream",
    "process_prompts",
    "run_prompts",
]

_HOMES = {
    "BatchResult": "_core.results",
    "Budget": "_core.budget",
    "CallError": "exceptions",
    "CallableStrategy": "llm_strategies.callable",
    "Fault": "_core.fault",
    "FaultKind": "_core.fault",
    "InvalidOutputError": "exceptions",
    "LLMCallStrategy": "abc",
    "LLMWorkItem": "abc",
    "Media": "_core.prompt",
    "PacelineError": "exceptions",
    "ParallelBatchProcessor": "processor",
    "Pool": "pool",
    "Price": "_core.accounting",
    "ProcessorConfig": "_core.config",
    "RateLimitError": "exceptions",
    "Request": "_core.request",
    "ResultStream": "_engine.results.delivery",
    "RetryPolicy": "_core.retry",
    "TokenUsage": "_core.usage",
    "WorkItemResult": "_core.results",
    "model": "llm_strategies.registry",
    "open_pool": "pool",
    "open_stream": "prompts",
    "process_prompts": "prompts",
    "run_prompts": "prompts",
}
"""Each name's module. It is loaded when the name is first used, so that `paceline --help` need not load the engine."""

_MODULES = {"abc", "exceptions", "files", "journal", "llm_strategies", "observers", "runs", "testing", "typing"}
"""Public modules, found as attributes without an import of their own: `except paceline.exceptions.JournalError`."""

_MOVED = {
    "Attempt": "typing",
    "Backoff": "typing",
    "BaseObserver": "abc",
    "ConfigurationError": "exceptions",
    "DefaultErrorClassifier": "abc",
    "DuplicateItemError": "exceptions",
    "ErrorClassifier": "abc",
    "EscalationPolicy": "llm_strategies",
    "InvalidWorkItemError": "exceptions",
    "Journal": "abc",
    "JournalChangedError": "exceptions",
    "JournalError": "exceptions",
    "JournalInUseError": "exceptions",
    "Middleware": "abc",
    "MissingExtraError": "exceptions",
    "MissingKeyError": "exceptions",
    "MisuseError": "exceptions",
    "ModelEscalation": "llm_strategies",
    "PaceKnowledge": "typing",
    "Problem": "llm_strategies",
    "ProcessorStatistics": "typing",
    "Prompt": "typing",
    "QuotaHint": "llm_strategies",
    "QuotaLimit": "llm_strategies",
    "RateController": "abc",
    "RateLimitObserver": "abc",
    "Skip": "exceptions",
    "SourceError": "exceptions",
    "UnsavedError": "exceptions",
    "ValidationFeedback": "llm_strategies",
}
"""Names that stood here before, and the modules that have them now."""

if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> object:
        value: object
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - slow to import

            value = version("paceline")
        elif name in _MODULES:
            value = import_module(f".{name}", __name__)
        elif name in _MOVED:
            home = f"{__name__}.{_MOVED[name]}"
            warn(f"paceline.{name} has moved: import it from {home}", DeprecationWarning, stacklevel=2)
            return getattr(import_module(home), name)
        else:
            value = load(__name__, _HOMES, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
