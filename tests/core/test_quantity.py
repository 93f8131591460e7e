"""Quantities: a number with its noun and its verb."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import paceline
from paceline._core.quantity import all_of, quantity, verb

_NOUNS = "item prompt call row line result attempt column field file record character worker model change problem time request entry"
_PLURAL = re.compile(rf" (?:(?!has )[a-z]+ )?(?:{'|'.join(f'{noun}s' for noun in _NOUNS.split())})\b(?!/)")


@pytest.mark.parametrize(("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_200, "1,200 rows")])
def test_only_one_is_in_the_singular(number, words):
    assert quantity(number, "row") == words


@pytest.mark.parametrize(
    ("number", "words"), [(1, "the only row is"), (2, "all 2 rows are"), (1_200, "all 1,200 rows are")]
)
def test_a_verb_goes_with_the_number_of_its_subject(number, words):
    assert f"{all_of(number, 'row')} {verb(number)}" == words
    assert verb(number, "was", "were") == ("was" if number == 1 else "were")


def _texts_with_numbers():
    for path in sorted(Path(paceline.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                for value, after in zip(node.values, node.values[1:], strict=False):
                    if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                        yield path.name, ast.unparse(value.value), str(after.value)


def test_no_message_puts_a_number_before_a_noun_that_is_always_plural():
    """`{count} items` reads "1 items" for one: `quantity` writes both."""
    found = [
        f"{name}: {{{value}}}{after[:30]}"
        for name, value, after in _texts_with_numbers()
        if _PLURAL.match(after) and not value.isupper() and "columns.count" not in value  # never 1
    ]
    assert found == []
