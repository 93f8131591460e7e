"""The short list of words that paceline's texts do without, and a program that finds them.

    python tests/docs/wordlist.py src/paceline/files README.md

Each word on it was found to be read twice, or to have a plainer one. The list holds for everything that a person reads: in Python
files docstrings, comments, messages and names, and the whole of a Markdown page.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]

WORDS = {
    r"(?<![a-z])told(?![a-z])": "reported, shown, given",
    r"\banew\b": "again, from scratch",
    r"\bso manieth\b": "number n",
    r"\bgone on with\b|\bgoing on with\b|\bgoes on with\b": "resumed",
    r"\b(?:is|are|was|were) (?-i:none)\b": "is missing, does not exist",
    r"\bpassed over\b": "skipped",
    r"\bmade whole\b": "repaired",
    r"\bat an end\b": "finished",
    r"\bnobody\b": "no caller, no user",
    r"\bis no (?:number|string|id|text|url|JSON|object|path|journal|file|strategy)\b": "is not a ...",
    r"\bhear of\b|\bhears of\b": "receive",
    r"\bonly so many\b|, so many\b": "a number",
    r"\bas of no use\b|\bno news\b": "ignored",
}
"""A pattern, and what to write in its place."""

_PART = re.compile(r"(?:\b|_)(?:told|anew)_|_(?:told|anew)\b")

ALLOWED = ("tests/docs/wordlist.py", "tests/docs/test_wordlist.py")


@attrs.frozen
class Finding:
    """A word of the list, and where it stands."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}; write: {self.instead}"


def findings(path: Path) -> Iterator[Finding]:
    """Yield each listed word in a file's texts."""
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    if name in ALLOWED:
        return
    text = path.read_text("utf-8")
    for pattern, instead in WORDS.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield Finding(name, text.count("\n", 0, match.start()) + 1, match.group(), instead)
    if path.suffix == ".py":
        yield from _identifiers(name, text)
        yield from _questions(name, text)


def _identifiers(name: str, text: str) -> Iterator[Finding]:
    """Yield names that have a listed word as a part: `_told_each`."""
    if not re.search(_PART, text):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and re.search(_PART, token.string):
            yield Finding(name, token.start[0], token.string, "a verb of the field")


def _questions(name: str, text: str) -> Iterator[Finding]:
    """Yield a module's docstring that begins with a question: a file is named after what it holds."""
    first = text.lstrip().removeprefix('"""').partition("\n")[0].removesuffix('"""')
    if first.endswith("?"):
        yield Finding(name, 1, first, "a noun phrase")


def texts(arguments: list[Path]) -> Iterator[Path]:
    """Yield the files that people read below some folders, or the files themselves."""
    for argument in arguments:
        if argument.is_dir():
            yield from sorted(p for kind in ("*.py", "*.md") for p in argument.rglob(kind) if ".venv" not in str(p))
        else:
            yield argument


if __name__ == "__main__":
    count = 0
    for path in texts([Path(argument).resolve() for argument in sys.argv[1:]]):
        for finding in findings(path):
            count += 1
            print(finding)  # noqa: T201 - it is a program
    sys.exit(f"{count} words to replace" if count else 0)
