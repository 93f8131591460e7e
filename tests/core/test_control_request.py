"""Control requests: what comes from a file is checked, value by value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.control_request import MOST_WORKERS, ControlCommand, ControlRequest, checked_request

VALUES = st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.booleans()


@given(command=VALUES | st.sampled_from(list(ControlCommand)).map(str), workers=VALUES)
def test_any_two_values_are_a_valid_request_or_a_complaint(command, workers):
    found = checked_request(command, workers)
    if isinstance(found, str):
        assert found.startswith("not done: ")
        return
    assert isinstance(found, ControlRequest)
    assert str(found.command) == command
    if found.command is ControlCommand.MAX_WORKERS:
        assert type(found.workers) is int
        assert 1 <= found.workers <= MOST_WORKERS
    else:
        assert found.workers is None


def test_each_command_is_accepted_as_it_is_written():
    assert checked_request("pause", None) == ControlRequest(ControlCommand.PAUSE)
    assert checked_request("continue", None) == ControlRequest(ControlCommand.CONTINUE)
    assert checked_request("drain", None) == ControlRequest(ControlCommand.DRAIN)
    assert checked_request("max_workers", 8) == ControlRequest(ControlCommand.MAX_WORKERS, 8)


def test_a_number_that_is_not_one_is_refused():
    for workers in (None, 0, -1, True, 2.0, "8", MOST_WORKERS + 1):
        assert isinstance(checked_request("max_workers", workers), str)
