"""Native jobs in a journal: stored before they exist elsewhere, and each answer used once."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given

from paceline._core.native import job
from paceline.exceptions import JournalError
from paceline.journal.native import _NAMES, _STATES, _encoded, stored_job
from paceline.journal.writer import JournalWriter

from ..core.native.test_job import STATES
from .support import content, done, failed, register, registered_items


@pytest.fixture
def writer(path):
    with JournalWriter(path) as writer:
        writer.begin_run()
        register(writer, "a", "b", "c")
        yield writer


def opened(writer):
    return [item.id for item in writer.native.open_items(writer.run)]


def added(writer, *items, marker="m"):
    return writer.native.add(marker, "model", items, run=writer.run, now=1.0)


@given(state=STATES)
def test_each_state_is_read_back_as_it_was_stored(state):
    name, details = _encoded(state)
    row = (1, "marker", 2.0, "kind", 3, name, details)
    assert stored_job(row, "run.db").state == state
    assert _STATES[_NAMES[type(state)]] is type(state)


@pytest.mark.parametrize(
    ("name", "details"), [("asked", "{}"), ("no", "{}"), ("intended", "["), ("intended", '{"x": 1}')]
)
def test_a_state_that_no_run_has_stored_is_damage(name, details):
    with pytest.raises(JournalError, match=r"run.db: is damaged: the state of native job 7 cannot be read"):
        stored_job((7, "m", 0.0, "k", 1, name, details), "run.db")


def test_an_item_is_open_until_it_is_a_row_of_a_job_and_again_when_that_has_left_it_unanswered(writer):
    assert opened(writer) == ["a", "b", "c"]
    intended = added(writer, 1, 2)
    assert opened(writer) == ["c"]
    writer.native.set_state(
        intended.number, job.Collected(id="j", outcome=job.Outcome.EXPIRED, answered=1, unanswered=1)
    )
    writer.native.store_answers(intended.number, [(0, 200, "{}")])
    assert opened(writer) == ["c"]
    writer.native.set_state(intended.number, job.Rescued(id="j", outcome=job.Outcome.EXPIRED, answered=1, unanswered=1))
    assert [(item.id, item.jobs) for item in writer.native.open_items(writer.run)] == [("b", 1), ("c", 0)]


def test_a_job_that_was_never_created_does_not_count_as_a_try(writer):
    intended = added(writer, 1)
    writer.native.set_state(intended.number, job.NotCreated())
    assert [item.jobs for item in writer.native.open_items(writer.run)] == [0, 0, 0]
    assert writer.native.jobs(is_open=True) == []


def test_jobs_are_read_back_by_another_process(writer, path):
    intended = added(writer, 2, 3)
    assert writer.native.jobs() == [intended]
    assert writer.native.items_of(intended.number) == {0: 2, 1: 3}
    writer.close()
    with JournalWriter(path) as again:
        assert again.native.jobs(is_open=True) == [intended]


def test_an_answer_is_used_once_also_if_its_result_is_deleted_later(writer, path):
    intended = added(writer, 1, 2)
    writer.native.store_answers(intended.number, [(0, 200, '{"x": 1}'), (1, 400, "no")])
    writer.native.store_answers(intended.number, [(0, 200, '{"x": 1}')])
    assert writer.native.unused_answers() == {1: 1, 2: 2}
    assert writer.native.answers_to([1, 2, 3]) == {1: (200, '{"x": 1}'), 2: (400, "no")}
    writer.commit([failed("a")], {})
    assert writer.native.unused_answers() == {2: 2}
    writer.items.delete_results(["transient"])
    assert writer.native.unused_answers() == {2: 2}
    assert writer.native.answered(intended.number) == 2
    writer.close()
    with JournalWriter(path) as again:
        assert again.native.has_answers
        assert again.native.unused_answers() == {2: 2}


def test_an_answer_to_a_prompt_that_has_changed_meanwhile_is_not_used(writer):
    intended = added(writer, 1, 2)
    changed = registered_items(writer, "a", prompt="another")
    writer.items.register(changed, accept_changes=True)
    assert writer.native.items_of(intended.number) == {1: 2}
    writer.native.store_answers(intended.number, [(0, 200, "{}"), (1, 200, "{}")])
    assert writer.native.unused_answers() == {2: 2}
    writer.native.set_state(
        intended.number, job.Rescued(id="j", outcome=job.Outcome.COMPLETED, answered=2, unanswered=0)
    )
    assert [(item.id, item.content, item.jobs) for item in writer.native.open_items(writer.run)] == [
        ("a", content("another"), 0),
        ("c", content("c"), 0),
    ]


def test_an_answer_to_an_item_that_has_a_result_already_is_not_kept(writer, path):
    intended = added(writer, 1)
    writer.commit([done("a")], {})
    writer.native.store_answers(intended.number, [(0, 200, "late")])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT status, answer FROM native_rows").fetchall() == [(200, None)]


def test_a_job_for_which_there_was_no_room_does_not_count_as_a_try(writer):
    intended = added(writer, 1)
    held = job.Rescued(id="j", outcome=job.Outcome.HELD, answered=0, unanswered=1)
    writer.native.set_state(intended.number, held)
    assert [item.jobs for item in writer.native.open_items(writer.run)] == [0, 0, 0]
