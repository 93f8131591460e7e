"""Exceptions: everything that paceline raises, and `Problem`, of which an invalid output has one or more.

    PacelineError
    ├── ConfigurationError (ValueError)     a setting, a model name or a limit is wrong
    │   ├── MissingExtraError               an optional package is not installed
    │   └── MissingKeyError                 no credentials were given
    ├── InvalidWorkItemError (ValueError)   a work item that cannot be run
    │   └── DuplicateItemError              its id is already in the batch
    ├── MisuseError (RuntimeError)          a method was called in the wrong order
    ├── Busy                                a pool takes no further call now: too many wait, it is shut or drained
    ├── BudgetError                         the budget of a pool is used up for a single call
    ├── SourceError                         the caller's source of work raised; carries the batch so far
    ├── JournalError                        a journal cannot be read or written
    │   ├── JournalInUseError               another process writes it
    │   ├── JournalChangedError             the items or strategies differ from those in the journal
    │   └── UnsavedError                    results could not be committed; carries the batch and these results
    ├── IllegalTransitionError              a state machine got an event that its state does not allow: a bug of paceline
    └── CallError                           raised by strategies and `unwrap`: a call or an item failed, and how
        ├── RateLimitError                  the provider asked for fewer calls
        └── InvalidOutputError              the reply does not match its output type
    Skip                                    raised by a middleware's `before_process`: no call for this item

A fault of an item is a value in its result. These exceptions mean misuse, except `CallError` and `Skip`, which users' code
raises to inform the engine. `SourceError` and `UnsavedError` carry results, so they are defined with those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .fault import Fault, FaultKind, FaultReason
from .quota import QuotaHint
from .usage import NO_USAGE, TokenUsage

_SHOWN_PROBLEMS = 3  # in a message; all of them are in `problems`


@attrs.frozen
class Problem:
    """One problem with an output, in words that a model can act upon; `str()` is the field and the rule."""

    path: str
    """The field, such as `address.city` or `tags[2]`; empty for the whole output."""
    rule: str
    """The rule that was broken, or what was expected."""
    value: str | None = attrs.field(default=None, repr=False)
    """The value of the field as JSON, shortened; None if there is no value."""

    def __str__(self) -> str:
        # Without the value, which may be private: fit for logs and results.
        return f"{self.path}: {self.rule}" if self.path else self.rule


class PacelineError(Exception):
    """The root of all exceptions that paceline raises. They can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[PacelineError], args: tuple[Any, ...], state: dict[str, Any]) -> PacelineError:
    error = kind.__new__(kind, *args)  # without __init__, whose parameters may differ from `args`
    error.__dict__.update(state)
    return error


class ConfigurationError(PacelineError, ValueError):
    """A setting is wrong; the message names the setting, what it must be, and its value."""


class MissingExtraError(ConfigurationError):
    """An optional package is not installed; the message has the command that installs it."""

    def __init__(self, needed_by: str, extra: str) -> None:
        super().__init__(f"{needed_by} needs an optional package; install it with: pip install 'paceline[{extra}]'")
        self.extra = extra


class MissingKeyError(ConfigurationError):
    """No credentials were given; the message names the argument and the environment variable for them.

    Args:
        message: What is missing, and how to give it.
        variables: Environment variables that may hold it, in words, for callers without arguments; empty: not known.
    """

    def __init__(self, message: str, *, variables: str = "") -> None:
        super().__init__(message)
        self.variables = variables


class InvalidWorkItemError(PacelineError, ValueError):
    """A work item cannot be run; the message names the field and its value."""


class DuplicateItemError(InvalidWorkItemError):
    """Two items of one batch have the same id."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"item_id {item_id!r} is already in this batch; ids must be unique")
        self.item_id = item_id


class MisuseError(PacelineError, RuntimeError):
    """A method was called in a state in which it is not allowed."""


class BudgetError(PacelineError):
    """The budget of a pool is used up, or cannot be kept as a price is not known; the call was not made. A batch ends with pending items instead."""


class Busy(PacelineError):  # noqa: N818 - what it says, as in `trio.WouldBlock`
    """A pool takes no further call now: too many wait, or its turn would come only after its timeout. Nothing was sent.

    Args:
        message: Why.
        retry_after: Seconds after which it is worth trying again, as for the header Retry-After.
        ahead: Calls that go before it.
    """

    def __init__(self, message: str, *, retry_after: float, ahead: int) -> None:
        super().__init__(f"{message}; try again in {retry_after:.0f} s")
        self.retry_after = retry_after
        self.ahead = ahead


class JournalError(PacelineError):
    """A journal cannot be read or written; the message names the file and the reason."""


class JournalInUseError(JournalError):
    """A journal has one writer at a time, and another one has it open."""

    def __init__(self, path: str, pid: int | None) -> None:
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{path}: is being written by {who}; wait until it has ended, or name another journal")
        self.pid = pid


class JournalChangedError(JournalError):
    """Items, or their strategies, differ from those in the journal.

    Args:
        path: Path of the journal.
        changes: Descriptions of the changes, a sentence each.
        advice: What the user can do. The message is then one sentence, with the changes and this.
    """

    def __init__(self, path: str, changes: Sequence[str], *, advice: str | None = None) -> None:
        sentences = changes if advice is None else ["; ".join([*changes, advice])]
        super().__init__("\n".join(f"{path}: {sentence}" for sentence in sentences))
        self.changes: tuple[str, ...] = tuple(changes)


class IllegalTransitionError(PacelineError):
    """A state machine got an event that its state does not allow: a bug of paceline."""


class CallError(PacelineError):
    """One call failed, and the strategy knows how; or an item failed, when `WorkItemResult.unwrap` raises it.

    Args:
        message: What happened, for people.
        kind: Kind of the fault: decides how the engine treats it.
        retry_after: Seconds that the provider asked to wait.
        usage: Tokens of the failed call, in any form that `execute` may return.
        quota: What the provider reported about its quotas.
        answer: What the model answered, if the answer is not accepted: the result keeps it in `Fault.answer`.
        reason: Why the call failed, where its kind alone does not say what can be done.

    Raises:
        ValueError: `kind`, `reason` or a count of `usage` is invalid.
        TypeError: `usage`, `quota` or `answer` has the wrong type.
    """

    item_id: str | None = None
    """Id of the item, if `unwrap` raised it."""
    fault: Fault | None = None
    """Fault of the item, if `unwrap` raised it."""

    def __init__(  # noqa: PLR0913 - all but the kind have defaults
        self,
        message: str,
        *,
        kind: FaultKind,
        retry_after: float | None = None,
        usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE,
        quota: QuotaHint | None = None,
        answer: str | None = None,
        reason: FaultReason | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: FaultKind = FaultKind(kind)
        self.retry_after = retry_after
        self.usage: TokenUsage = TokenUsage.of(usage)
        if not isinstance(quota, QuotaHint | None):
            raise TypeError(f"quota must be a QuotaHint, not {type(quota).__name__}")
        self.quota = quota
        if not isinstance(answer, str | None):
            raise TypeError(f"answer must be a string, not {type(answer).__name__}")
        self.answer = answer
        self.reason: FaultReason | None = None if reason is None else FaultReason(reason)


class RateLimitError(CallError):
    """The provider asked for fewer calls: raise it from `execute` for a client that paceline does not know."""

    def __init__(
        self,
        message: str = "the provider asked for fewer calls",
        *,
        retry_after: float | None = None,
        quota: QuotaHint | None = None,
    ) -> None:
        super().__init__(message, kind=FaultKind.THROTTLED, retry_after=retry_after, quota=quota)


class InvalidOutputError(CallError):
    """The reply does not match its output type.

    Args:
        text: The reply.
        problems: Problems, in the order of the fields.
        right: Paths of the valid fields, such as `address.city`.
        usage: Tokens of the call.
        message: What happened, for people; None: made from the problems.
    """

    def __init__(
        self,
        text: str,
        problems: Sequence[Problem],
        *,
        right: Sequence[str] = (),
        usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE,
        message: str | None = None,
    ) -> None:
        shown = "; ".join(str(problem) for problem in problems[:_SHOWN_PROBLEMS])
        more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        message = f"the output does not match its type: {shown}{more}" if message is None else message
        given: object = text
        answer = given if isinstance(given, str) else None
        super().__init__(message, kind=FaultKind.INVALID, usage=usage, answer=answer)
        self.text = text
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.right: tuple[str, ...] = tuple(right)


class Skip(Exception):  # noqa: N818 - control flow of a middleware, not an error
    """Raise it from a middleware's `before_process` to settle the item as skipped, without a call."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = str(reason)


def _publish() -> None:
    """Set the module of these classes to `paceline.exceptions`, so that tracebacks show where users import them from."""
    for member in list(globals().values()):
        if isinstance(member, type) and member.__module__ == __name__ and issubclass(member, Exception):
            member.__module__ = "paceline.exceptions"


_publish()
