"""The reason of a fault is set where an answer is classified; a kind that is decided otherwise has no reason of another kind."""

from __future__ import annotations

import itertools

import pytest

from paceline import FaultKind
from paceline._core.provider_answers.classify import classify
from paceline._core.provider_answers.foreign_error import Answer, read_body
from paceline._core.provider_answers.provider_errors import kind_of_answer, reason_of_answer
from paceline.exceptions import CallError
from paceline.llm_strategies.common import ProviderErrorClassifier, parse_object, raise_reply_error
from paceline.typing import FaultReason

MODEL = "Project `p` does not have access to model `gpt-5`"
CASES = [
    (403, MODEL, None, "no_access"),
    (403, "no", "model_not_found", "no_access"),
    (401, "team not allowed", "team_model_access_denied", "no_access"),
    (403, "Country, region, or territory not supported", None, "region"),
    (400, "User location is not supported for the API use.", None, "region"),
    (429, "You exceeded your current quota", "insufficient_quota", "credit"),
    (400, "Your credit balance is too low to access the API", None, "credit"),
    (402, "pay", None, "credit"),
    (400, "flagged", "content_policy_violation", "policy"),
    (403, "Content violates usage guidelines. Safety", None, "policy"),
    (413, "too big", None, "too_large"),
    (429, "Request too large for gpt-5", None, "too_large"),
    (400, "This model's maximum context length is 8192 tokens. However, ...", "context_length_exceeded", "too_large"),
    (400, "prompt is too long: 213462 tokens > 200000 maximum", None, "too_large"),
    (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", None, "too_large"),
    (400, "the words 'prompt is too long' are forbidden", None, None),
    (429, "Slow down", "rate_limit_exceeded", None),
    (400, "bad", None, None),
    (404, "no such model", "model_not_found", None),
    (401, "no key", "invalid_api_key", None),
    (500, "oh", None, None),
]


class ServiceError(Exception):
    def __init__(self, status, message, code):
        super().__init__(message)
        self.status_code = status
        self.body = {"error": {"message": message, "code": code}}


@pytest.mark.parametrize(("status", "message", "code", "reason"), CASES)
def test_the_reason_is_read_from_the_codes_the_status_and_the_first_words(status, message, code, reason):
    assert classify(ServiceError(status, message, code), wall_time=0.0).reason == reason


@pytest.mark.parametrize(("case", "kind"), list(itertools.product(CASES, FaultKind)))
def test_a_reason_belongs_to_the_kind_that_the_answer_is(case, kind):
    status, message, code, _ = case
    answer = Answer(status, {}, read_body({"error": {"message": message, "code": code}}))
    assert reason_of_answer(answer, kind) is None or kind is kind_of_answer(answer)


def test_an_error_in_a_reply_with_status_200_has_its_reason():
    with pytest.raises(CallError) as caught:
        raise_reply_error({"error": {"message": "flagged", "code": "content_filter"}})
    assert (caught.value.kind, caught.value.reason) == ("refused", FaultReason.POLICY)


class PageError(Exception):
    def __init__(self, status, kind="text/html; charset=utf-8"):
        super().__init__(f"Error code: {status}")
        self.status_code, self.headers = status, {"Content-Type": kind}


@pytest.mark.parametrize("status", [404, 405])
def test_a_web_page_with_a_status_of_a_wrong_address_is_not_the_api(status):
    fault = classify(PageError(status), wall_time=0.0)
    assert (fault.kind, fault.reason, fault.misses_api) == ("rejected", "not_the_api", True)
    assert fault.message == f"HTTP {status}: the server answered HTML, not JSON: is the URL right?"


@pytest.mark.parametrize("error", [PageError(502), PageError(403), PageError(404, "application/json")])
def test_a_page_of_a_gateway_that_is_down_or_of_a_firewall_says_nothing_about_the_address(error):
    assert not classify(error, wall_time=0.0).misses_api


def test_a_page_instead_of_an_answer_is_not_the_api():
    with pytest.raises(CallError) as caught:
        parse_object("<!doctype html><html></html>")
    fault = ProviderErrorClassifier(server="http://127.0.0.1:9/v1").classify(caught.value)
    assert (fault.kind, fault.reason) == ("transient", "not_the_api")
    assert fault.message.endswith("is the URL right (http://127.0.0.1:9/v1)?")
