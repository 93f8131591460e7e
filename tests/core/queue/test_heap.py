"""Heap: items in the order of their keys, whichever were discarded; empty rows never outnumber the items."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.queue.heap import Heap

from ...search import examples


class HeapAgainstList(RuleBasedStateMachine):
    """The model is a list of [key, order, item], searched from end to end."""

    def __init__(self):
        super().__init__()
        self.heap = Heap()
        self.rows = []
        self.count = 0

    @rule(key=st.integers(0, 4) | st.just(-math.inf))
    def push(self, key):
        self.count += 1
        self.heap.push(key, self.count, 10.0 * self.count)
        self.rows.append((key, self.count))

    @precondition(lambda self: self.rows)
    @rule()
    def pop(self):
        row = min(self.rows)
        self.rows.remove(row)
        assert self.heap.pop() == row[1]

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), key=st.integers(0, 4), comes_back=st.booleans())
    def discard(self, data, key, comes_back):
        row = data.draw(st.sampled_from(self.rows))
        self.rows.remove(row)
        assert self.heap.discard(row[1])
        assert not self.heap.discard(row[1])
        if comes_back:
            self.count += 1
            self.heap.push(key, row[1])
            self.heap.discard(row[1])

    @rule()
    def clear(self):
        self.heap.clear()
        self.rows.clear()

    @invariant()
    def the_first_item_is_the_lowest_of_those_that_are_left(self):
        assert len(self.heap) == len(self.rows)
        assert sorted(self.heap) == sorted(item for _, item in self.rows)
        assert bool(self.heap.rows) == bool(self.rows)
        if self.rows:
            key, item = min(self.rows)
            assert (self.heap.key, self.heap.first, self.heap.value) == (key, item, 10.0 * item)
            assert self.heap.is_due(key)
            assert not self.heap.is_due(key - 1) or key == -math.inf
        else:
            assert self.heap.key == math.inf
            assert not self.heap.is_due(math.inf)

    @invariant()
    def discarded_items_take_no_more_room_than_the_others(self):
        assert len(self.heap.rows) <= 2 * len(self.heap)


TestAHeapAgreesWithASearchedList = HeapAgainstList.TestCase
TestAHeapAgreesWithASearchedList.settings = settings(max_examples=examples(40), stateful_step_count=30)


def test_items_need_not_be_comparable():
    heap, items = Heap(), [object(), object(), object()]
    for item in items:
        heap.push(1.0, item)
    assert [heap.pop() for _ in items] == items
