"""The set of keys on disk: each key keeps the number with which it was first added."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.files.seen_set import SeenSet

KEYS = st.text(max_size=3) | st.binary(max_size=3) | st.text(min_size=30, max_size=40)


@given(st.lists(st.tuples(KEYS, st.integers(0, 2**40))))
def test_a_key_keeps_its_first_number(pairs):
    expected: dict[bytes, int] = {}
    with closing(SeenSet()) as seen:
        for key, number in pairs:
            data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
            assert seen.add(key, number) == expected.setdefault(data, number)
        assert len(seen) == len(expected)
        assert seen.numbers() == Counter(expected.values())


def test_keys_with_the_same_beginning_differ_though_they_are_long():
    with closing(SeenSet()) as seen:
        assert [seen.add("x" * 100 + str(number), number) for number in range(100)] == list(range(100))


def test_keys_keep_their_numbers_when_many_are_stored_together():
    with closing(SeenSet()) as seen:
        assert [seen.add(f"key {number}", number) for number in range(1_000)] == list(range(1_000))
        assert [seen.add(f"key {number}", -1) for number in range(1_000)] == list(range(1_000))
        assert (len(seen), seen.numbers()) == (1_000, dict.fromkeys(range(1_000), 1))


def test_a_temporary_file_that_cannot_take_the_keys_is_an_os_error():
    seen = SeenSet()
    seen.close()
    with pytest.raises(OSError, match="temporary file"):
        [seen.add(str(number), number) for number in range(1_000)]
