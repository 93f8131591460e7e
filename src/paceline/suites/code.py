"""Generated code: what in an answer is the program, and whether it passes the tests of its question."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from .sandbox import Limits, Sandbox
from .scorers import text_of
from .suite import Question, Score

_FENCED = re.compile(r"(?m)^[ \t]*(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL)
_PYTHON = frozenset(("", "python", "py", "python3"))

Program = Callable[[Question, str], str]


def unit_tests(program: Program, limits: Limits | None = None) -> Callable[[Question, Any], Awaitable[Score]]:
    """Return a scorer that runs a program in the sandbox: 1 if it runs to its last line, else 0.

    Args:
        program: Makes the program of a question and the code in its answer: the code, and tests that raise if it is wrong.
        limits: What a program may use; the default is 10 seconds and 512 MB.
    """
    sandbox = Sandbox(limits)

    async def scorer(item: Question, output: Any) -> Score:
        ended = await sandbox.run(program(item, code_of(text_of(output))))
        return Score(ended.is_complete, "passed its tests" if ended.is_complete else ended.reason)

    return scorer


def code_of(answer: str) -> str:
    """Return the Python code of an answer: its fenced blocks of Python, else all of it."""
    blocks = [block for _, language, block in _FENCED.findall(answer) if language.lower() in _PYTHON]
    return "\n".join(blocks) if blocks else answer


def completed(prompt: str, code: str, name: str) -> str:
    """Return a program that defines a function: the code, if it defines it itself, else the prompt and the code as its body."""
    if re.search(rf"(?m)^(?:async\s+)?def\s+{re.escape(name)}\b", code):
        return f"{prompt}    pass\n{code}"  # the prompt may have imports and helpers that the code does not repeat
    return prompt + (code if code[:1].isspace() else re.sub(r"(?m)^(?=.)", "    ", code))
