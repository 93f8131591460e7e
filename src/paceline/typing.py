"""Types that paceline returns or accepts, and that a program rarely constructs: for annotations.

A type checker takes `WorkItemResult` for a union of results with an output and results with a fault: after `if result.success:` the type of
`result.output` is that of the strategy, without None. (pyright narrows by `result.success is True` or `result.error is None`.) Code that is
type-checked constructs a result with `make_result`.
"""

from ._core.accounting import ModelUse as ModelUse
from ._core.budget import Spent as Spent
from ._core.connections import Connections as Connections
from ._core.fault import FaultReason as FaultReason
from ._core.fault_groups import FaultGroup as FaultGroup
from ._core.forecast import Forecast as Forecast
from ._core.forecast import StepForecast as StepForecast
from ._core.limitation import Limitation as Limitation
from ._core.limitation import LimitBasis as LimitBasis
from ._core.limitation import LimitReason as LimitReason
from ._core.pace import Abandoned as Abandoned
from ._core.pace import Excused as Excused
from ._core.pace import Faulted as Faulted
from ._core.pace import PaceChange as PaceChange
from ._core.pace import PaceKnowledge as PaceKnowledge
from ._core.pace import PaceStatistics as PaceStatistics
from ._core.pace import Served as Served
from ._core.pace import Signal as Signal
from ._core.pace import Throttled as Throttled
from ._core.progress import RunProgress as RunProgress
from ._core.prompt import Prompt as Prompt
from ._core.ranges import Range as Range
from ._core.results import Attempt as Attempt
from ._core.results import make_result as make_result
from ._core.retry import Backoff as Backoff
from ._engine.lanes.learned import NewPace as NewPace
from ._engine.lanes.statistics import ProcessorStatistics as ProcessorStatistics
from .abc import Tokens as Tokens
from .progress import ProgressOption as ProgressOption

__all__ = [
    "Abandoned",
    "Attempt",
    "Backoff",
    "Connections",
    "Excused",
    "FaultGroup",
    "FaultReason",
    "Faulted",
    "Forecast",
    "LimitBasis",
    "LimitReason",
    "Limitation",
    "ModelUse",
    "NewPace",
    "PaceChange",
    "PaceKnowledge",
    "PaceStatistics",
    "ProcessorStatistics",
    "ProgressOption",
    "Prompt",
    "Range",
    "RunProgress",
    "Served",
    "Signal",
    "Spent",
    "StepForecast",
    "Throttled",
    "Tokens",
    "make_result",
]
