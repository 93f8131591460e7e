"""Every exception of paceline. `PacelineError` is the root of all but `Skip`, which a middleware raises to skip an item."""

from ._core.exceptions import BudgetError as BudgetError
from ._core.exceptions import Busy as Busy
from ._core.exceptions import CallError as CallError
from ._core.exceptions import ConfigurationError as ConfigurationError
from ._core.exceptions import DuplicateItemError as DuplicateItemError
from ._core.exceptions import IllegalTransitionError as IllegalTransitionError
from ._core.exceptions import InvalidOutputError as InvalidOutputError
from ._core.exceptions import InvalidWorkItemError as InvalidWorkItemError
from ._core.exceptions import JournalChangedError as JournalChangedError
from ._core.exceptions import JournalError as JournalError
from ._core.exceptions import JournalInUseError as JournalInUseError
from ._core.exceptions import MissingExtraError as MissingExtraError
from ._core.exceptions import MissingKeyError as MissingKeyError
from ._core.exceptions import MisuseError as MisuseError
from ._core.exceptions import PacelineError as PacelineError
from ._core.exceptions import RateLimitError as RateLimitError
from ._core.exceptions import Skip as Skip
from ._core.results import SourceError as SourceError
from ._core.results import UnsavedError as UnsavedError

__all__ = [
    "BudgetError",
    "Busy",
    "CallError",
    "ConfigurationError",
    "DuplicateItemError",
    "IllegalTransitionError",
    "InvalidOutputError",
    "InvalidWorkItemError",
    "JournalChangedError",
    "JournalError",
    "JournalInUseError",
    "MissingExtraError",
    "MissingKeyError",
    "MisuseError",
    "PacelineError",
    "RateLimitError",
    "Skip",
    "SourceError",
    "UnsavedError",
]
