"""Batch state: a batch changes its phase only as its table allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.batch_state import TRANSITIONS, BatchEvent, BatchState, step
from paceline._core.exceptions import IllegalTransitionError

NEXT = {
    ("open", "stop"): "draining",
    ("open", "empty"): "closed",
    ("draining", "stop"): "draining",
    ("draining", "empty"): "closed",
    ("closed", "stop"): None,
    ("closed", "empty"): None,
}
"""The diagram, written by hand; None for an illegal pair."""

PAIRS = [(state, event) for state in BatchState for event in BatchEvent]


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=str)
def test_every_pair_of_state_and_event_follows_the_diagram(state, event):
    expected = NEXT[state.value, event.value]
    if expected is None:
        with pytest.raises(IllegalTransitionError, match="CLOSED"):
            step(state, event)
    else:
        assert step(state, event) is BatchState(expected)


def test_the_diagram_has_every_pair():
    assert {(state.value, event.value) for state, event in PAIRS} == set(NEXT)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TRANSITIONS[BatchState.CLOSED, BatchEvent.STOP] = BatchState.OPEN


@given(st.lists(st.sampled_from(BatchEvent)))
def test_a_closed_batch_stays_closed_and_no_batch_opens_again(events):
    state = BatchState.OPEN
    for event in events:
        before = state
        try:
            state = step(state, event)
        except IllegalTransitionError:
            assert before is BatchState.CLOSED
        assert state is not BatchState.OPEN
        assert before is not BatchState.CLOSED or state is BatchState.CLOSED
    assert (state is BatchState.CLOSED) == (BatchEvent.EMPTY in events)
