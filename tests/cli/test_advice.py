"""Advice: what to do about the items that failed."""

from __future__ import annotations

import pytest

from paceline import BatchResult, Fault, FaultKind, WorkItemResult
from paceline.cli.advice import advice, cannot_succeed, lacks_access

OWN = "refused 9 times in a row, whereas m served others: RateLimitError: Error code: 429 - {'error': {'message': 'Slow down'}}"
TOO_LARGE = "refused as too large for the limit: Error code: 413 - {'error': {'message': 'Request too large'}}"
NO_ACCESS = (
    "PermissionDeniedError: Error code: 403 - {'error': {'message': 'Project `p` does not have access to model `m`'}}"
)


def batch_of(*faults):
    return BatchResult(results=tuple(WorkItemResult(f"q{n}", n, error=Fault(*fault)) for n, fault in enumerate(faults)))


def test_an_item_that_is_refused_while_others_are_served_has_its_own_advice():
    batch = batch_of((FaultKind.THROTTLED, OWN))
    assert "refused all calls" not in advice(batch)
    assert "others were served" in advice(batch)
    assert "served others: 429: Slow down (q0)" in batch.summary()


def test_both_causes_of_refusals_are_named_if_both_are_there():
    text = advice(batch_of((FaultKind.THROTTLED, OWN), (FaultKind.THROTTLED, "Slow down")))
    assert "others were served" in text
    assert "refused all calls" in text


def test_items_that_are_too_large_are_to_be_shortened_and_not_run_again():
    batch = batch_of((FaultKind.REJECTED, TOO_LARGE))
    assert "shorten them" in advice(batch)
    assert cannot_succeed({"rejected": 1}, batch.messages)


@pytest.mark.parametrize("failures", [{}, {"rejected": 2}, {"rejected": 1, "invalid": 1}])
def test_items_that_may_not_all_be_too_large_can_be_run_again(failures):
    assert not cannot_succeed(failures, batch_of((FaultKind.REJECTED, TOO_LARGE)).messages)


def test_a_model_that_the_account_may_not_use_is_to_be_replaced():
    batch = batch_of((FaultKind.EXHAUSTED, NO_ACCESS))
    assert lacks_access(batch)
    assert "use another model" in advice(batch)


@pytest.mark.parametrize("message", ["You exceeded your current quota", "Your credit balance is too low", ""])
def test_a_quota_that_is_used_up_is_no_lack_of_access(message):
    assert not lacks_access(batch_of((FaultKind.EXHAUSTED, message)))


def test_a_prompt_that_a_policy_rejects_has_other_advice_than_an_answer_that_the_model_declined():
    flagged = batch_of(
        (FaultKind.REFUSED, "BadRequestError: Error code: 400 - {'error': {'message': 'content filter'}}")
    )
    assert "content policy" in advice(flagged)
    assert "declined" in advice(batch_of((FaultKind.REFUSED, "stopped for safety")))
