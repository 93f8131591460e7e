"""Advice: what to do about the items that failed."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import BatchResult, Fault, FaultKind, WorkItemResult
from paceline._core.fault import too_large_fault
from paceline._core.fault_groups import FaultGroup
from paceline.cli.advice import MOST, advice, cannot_succeed, needs_other_model
from paceline.typing import FaultReason

OWN = "refused 9 times in a row, whereas m served others: RateLimitError: Error code: 429 - {'error': {'message': 'Slow down'}}"
ALONE = Fault(FaultKind.THROTTLED, OWN, reason=FaultReason.REFUSED_ALONE)
TOO_LARGE = too_large_fault("Error code: 413 - {'error': {'message': 'Request too large'}}")
NO_ACCESS = Fault(FaultKind.EXHAUSTED, "403: no such right", reason=FaultReason.NO_ACCESS)
POLICY = Fault(FaultKind.REFUSED, "400: content filter", reason=FaultReason.POLICY)


def batch_of(*faults):
    return BatchResult(results=tuple(WorkItemResult(f"q{n}", n, error=fault) for n, fault in enumerate(faults)))


def said(*faults):
    return " | ".join(advice(batch_of(*faults)))


def test_an_item_that_is_refused_while_others_are_served_has_its_own_advice():
    assert "refused all calls" not in said(ALONE)
    assert "others were served" in said(ALONE)
    assert "served others: 429: Slow down (q0)" in batch_of(ALONE).summary()


def test_both_causes_of_refusals_are_named_if_both_are_there():
    text = said(ALONE, Fault(FaultKind.THROTTLED, "Slow down"))
    assert "others were served" in text
    assert "refused all calls" in text


def test_items_that_are_too_large_are_to_be_shortened_and_not_run_again():
    assert "shorten them" in said(TOO_LARGE)
    assert cannot_succeed({"rejected": 1}, batch_of(TOO_LARGE).messages)


@pytest.mark.parametrize("failures", [{}, {"rejected": 2}, {"rejected": 1, "invalid": 1}])
def test_items_that_may_not_all_be_too_large_can_be_run_again(failures):
    assert not cannot_succeed(failures, batch_of(TOO_LARGE).messages)


def test_a_model_that_the_account_may_not_use_is_to_be_replaced():
    assert needs_other_model(batch_of(NO_ACCESS))
    assert "use another model" in said(NO_ACCESS)
    stopped = Fault(FaultKind.PENDING, "m serves no more calls", reason=FaultReason.NO_ACCESS)
    assert needs_other_model(attrs.evolve(batch_of(), stopped=stopped))


@pytest.mark.parametrize("message", ["does not have access to model `m`", "Your credit balance is too low", ""])
def test_words_without_a_reason_decide_nothing(message):
    assert not needs_other_model(batch_of(Fault(FaultKind.EXHAUSTED, message)))
    assert said(Fault(FaultKind.REFUSED, "400 content policy")) == said(Fault(FaultKind.REFUSED))
    assert not cannot_succeed({"rejected": 1}, batch_of(Fault(FaultKind.REJECTED, TOO_LARGE.message)).messages)


def test_a_prompt_that_a_policy_rejects_has_other_advice_than_an_answer_that_the_model_declined():
    assert "content policy" in said(POLICY)
    assert "declined" in said(Fault(FaultKind.REFUSED, "stopped for safety"))


def test_used_up_credit_is_named():
    assert "add credit" in said(Fault(FaultKind.EXHAUSTED, "402", reason=FaultReason.CREDIT))


def test_each_kind_that_occurs_has_its_advice_the_most_frequent_first():
    one, other = advice(batch_of(Fault(FaultKind.INVALID), *[Fault(FaultKind.TRUNCATED)] * 2))
    assert one.startswith("truncated (2 items): answers reached the limit of output tokens")
    assert other.startswith("invalid (1 item): answers did not match")


def test_what_stops_a_batch_stands_first():
    first, _ = advice(batch_of(*[Fault(FaultKind.INVALID)] * 9, Fault(FaultKind.DENIED)))
    assert first.startswith("denied (1 item): ")


@given(st.lists(st.sampled_from(sorted(FaultKind)), max_size=30))
def test_no_more_than_a_few_sentences_are_said_and_pending_items_have_none_beside_others(kinds):
    sentences = advice(batch_of(*map(Fault, kinds)))
    failed = set(kinds) - {FaultKind.PENDING}
    assert len(sentences) == min(MOST, len(failed) or len(set(kinds)))
    assert (f"{len(failed) - MOST} more kind" in " ".join(sentences)) == (len(failed) > MOST)


@pytest.mark.parametrize(
    ("kind", "reason"),
    list(itertools.product(FaultKind, [each for each in FaultReason if each is not FaultReason.BUDGET])),
)  # a budget that is used up fails no item
def test_every_reason_has_advice_of_its_own(kind, reason):
    assert said(Fault(kind, reason=reason)) != said(Fault(kind)) or kind is FaultKind.PENDING


def test_a_kind_that_stopped_the_batch_is_explained_elsewhere():
    batch = batch_of(*[Fault(FaultKind.REJECTED, "no such model")] * 9, Fault(FaultKind.INVALID))
    batch = attrs.evolve(batch, systematic=(FaultGroup(FaultKind.REJECTED, 9, "no such model"),))
    (sentence,) = advice(batch)
    assert sentence.startswith("answers did not match")
