"""One thing that is wrong with an output, in words that a model can act upon.

What paceline raises.

    PacelineError
    ├── ConfigurationError (ValueError)     a setting, a model name, a limit
    │   ├── MissingExtraError               an optional package is not installed
    │   └── MissingKeyError                 no credentials were given
    ├── InvalidWorkItemError (ValueError)   a work item that cannot be run
    │   └── DuplicateItemError              its id is already in the batch
    ├── MisuseError (RuntimeError)          a call in the wrong order
    ├── SourceError                         the caller's source of work raised; carries the batch so far
    ├── JournalError                        a journal cannot be read or written
    │   ├── JournalInUseError               somebody else writes it
    │   ├── JournalChangedError             it was begun with other prompts or other settings
    │   └── UnsavedError                    results could not be committed; carries the batch, and them
    ├── IllegalTransitionError              a state machine was given an event it cannot have: a bug of paceline
    └── CallError                           raised by strategies: one call failed, and how
        ├── RateLimitError                  the provider asked for fewer calls
        └── InvalidOutputError              the reply is not of the type that was asked for
    Skip                                    raised by a middleware's before_process: no call for this item

A fault of an item is a value in its result. These exceptions mean misuse, except `CallError` and `Skip`, which users'
code raises to tell the engine something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from .fault import FaultKind
from .quota import QuotaHint
from .usage import NO_USAGE, TokenUsage

if TYPE_CHECKING:
    pass


@attrs.frozen
class Problem:
    """What is wrong, and where."""

    path: str
    """The field, such as `address.city` or `tags[2]`; empty: the whole output."""
    rule: str
    """The rule that was broken, or what was expected."""
    value: str | None = attrs.field(default=None, repr=False)
    """What was given there, as JSON, shortened; None: nothing was."""

    def __str__(self) -> str:
        """Return the path and the rule without the value, which may be private: fit for logs and results."""
        return f"{self.path}: {self.rule}" if self.path else self.rule


_SHOWN_PROBLEMS = 3
_SHOWN_IDS = 20


class PacelineError(Exception):
    """The root of everything that paceline raises by itself. All of it can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[PacelineError], args: tuple[Any, ...], state: dict[str, Any]) -> PacelineError:
    error = kind.__new__(kind, *args)  # not by __init__, whose parameters may be others than `args`
    error.__dict__.update(state)
    return error


class ConfigurationError(PacelineError, ValueError):
    """A setting is wrong; the message names the setting, its value and what would be right."""


class MissingExtraError(ConfigurationError):
    """An optional package is needed and not installed; the message has the command that installs it."""

    def __init__(self, needed_by: str, extra: str) -> None:
        super().__init__(f"{needed_by} needs an optional package; install it with: pip install 'paceline[{extra}]'")
        self.extra = extra


class MissingKeyError(ConfigurationError):
    """No credentials were given; the message says where they are looked for."""


class InvalidWorkItemError(PacelineError, ValueError):
    """A work item cannot be run; the message names the field and its value."""


class DuplicateItemError(InvalidWorkItemError):
    """Two items of one batch have the same id."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"item_id {item_id!r} is already in this batch; ids must be unique")
        self.item_id = item_id


class MisuseError(PacelineError, RuntimeError):
    """A method was called at a time when it cannot be."""


class JournalError(PacelineError):
    """A journal cannot be read or written; the message names the file, and what is wrong with it."""


class JournalInUseError(JournalError):
    """A journal has one writer, and somebody else is it."""

    def __init__(self, path: str, pid: int | None) -> None:
        who = "another process" if pid is None else f"the process {pid}"
        super().__init__(f"{path}: is being written by {who}; wait until it has ended, or name another journal")
        self.pid = pid


class JournalChangedError(JournalError):
    """An item, or the strategy of one, is not what the journal was begun with.

    Args:
        path: of the journal.
        changes: a sentence for each.
    """

    def __init__(self, path: str, changes: Sequence[str]) -> None:
        super().__init__("\n".join(f"{path}: {change}" for change in changes))
        self.changes: tuple[str, ...] = tuple(changes)


class IllegalTransitionError(PacelineError):
    """A state machine was given an event that its state does not allow."""


class CallError(PacelineError):
    """One call failed in a way that the strategy knows.

    Args:
        message: what happened, for people.
        kind: how the engine is to treat it.
        retry_after: seconds that the provider asked to wait.
        usage: what the failed call cost all the same; what a strategy may return as its tokens.
        quota: what the provider said of its quotas.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FaultKind,
        retry_after: float | None = None,
        usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE,
        quota: QuotaHint | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: FaultKind = FaultKind(kind)
        self.retry_after = retry_after
        self.usage: TokenUsage = TokenUsage.of(usage)
        if not isinstance(quota, QuotaHint | None):
            raise TypeError(f"quota must be a QuotaHint, not {type(quota).__name__}")
        self.quota = quota


class RateLimitError(CallError):
    """The provider asked for fewer calls. For clients that paceline does not know: raise it from `execute`."""

    def __init__(
        self,
        message: str = "the provider asked for fewer calls",
        *,
        retry_after: float | None = None,
        quota: QuotaHint | None = None,
    ) -> None:
        super().__init__(message, kind=FaultKind.THROTTLED, retry_after=retry_after, quota=quota)


class InvalidOutputError(CallError):
    """The reply is not of the type that was asked for: what was right in it, and what was wrong.

    Args:
        text: the reply.
        problems: what is wrong with it, in the order of its fields.
        right: the fields that are as they should be, as paths such as `address.city`.
        usage: what the call cost.
    """

    def __init__(
        self,
        text: str,
        problems: Sequence[Problem],
        *,
        right: Sequence[str] = (),
        usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE,
    ) -> None:
        shown = "; ".join(str(problem) for problem in problems[:_SHOWN_PROBLEMS])
        more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        super().__init__(f"the output is not of its type: {shown}{more}", kind=FaultKind.INVALID, usage=usage)
        self.text = text
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.right: tuple[str, ...] = tuple(right)


class Skip(Exception):  # noqa: N818 - control flow of a middleware, not an error
    """Raised by a middleware's `before_process`: settle the item without a call, as skipped."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = str(reason)


def _publish() -> None:
    """Make `paceline.exceptions` the home of these classes: in tracebacks they go by the module that users import them from."""
    for member in list(globals().values()):
        if isinstance(member, type) and member.__module__ == __name__ and issubclass(member, Exception):
            member.__module__ = "paceline.exceptions"


_publish()
