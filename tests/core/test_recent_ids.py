from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.recent_ids import RecentIds


@given(st.lists(st.integers(0, 30)), st.integers(1, 8))
def test_an_id_is_rejected_exactly_if_it_is_remembered_and_the_latest_are(numbers, remembered):
    ids, accepted = RecentIds(remembered), []
    for number in numbers:
        is_new = ids.add(str(number))
        if number in accepted[-remembered:]:
            assert not is_new
        if number not in accepted[-2 * remembered :]:
            assert is_new
        if is_new:
            accepted.append(number)


def test_memory_does_not_grow_with_the_number_of_ids():
    ids = RecentIds(100)
    assert all(ids.add(str(number)) for number in range(10_000))
    known = [number for number in range(10_000) if not ids.add(str(number))]
    assert len(known) <= 200
