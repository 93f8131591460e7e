"""Printable text: what comes from servers, files and journals, made safe for a terminal and a log.

A terminal obeys escape sequences: they set its title, write to its clipboard, hide or forge text. Controls of the direction of text reorder what
is read, and a line break in a log forges an entry. Such a character is replaced by its escape, as Python writes it in a string.
"""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # categories: controls, formats, surrogates, private, none, separators
_JOINERS = frozenset("\u200c\u200d")  # parts of words and of emoji


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return a text with each character that a terminal could obey replaced by its escape, as Python writes it.

    Args:
        text: Any text.
        keep: Control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char in keep or char in _JOINERS or unicodedata.category(char) not in _UNSAFE else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
