"""The kind of a provider's error: by codes, and by the words of the rows that have no code."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core.provider_answers.foreign_error import Answer, read_body
from paceline._core.provider_answers.provider_errors import kind_of_answer, of_status, says_too_large

DENIED, EXHAUSTED, REFUSED = FaultKind.DENIED, FaultKind.EXHAUSTED, FaultKind.REFUSED
REJECTED, THROTTLED = FaultKind.REJECTED, FaultKind.THROTTLED


def kind_of(status, body):
    return kind_of_answer(Answer(status, {}, read_body(body)))


def openai(message, code=None, kind=None):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(message, kind="invalid_request_error"):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def google(message, status, *details):
    return {"error": {"code": 1, "message": message, "status": status, "details": list(details)}}


def reason(name):
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": name,
        "domain": "googleapis.com",
        "metadata": {},
    }


DENIALS = [  # the batch stops
    (401, {}),
    (401, openai("You must be a member of an organization", "invalid_organization")),
    (403, openai("Incorrect API key provided: sk-x", "invalid_api_key")),
    (400, openai("Incorrect API key provided: xa***zz. You can obtain an API key from https://console.x.ai.")),
    (400, anthropic("This organization has been disabled.")),
    (403, anthropic("OAuth authentication is currently not allowed for this organization.", "permission_error")),
    (400, google("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", reason("API_KEY_INVALID"))),
    (400, openai("API key expired. Please renew the API key.")),
    (403, google("Your API key was reported as leaked. Please use another API key.", "PERMISSION_DENIED")),
    (
        403,
        google("Requests to this API x method y are blocked.", "PERMISSION_DENIED", reason("API_KEY_SERVICE_BLOCKED")),
    ),
    (403, google("The provided API key has an IP address restriction.", "X", reason("API_KEY_IP_ADDRESS_BLOCKED"))),
    (403, google("Request had insufficient scopes.", "PERMISSION_DENIED", reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT"))),
    (403, google("Permission denied: Consumer has been suspended.", "PERMISSION_DENIED", reason("CONSUMER_SUSPENDED"))),
    (400, openai("Organization has been restricted.", "organization_restricted", "invalid_request_error")),
    (403, openai("Access denied due to Virtual Network/Firewall rules.", "AccessDenied")),
    (
        403,
        {"__type": "UnrecognizedClientException", "message": "The security token included in the request is invalid."},
    ),
]
CLOSED_LANES = [  # the lane is exhausted, its other items stay pending
    (402, {}),
    (402, openai("Insufficient Balance", "invalid_request_error", "unknown_error")),
    (400, anthropic("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.")),
    (
        400,
        anthropic(
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
        ),
    ),
    (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
    (401, openai("You exceeded your current quota", 401, "insufficient_quota")),  # Perplexity
    (400, openai("Billing hard limit has been reached", "billing_hard_limit_reached")),
    (403, openai("Your account is not active", "billing_not_active")),
    (403, google("This API method requires billing to be enabled. Please enable billing", "PERMISSION_DENIED")),
    (403, google("x", "PERMISSION_DENIED", reason("BILLING_DISABLED"))),
    (403, google("Vertex AI API has not been used in project 5 before or it is disabled.", "PERMISSION_DENIED")),
    (400, google("User location is not supported for the API use.", "FAILED_PRECONDITION")),
    (429, google("Your prepayment credits are depleted. Please go to AI Studio", "RESOURCE_EXHAUSTED")),
    (
        403,
        {
            "code": "x",
            "error": "Your team t has either used all available credits or reached its monthly spending limit.",
        },
    ),
    (
        429,
        {
            "code": "x",
            "error": "Your team t has either used all available credits or reached its monthly spending limit.",
        },
    ),
    (403, {"code": "x", "error": "Your newly created team doesn't have any credits or licenses yet."}),
    (403, openai("Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys", 403)),
    (400, openai("Spend limit reached", "blocked_api_access")),
    (412, {"error": "Account x is suspended, possibly due to reaching the monthly spending limit"}),
    (429, openai("Your account is suspended", None, "exceeded_current_quota_error")),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),
    (400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}),
    (429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package. Please recharge."}}),
    (
        429,
        {
            "error": {
                "code": "1308",
                "message": "Usage limit reached for 5 hour. Your limit will reset at 2026-11-30 23:00:00",
            }
        },
    ),
    (
        403,
        openai(
            "Country, region, or territory not supported", "unsupported_country_region_territory", "request_forbidden"
        ),
    ),
    (403, anthropic("Request not allowed", "forbidden")),
    (
        403,
        {"type": "error", "error": {"type": "RegionError", "message": "This model is not available in your country."}},
    ),
    (
        400,
        {"message": "Access to Anthropic models is not allowed from unsupported countries, regions, or territories."},
    ),
    (403, openai("Project `p` does not have access to model `gpt-5`", "model_not_found", "invalid_request_error")),
    (403, {"message": "You don't have access to the model with the specified model ID."}),
    (403, openai("The model `x` is blocked at the project level.", "model_permission_blocked_project")),
    (401, openai("key not allowed to access model", "401", "key_model_access_denied")),
    (
        403,
        google(
            "Permission 'aiplatform.endpoints.predict' denied on resource '//x' (or it may not exist).",
            "PERMISSION_DENIED",
        ),
    ),
    (
        429,
        openai(
            "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day", 429
        ),
    ),
    (429, {"message": "Too many tokens per day, please wait before trying again."}),
    (429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}),
    (429, openai("You have exceeded your daily request limit")),
    (429, openai("You have exceeded your daily request limit", "rate_limit_exceeded")),
]
REFUSALS = [  # the content of the item
    (
        403,
        {
            "error": {
                "message": "Your input was flagged",
                "code": 403,
                "metadata": {"flagged_input": "x", "reasons": []},
            }
        },
    ),
    (400, openai("The response was filtered", "content_filter")),
    (400, {"error": {"code": "x", "message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    (400, openai("Your request was rejected by our safety system", "content_policy_violation")),
    (400, {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}),
    (403, {"error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_CSAM"}),
]
REJECTIONS = [  # the request of the item
    (403, {}),
    (403, "<html><h1>403 Forbidden</h1></html>"),
    (403, {"error": "Forbidden"}),
    (403, google("You do not have permission to access the File x or it may not exist.", "PERMISSION_DENIED")),
    (403, google("The caller does not have permission", "PERMISSION_DENIED")),
    (
        403,
        google("p@x does not have storage.objects.get access to the Google Cloud Storage object.", "PERMISSION_DENIED"),
    ),
    (403, anthropic("Your API key does not have permission to use the specified resource.", "permission_error")),
    (404, openai("The model `x` does not exist or you do not have access to it.", "model_not_found")),
    (400, anthropic("max_tokens: 100000 > 8192")),
    (400, openai("This model's maximum context length is 8192 tokens", "context_length_exceeded")),
    (
        413,
        openai(
            "Request too large on tokens per minute (TPM): Limit 6000, Requested 6294", "rate_limit_exceeded", "tokens"
        ),
    ),
    (413, openai("You exceeded your current quota", "insufficient_quota")),
    (413, anthropic("Request exceeds the maximum size", "request_too_large")),
]
THROTTLES = [
    (429, {}),
    (429, google("You exceeded your current quota, please check your plan and billing details.", "RESOURCE_EXHAUSTED")),
    (429, openai("Rate limit reached. Upgrade to a monthly plan to raise it.", "rate_limit_exceeded", "requests")),
    (
        429,
        anthropic("This request would exceed your account's rate limit. Please try again later.", "rate_limit_error"),
    ),
    (503, openai("Slow down", "slow_down")),
    (400, {"__type": "ThrottlingException", "message": "Too many tokens, please wait before trying again."}),
]


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        (kind, *row)
        for kind, rows in (
            (DENIED, DENIALS),
            (EXHAUSTED, CLOSED_LANES),
            (REFUSED, REFUSALS),
            (REJECTED, REJECTIONS),
            (THROTTLED, THROTTLES),
        )
        for row in rows
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_answer_that_providers_send_has_its_kind(kind, status, body):
    assert kind_of(status, body) is kind


@pytest.mark.parametrize(("status", "body"), [*DENIALS, *CLOSED_LANES, *REFUSALS])
def test_an_answer_that_a_gateway_quotes_has_the_same_kind(status, body):
    quoted = json.dumps(body)
    for outer in (
        {
            "error": {
                "message": "Provider returned error",
                "code": status,
                "metadata": {"raw": quoted, "provider_name": "x"},
            }
        },
        {"error": {"message": f"litellm.APIError: XException - {quoted}", "type": None, "code": str(status)}},
        [body],
        {"detail": quoted},
    ):
        assert kind_of(status, outer) is kind_of(status, body)


PROMPT = "Your credit balance is too low to access the Anthropic API. Incorrect API key. insufficient_quota"


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"loc": ["body"], "msg": "Field required", "input": {"messages": [{"content": PROMPT, "code": "invalid_api_key"}]}}]},
        {"error": {"message": f"Invalid value: {PROMPT!r}", "code": "invalid_value"}},
        {"error": {"message": f"The text says: {PROMPT}", "request": {"error": {"code": "insufficient_quota"}}}},
        {"error": {"message": "bad", "param": "insufficient_quota"}, "prompt": {"error": {"code": "invalid_api_key"}}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 403, 422])
def test_words_of_a_prompt_that_a_body_quotes_are_not_the_providers(status, body):
    assert kind_of(status, body) is REJECTED


def test_words_count_only_with_a_status_that_they_come_with():
    text = anthropic("Your credit balance is too low to access the Anthropic API.")
    assert [kind_of(status, text) for status in (400, 500, 404, None)] == [
        EXHAUSTED,
        FaultKind.TRANSIENT,
        REJECTED,
        None,
    ]


@pytest.mark.parametrize(
    ("status", "message", "too_large"),
    [
        (413, "anything", True),
        (429, "Request too large for gpt-4o in organization o on tokens per min (TPM)", True),
        (429, "Extra usage is required for long context requests.", True),
        (429, "Rate limit reached; do not send a request too large", False),
        (400, "Request too large", False),
    ],
)
def test_a_request_that_is_too_large_is_so_by_status_or_by_words(status, message, too_large):
    assert says_too_large(Answer(status, {}, read_body({"message": message}))) is too_large


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "code", "details"]) | st.text(), inner)
    ),
    max_leaves=12,
)


@given(st.none() | st.integers(0, 999), json_values)
def test_any_body_has_the_kind_of_its_status_or_of_a_row(status, body):
    kind = kind_of(status, body)
    assert kind is None if status is None else kind in FaultKind
    if status is not None and not isinstance(body, (dict, list)):
        assert kind is of_status(status)
