"""Which rows go into one native job."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.native.splitting import JobLimits, Splitter

ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50)), max_size=60)


def split(limits, rows):
    splitter = Splitter(limits)
    groups, refused = [], []
    for number, (kind, size) in enumerate(rows):
        if not splitter.fits(size):
            refused.append(number)
        elif (full := splitter.add(kind, number, size)) is not None:
            groups.append(full)
    return groups + splitter.finish(), refused


@given(rows=ROWS, most=st.integers(1, 10), size=st.integers(1, 60))
def test_each_row_is_in_exactly_one_job_of_its_kind_in_order_or_named_as_too_large(rows, most, size):
    groups, refused = split(JobLimits(rows=most, bytes=size), rows)
    assert sorted([number for group in groups for number in group.rows] + refused) == list(range(len(rows)))
    for group in groups:
        assert {rows[number][0] for number in group.rows} == {group.kind}
        assert list(group.rows) == sorted(group.rows)
    assert all(rows[number][1] > size for number in refused)


@given(rows=ROWS, most=st.integers(1, 10), size=st.integers(1, 60))
def test_no_job_is_beyond_a_limit_and_no_two_neighbours_would_fit_into_one(rows, most, size):
    groups, _ = split(JobLimits(rows=most, bytes=size), rows)
    for group in groups:
        assert 1 <= len(group.rows) <= most
        assert group.size == sum(rows[number][1] for number in group.rows) <= size
    for kind in "ab":
        own = [group for group in groups if group.kind == kind]
        for one, other in pairwise(own):
            first = rows[other.rows[0]][1]
            assert len(one.rows) == most or one.size + first > size


def test_a_splitter_that_was_finished_is_empty():
    splitter = Splitter(JobLimits(rows=2, bytes=10))
    splitter.add("a", 1, 1)
    assert [group.rows for group in splitter.finish()] == [(1,)]
    assert splitter.finish() == []
