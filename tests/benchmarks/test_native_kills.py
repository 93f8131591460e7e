"""A run through a batch API that is killed at a random moment loses, creates and bills nothing twice."""

from __future__ import annotations

from benchmarks.native_kills import kill_rounds


def test_a_kill_loses_no_row_and_no_job_is_created_or_billed_twice():
    found = kill_rounds("openai", kills=1, rows=12, seed=3)
    assert found.kills == 1
    assert found.is_right, found
    assert found.answered == found.rows >= 12
