"""Generated code: what in an answer is the program, and whether it passes the tests of its question."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs

from .._core.exceptions import ConfigurationError
from .sandbox import Limits, Sandbox, why_unavailable
from .scorers import text_of
from .suite import Question, Score

_FENCED = re.compile(r"(?m)^[ \t]*(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL)
_PYTHON = frozenset(("", "python", "py", "python3"))

Program = Callable[[Question, str], str]


def unit_tests(program: Program, limits: Limits | None = None) -> UnitTests:
    """Return a scorer that runs a program in the sandbox: 1 if it runs to its last line, else 0.

    Args:
        program: Makes the program of a question and the code in its answer: the code, and tests that raise if it is wrong.
        limits: What a program may use; the default is 10 seconds and 512 MB.
    """
    return UnitTests(program, Sandbox(limits))


@attrs.frozen
class UnitTests:
    """A scorer that runs programs."""

    program: Program
    """Makes the program of a question and the code in its answer."""
    sandbox: Sandbox
    """Where it runs."""

    def check(self) -> None:
        """Check that there is a sandbox.

        Raises:
            ConfigurationError: It is missing here; the message says how to install it.
        """
        if (missing := why_unavailable()) is not None:
            raise ConfigurationError(missing)

    async def __call__(self, item: Question, output: Any, /) -> Score:
        """Return the score of an answer. Cancelling it kills the program."""
        ended = await self.sandbox.run(self.program(item, code_of(text_of(output))))
        return Score(ended.is_complete, "passed its tests" if ended.is_complete else ended.reason)


def code_of(answer: str) -> str:
    """Return the Python code of an answer: its fenced blocks of Python, else all of it."""
    blocks = [block for _, language, block in _FENCED.findall(answer) if language.lower() in _PYTHON]
    return "\n".join(blocks) if blocks else answer


def completed(prompt: str, code: str, name: str) -> str:
    """Return a program that defines a function: the code, if it defines it itself, else the prompt and the code as its body."""
    if re.search(rf"(?m)^(?:async\s+)?def\s+{re.escape(name)}\b", code):
        return f"{prompt}    pass\n{code}"  # the prompt may have imports and helpers that the code does not repeat
    return prompt + (code if code[:1].isspace() else re.sub(r"(?m)^(?=.)", "    ", code))
