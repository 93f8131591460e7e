"""Usage errors: what is wrong with a command line, in one sentence, and what may have been meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from .options import FORMER_OPTIONS, SIMILAR_OPTIONS

_CLOSE = 0.75  # least ratio of difflib for an option to be suggested: --jsno is --json, but --limit is not --timeout
_EXPECTED: Mapping[Any, str] = {bool: "true or false", float: "a number"}
"""What the value of an option of a type must be, in a message."""


def with_help(message: str, verb: Sequence[str]) -> str:
    """Return a message on the command line, and where its options are described."""
    return f"{message}; see {' '.join(('paceline', *verb))} --help"


def message_of(error: CycloptsError, app: App) -> str:
    """Return what is wrong with a command line of the program `app`, in one sentence."""
    from ..runs.options_data import suggestion  # noqa: PLC0415 - see above

    unused = error.unused_tokens or [""]
    message = " ".join(str(error).split()).rstrip(".")
    match error:
        case UnknownOptionError():
            message = _unknown(error.token.keyword or error.token.value, error, app)
        case UnknownCommandError():
            message = f"unknown command {unused[0]!r}{suggestion(unused[0], {*_verb_of(error, app)})}"
        case UnusedCliTokensError():
            message = f"too many arguments: {' '.join(unused)}"
        case MissingArgumentError() if error.keyword:
            message = f"{error.keyword}: needs a value"
        case MissingArgumentError():
            unknown = next((token for token in unused if token.startswith("-")), None)
            missing = error.argument.name if error.argument is not None else "an argument"
            message = f"{missing} is missing" if unknown is None else _unknown(unknown, error, app)
        case CoercionError() if error.token is not None and error.argument is not None:
            expected = _EXPECTED.get(error.target_type) or f"one of {', '.join(get_args(error.target_type))}"
            message = f"{error.token.keyword or error.argument.name}: must be {expected}, not {error.token.value!r}"
        case ValidationError() if error.argument is not None and error.argument.tokens:
            token = error.argument.tokens[0]
            message = f"{token.keyword or error.argument.name}: {error.exception_message}, not {token.value!r}"
    return message


def _unknown(token: str, error: CycloptsError, app: App) -> str:
    from ..runs.options_data import suggestion  # noqa: PLC0415 - see above

    option = token.partition("=")[0]
    name, verb = " ".join(error.command_chain or ("paceline",)), _verb_of(error, app)
    arguments = verb.assemble_argument_collection() if verb.default_command is not None else ()
    known = {name for argument in arguments if argument.parse for name in argument.names}
    if FORMER_OPTIONS.get(option) in known:
        return f"{option} is now called {FORMER_OPTIONS[option]}"
    similar = next((f" (did you mean {other}?)" for other in SIMILAR_OPTIONS.get(option, ()) if other in known), None)
    similar = similar or suggestion(option, known, cutoff=_CLOSE)
    return f"unknown option {option}{similar}" if similar else f"{name} has no option {option}"


def _verb_of(error: CycloptsError, app: App) -> App:
    """Return the command that was being parsed: the program itself, a verb, or one of those of `suite`."""
    verb = app
    for name in error.command_chain or ():
        verb = verb[name]
    return verb
