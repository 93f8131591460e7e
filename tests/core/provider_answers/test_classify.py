"""Faults of exceptions: by the strategy's own statement, by a code, by the members of a group."""

from __future__ import annotations

import asyncio
import enum
import http

import httpx2
import pytest

from paceline import CallError, FaultKind, RateLimitError
from paceline._core.provider_answers.classify import classify, describe
from paceline._core.provider_answers.foreign_error import status_of
from paceline._core.provider_answers.provider_errors import of_status

NOW = 1_800_000_000.0


def kind_of(error):
    return classify(error, wall_time=NOW).kind


def with_attributes(**attributes):
    error = Exception("x")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


# ----------------------------------------------------------------------------------------------- statuses


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FaultKind.REJECTED),
        (401, FaultKind.DENIED),
        (402, FaultKind.EXHAUSTED),
        (403, FaultKind.REJECTED),
        (404, FaultKind.REJECTED),
        (408, FaultKind.TIMEOUT),
        (413, FaultKind.REJECTED),
        (418, FaultKind.REJECTED),
        (422, FaultKind.REJECTED),
        (429, FaultKind.THROTTLED),
        (499, FaultKind.TRANSIENT),
        (500, FaultKind.TRANSIENT),
        (502, FaultKind.TRANSIENT),
        (503, FaultKind.OVERLOADED),
        (504, FaultKind.TIMEOUT),
        (529, FaultKind.OVERLOADED),
        (599, FaultKind.TRANSIENT),
    ],
)
def test_a_status_has_one_kind(status, kind):
    assert of_status(status) is kind
    assert kind_of(with_attributes(code=status)) is kind
    assert kind_of(with_attributes(status_code=status)) is kind
    assert kind_of(with_attributes(response=with_attributes(status_code=status))) is kind


@pytest.mark.parametrize("status", [-1, 0, 200, 204, 302, 10**6])
def test_a_status_that_is_not_an_error_is_transient(status):
    assert of_status(status) is FaultKind.TRANSIENT


@pytest.mark.parametrize("value", [429, "429", " 429 ", "429 Too Many Requests", http.HTTPStatus.TOO_MANY_REQUESTS])
@pytest.mark.parametrize("name", ["code", "status_code", "status", "http_status"])
def test_a_status_counts_in_any_usual_form_and_place(name, value):
    assert status_of(with_attributes(**{name: value})) == 429
    assert status_of(with_attributes(response=with_attributes(**{name: value}))) == 429


@pytest.mark.parametrize("value", [200, 0, -429, 4290, 429.0, True, None, "", "4290", "x429", b"429", [429], object()])
def test_a_value_that_is_not_a_status_is_ignored(value):
    assert status_of(with_attributes(code=value)) is None
    assert kind_of(with_attributes(code=value)) is FaultKind.BUG


def test_the_exceptions_own_status_comes_before_its_responses():
    assert status_of(with_attributes(code=503, response=with_attributes(status_code=429))) == 503


def test_a_textual_code_does_not_hide_the_status():
    assert kind_of(with_attributes(code="rate_limit_exceeded", status_code=429)) is FaultKind.THROTTLED


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [("insufficient_quota", 429, FaultKind.EXHAUSTED), ("slow_down", 503, FaultKind.THROTTLED)],
)
def test_a_known_error_code_precedes_the_status(word, status, kind):
    assert kind_of(with_attributes(code=word, status_code=status)) is kind


class GrpcCode(enum.Enum):
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    UNAVAILABLE = (14, "unavailable")
    UNAUTHENTICATED = (16, "unauthenticated")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    INVALID_ARGUMENT = (3, "invalid argument")
    INTERNAL = (13, "internal")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (GrpcCode.RESOURCE_EXHAUSTED, FaultKind.THROTTLED),
        (GrpcCode.UNAVAILABLE, FaultKind.OVERLOADED),
        (GrpcCode.UNAUTHENTICATED, FaultKind.DENIED),
        (GrpcCode.DEADLINE_EXCEEDED, FaultKind.TIMEOUT),
        (GrpcCode.INVALID_ARGUMENT, FaultKind.REJECTED),
        (GrpcCode.INTERNAL, FaultKind.TRANSIENT),
    ],
)
def test_grpc_says_its_code_by_a_method_or_a_name(code, kind):
    assert kind_of(with_attributes(code=lambda: code)) is kind
    assert kind_of(with_attributes(code=code)) is kind
    assert kind_of(with_attributes(status=code.name)) is kind


def test_nothing_but_grpcs_method_is_called():
    class Rejected:
        def __init__(self):
            called.append(1)

    called = []
    for attributes in ({"code": Rejected}, {"status": lambda: called.append(1)}, {"code": len}):
        assert kind_of(with_attributes(**attributes)) is FaultKind.BUG
    assert kind_of(with_attributes(status_code=lambda: 429)) is FaultKind.BUG
    assert called == []


def test_an_http_status_precedes_a_grpc_code():
    assert kind_of(with_attributes(code=503, status="RESOURCE_EXHAUSTED")) is FaultKind.OVERLOADED


def test_the_wording_of_a_message_does_not_decide():
    assert kind_of(Exception("429 Too Many Requests: rate limit, RESOURCE_EXHAUSTED")) is FaultKind.BUG


# ------------------------------------------------------------------------------------- what strategies say


@pytest.mark.parametrize("kind", FaultKind)
def test_a_call_error_states_its_fault_itself(kind):
    error = CallError("so it is", kind=kind, retry_after=2)
    error.code = 401
    fault = classify(error, wall_time=NOW)
    assert (fault.kind, fault.retry_after) == (kind, 2.0)
    assert "so it is" in fault.message


@pytest.mark.parametrize("hint", [-1, 0, float("nan"), float("inf"), "soon", None, True, object()])
def test_an_invalid_retry_after_of_a_strategy_is_ignored(hint):
    assert classify(RateLimitError(retry_after=hint), wall_time=NOW).retry_after is None


def test_a_providers_rules_come_after_the_strategys_and_before_the_default_ones():
    mine = classify(ValueError(), wall_time=NOW).message

    def read(error):
        return classify(TimeoutError(), wall_time=NOW) if isinstance(error, ValueError) else None

    assert classify(ValueError(), wall_time=NOW, read=read).kind is FaultKind.TIMEOUT
    assert classify(KeyError(), wall_time=NOW, read=read).kind is FaultKind.BUG
    assert classify(ExceptionGroup("", [ValueError()]), wall_time=NOW, read=read).kind is FaultKind.TIMEOUT
    assert classify(RateLimitError(), wall_time=NOW, read=read).kind is FaultKind.THROTTLED
    assert mine == "ValueError"


# ------------------------------------------------------------------------------------------------- groups


def test_a_group_has_the_gravest_fault_of_its_members():
    members = [TimeoutError(), with_attributes(code=401), with_attributes(code=429)]
    assert kind_of(ExceptionGroup("x", members)) is FaultKind.DENIED
    assert kind_of(ExceptionGroup("x", [members[0], ExceptionGroup("y", members[2:])])) is FaultKind.TIMEOUT
    assert kind_of(BaseExceptionGroup("x", [asyncio.CancelledError(), members[2]])) is FaultKind.CANCELLED


def test_a_group_of_refusals_waits_for_the_longest():
    waits = [RateLimitError(retry_after=seconds) for seconds in (1.0, 5.0, 3.0)]
    assert classify(ExceptionGroup("x", waits), wall_time=NOW).retry_after == 5.0


def test_a_group_may_be_nested_deeper_than_the_stack():
    error = with_attributes(code=429)
    for _ in range(20_000):
        error = ExceptionGroup("x", [error])
    assert kind_of(error) is FaultKind.THROTTLED


def test_a_group_class_of_ones_own_is_a_group_still():
    class Own(ExceptionGroup):
        pass

    assert kind_of(Own("x", [TimeoutError()])) is FaultKind.TIMEOUT


def test_a_group_with_a_status_is_classified_by_it():
    class Own(ExceptionGroup):
        status_code = 401

    assert kind_of(Own("x", [TimeoutError()])) is FaultKind.DENIED


# ----------------------------------------------------------------------------------------------- messages


def test_an_exception_without_words_is_described_by_its_type():
    assert describe(httpx2.ReadTimeout("")) == "ReadTimeout"
    assert describe(ValueError("x")) == "ValueError: x"


def test_a_message_can_be_encoded():
    assert describe(ValueError("half \ud83d a pair")).encode() == rb"ValueError: half \ud83d a pair"


def test_a_huge_message_is_cut():
    assert len(describe(ValueError("x" * 10**6))) < 20_000
    assert len(classify(ValueError("x" * 10**6), wall_time=NOW).message) == 2_000
