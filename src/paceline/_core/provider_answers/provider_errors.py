"""Provider errors: the kind of fault that an error of a provider is, by its codes and, where nothing else tells, by its words.

Rules owned here:

1. An HTTP status says whose fault an error is only in part: the same 403 is a wrong key, a country, a model, a file or a filter; the
   same 400 is a malformed request or an empty account. A code or a reason in the body has priority, whatever the status.
2. Words count only where a provider sends no code that tells. A row holds the statuses that they come with, and the words with which
   the provider's own message begins, or a phrase that no other message has. Messages can quote prompts: there is no row for a word.
3. What concerns the account, its model or its country closes the lane (`exhausted`): no other call in it can succeed, and all of them
   may later. Only credentials, and an account that is closed, stop the batch (`denied`). What concerns the content is the item's.
4. A 403 that no row knows is the item's (`rejected`), as are other 4xx: a bare 403 of a firewall must not stop a batch of which other
   items are served. If nothing is served, the batch stops for its identical faults.
5. Too large is too large, by 413 or by the numbers of a 429, whatever code it comes with: no wait mends it.

Each row names its source: documentation (`docs`), or the tracker in which users report the answer word for word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from ..fault import FaultKind, FaultReason
from .foreign_error import Answer, ErrorBody

_LONGEST_SENTENCES = 4_000  # characters of a message that are searched
_PAYMENT_REQUIRED, _PAYLOAD_TOO_LARGE, _TOO_MANY = 402, 413, 429

_BY_STATUS = {
    401: FaultKind.DENIED,
    402: FaultKind.EXHAUSTED,
    407: FaultKind.DENIED,
    408: FaultKind.TIMEOUT,
    429: FaultKind.THROTTLED,
    499: FaultKind.TRANSIENT,
    503: FaultKind.OVERLOADED,
    504: FaultKind.TIMEOUT,
    529: FaultKind.OVERLOADED,
}


@attrs.frozen
class Finding:
    """What a row of the tables says of an answer."""

    kind: FaultKind
    reason: FaultReason | None = None


_ITEM, _BATCH = Finding(FaultKind.REFUSED, FaultReason.POLICY), Finding(FaultKind.DENIED)
_CREDIT, _MODEL, _REGION = (
    Finding(FaultKind.EXHAUSTED, reason) for reason in (FaultReason.CREDIT, FaultReason.NO_ACCESS, FaultReason.REGION)
)
_QUOTA, _PACE, _CAPACITY = Finding(FaultKind.EXHAUSTED), Finding(FaultKind.THROTTLED), Finding(FaultKind.OVERLOADED)
_TIME, _ANSWER = Finding(FaultKind.TIMEOUT), Finding(FaultKind.INVALID)
_TOO_LARGE = Finding(FaultKind.REJECTED, FaultReason.TOO_LARGE)
_CODES: tuple[tuple[Finding, str, str], ...] = (  # finding, codes in lower case, source
    # ---- credentials: the batch
    (_BATCH, "invalid_api_key account_deactivated ip_not_authorized invalid_organization", "OpenAI docs: error codes"),
    (_BATCH, "authentication_error organization_on_hold oauth_org_not_allowed", "Anthropic docs: errors"),
    (_BATCH, "api_key_invalid api_key_expired consumer_suspended consumer_invalid", "Google docs: ErrorReason"),
    (_BATCH, "organization_restricted", "Groq; huggingface.co/spaces/suhail1399/Load_Balancing_App"),
    (_BATCH, "unrecognizedclientexception expiredtokenexception invalidsignatureexception", "AWS docs: common errors"),
    (_BATCH, "invalidclienttokenid missingauthenticationtokenexception incompletesignature", "AWS docs: common errors"),
    (_BATCH, "invalidapikey apikey_expired", "DashScope docs: error codes"),
    # ---- content: the item
    (_ITEM, "content_filter content_policy_violation responsibleaipolicyviolation", "OpenAI and Azure docs"),
    (_ITEM, "flagged_input", "OpenRouter docs: moderation errors have metadata.flagged_input"),
    (_ITEM, "invalid_prompt moderation_blocked", "OpenAI: the prompt was flagged by its usage policy"),
    (_ITEM, "data_inspection_failed datainspectionfailed", "DashScope docs: error codes"),
    (_ITEM, "sensitivecontentdetected safety_check_failed", "Volcengine Ark and ZenMux docs"),
    # ---- the size of the content: the item
    (_TOO_LARGE, "context_length_exceeded", "OpenAI docs: error codes; Groq"),
    # ---- the model's answer, which the provider could not read: the item, and it may be asked again
    (
        _ANSWER,
        "tool_use_failed json_validate_failed failed_generation",
        "Groq docs: tool use, structured outputs",
    ),
    # ---- credit and spending limits: the lane
    (_CREDIT, "insufficient_quota billing_hard_limit_reached billing_not_active", "OpenAI docs: error codes"),
    (_CREDIT, "contract_spend_limit_reached enforced_spend_limit_reached", "Anthropic docs: errors"),
    (_CREDIT, "linked_organization_spend_limit_reached billing_error", "Anthropic docs: errors"),
    (_CREDIT, "blocked_api_access", "Groq docs: spend limits; comes as 400"),
    (
        _CREDIT,
        "billing_disabled service_disabled",
        "Google docs: ErrorReason; GoogleCloudPlatform/php-docs-samples#1235",
    ),
    (_CREDIT, "insufficient_balance insufficient_credit insufficient_credits reject_no_credit", "DeepSeek, ZenMux"),
    (_CREDIT, "payment_required quote_exceeded insufficient_funds", "OpenRouter and ZenMux docs"),
    (_CREDIT, "exceeded_current_quota_error", "Moonshot docs: comes as 429"),
    (_CREDIT, "arrearage allocationquota.freetieronly", "DashScope docs: error codes"),
    (_CREDIT, "accountoverdueerror", "Volcengine Ark docs"),
    (_CREDIT, "budget_exceeded", "LiteLLM docs: budgets; comes as 400"),
    (_CREDIT, "usage_limit_reached usage_not_included", "OpenAI: limits of a plan; openai/codex"),
    # ---- model and country: the lane
    (_REGION, "unsupported_country_region_territory unsupported_country regionerror", "home-assistant/core#120072"),
    (_MODEL, "model_permission_blocked_org model_permission_blocked_project", "Groq docs: model permissions"),
    (_MODEL, "model_terms_required", "Groq: the terms of a model are not accepted; comes as 400"),
    (
        _MODEL,
        "key_model_access_denied team_model_access_denied user_model_access_denied",
        "LiteLLM proxy; comes as 401",
    ),
    (_MODEL, "project_model_access_denied org_model_access_denied", "LiteLLM proxy; comes as 401"),
    (_MODEL, "model.accessdenied accessdenied.unpurchased", "DashScope docs: error codes"),
    (_MODEL, "modelnotopen", "Volcengine Ark docs; comes as 404"),
    # ---- pace and capacity
    (
        _PACE,
        "rate_limit_exceeded rate_limit_error ramp_limit_exceeded slow_down",
        "OpenAI, Anthropic docs",
    ),
    (_PACE, "throttlingexception toomanyrequestsexception", "AWS docs: common errors"),
    (_CAPACITY, "overloaded_error", "Anthropic docs: errors"),
    (_TIME, "timeout_error", "Anthropic docs: errors"),
)
_PREFIXES = (  # of reasons that come in families
    ("api_key_", _BATCH, "Google docs: ErrorReason; a blocked service, IP address, referrer or app"),
    ("access_token_", _BATCH, "Google docs: ErrorReason"),
)
_CODES_BY_STATUS = {  # codes that tell only together with their status
    (403, "model_not_found"): _MODEL,  # OpenAI; Aider-AI/aider#1903: the project has no access to the model
    (429, "quota_exhausted"): _QUOTA,  # Google's ErrorInfo; Wei-Shaw/claude-relay-service#746
    (429, "1113"): _CREDIT,  # Z.ai docs: the balance is used up
    (429, "1308"): _QUOTA,  # Z.ai docs: the usage limit of 5 hours; hugalafutro/model-hotel#955
    (429, "1310"): _QUOTA,  # Z.ai docs: the limit of a week or a month; Yeachan-Heo/gajae-code#1821
    (400, "1301"): _ITEM,  # Zhipu docs: the content is sensitive
    (403, "30001"): _CREDIT,  # SiliconFlow docs: the balance is insufficient
}


@attrs.frozen
class _Words:
    finding: Finding
    statuses: frozenset[int]
    text: re.Pattern[str]
    source: str


def _words(finding: Finding, statuses: str, text: str, source: str) -> _Words:
    return _Words(finding, frozenset(map(int, statuses.split())), re.compile(text, re.IGNORECASE), source)


_ACCOUNT = "400 401 402 403 412 429"
_TEXTS = (  # a text with ^ is the beginning of the message; statuses; source
    # ---- credentials: the batch
    _words(_BATCH, "400 403", r"^This organization has been disabled", "anthropics/claude-code#72457"),
    _words(_BATCH, "403", r"^OAuth authentication is currently not allowed", "anthropics/claude-code#65714"),
    _words(_BATCH, "403", r"^Your API key was reported as leaked", "googleapis/python-genai#1764"),
    _words(_BATCH, "400 403", r"^(?:The |Your |Incorrect |Invalid )?API[ _-]key(?: \S{1,200})?(?: (?:is|was|has been))? "
           r"(?:not valid|not found|invalid|incorrect|expired|disabled|blocked|revoked|provided)", "Google, xAI, Wei-Shaw/sub2api#1709"),
    _words(_BATCH, "403", r"^Method doesn't allow unregistered callers", "Google: no key was sent"),
    _words(_BATCH, "403", r"^(?:This service has been disabled in this account|Your project has been denied access)",
           "google-gemini/gemini-cli#19501"),
    _words(_BATCH, "403", r"^Access denied due to Virtual Network/Firewall rules", "Azure docs: the IP address is not allowed"),
    _words(_BATCH, "403", r"^Access denied\. Please check your network settings", "Groq: the network is not allowed"),
    _words(_BATCH, "403", r"^The security token included in the request is (?:invalid|expired)", "AWS docs: common errors"),
    _words(_BATCH, "403", r"^This authentication method does not have sufficient permissions", "Hugging Face: scope of the token"),
    # ---- content: the item
    _words(_ITEM, "403", r"^Content violates usage guidelines", "xAI: a safety check failed"),
    _words(_ITEM, "403", r"^The request is prohibited due to a violation of provider Terms Of Service", "OpenRouter"),
    _words(_ITEM, "400", r"^Output blocked by content filtering policy", "Anthropic"),
    # ---- the size of the content: the item
    _words(_TOO_LARGE, "400", r"^(?:The input token count|This model's maximum context length is|prompt is too long\b|Input is too long)",
           "Gemini, vLLM and its like, Anthropic docs: errors, Amazon Bedrock docs"),
    # ---- credit and spending limits: the lane
    _words(_CREDIT, "400 403", r"^Your credit balance is too low", "anthropics/claude-code#66314, #91322; Anthropic: 400 invalid_request_error"),
    _words(_CREDIT, "400 403 429", r"^You have reached your specified (?:workspace )?API usage limits", "anthropics/claude-code#38035"),
    _words(_CREDIT, _ACCOUNT, r"has either used all available credits or reached its monthly spending limit",
           "xAI; continuedev/continue#10373 as 429, Anantys-oss/koan#2412 as 403"),
    _words(_CREDIT, _ACCOUNT, r"^Your newly created team doesn't have any credits", "xAI; continuedev/continue#12670"),
    _words(_CREDIT, _ACCOUNT, r"^You have run out of credits", "xAI; Wei-Shaw/sub2api#4069"),
    _words(_CREDIT, _ACCOUNT, r"^(?:Sorry, )?(?:your )?(?:account )?balance is insufficient", "SiliconFlow docs"),
    _words(_CREDIT, _ACCOUNT, r"^Insufficient (?:account )?(?:balance|credits?|funds|quota)\b", "DeepSeek docs, OpenRouter docs"),
    _words(_CREDIT, "401 403", r"^Key limit exceeded", "OpenRouter; RooCodeInc/Roo-Code#515"),
    _words(_CREDIT, "400 403 429", r"requires billing to be enabled|^(?:The )?billing account (?:for|of) .{1,100} (?:is|has been) "
           r"(?:disabled|closed|not found)|^Billing (?:is disabled|has not been enabled)", "Google; GoogleCloudPlatform/php-docs-samples#1235"),
    _words(_CREDIT, "429", r"^Your (?:prepay|prepayment|prepaid) credits are depleted|^Your (?:project|billing account) has exceeded its "
           r"(?:monthly )?spending cap", "Gemini docs: billing"),
    _words(_CREDIT, "403", r"API has not been used in project \S{1,100} before or it is disabled", "Google docs: SERVICE_DISABLED"),
    _words(_CREDIT, "412", r"^Account .{1,100} is suspended", "Fireworks docs: error codes"),
    _words(_CREDIT, "400", r"^Access denied, please make sure your account is in good standing", "DashScope docs: Arrearage"),
    _words(_CREDIT, "400 429", r"^(?:ExceededBudget|Budget has been exceeded)", "LiteLLM docs: budgets"),
    _words(_CREDIT, "403", r"^Out of call volume quota", "Azure API Management docs: quota policy"),
    # ---- model and country: the lane
    _words(_REGION, "400 403", r"^User location is not supported", "Gemini docs: troubleshooting; google-gemini/cookbook#135"),
    _words(_REGION, "403", r"^Country, region, or territory not supported", "OpenAI docs: error codes"),
    _words(_REGION, "403", r"^Request not allowed\.?$", "Anthropic's answer to a country"),
    _words(_REGION, "400 403", r"is not allowed from unsupported countries|^This model is not available in your (?:country|region)",
           "aws-samples/generative-bi-using-rag#361, anomalyco/opencode#8796"),
    _words(_MODEL, "403", r"^(?:Project|Organization|Your (?:project|organization|account|team)) .{0,100}does not have access to (?:the )?model",
           "OpenAI; continuedev/continue#10120"),
    _words(_MODEL, "403", r"^You (?:don't|do not) have access to the model\b|^You are not allowed to sample from this model",
           "Amazon Bedrock docs, OpenAI"),
    _words(_MODEL, "403", r"^Permission 'aiplatform\.endpoints\.predict' denied", "Vertex AI: the account may not call the model"),
    _words(_MODEL, "403", r"^The model .{1,100} is blocked at the (?:project|organization) level", "Groq docs: model permissions"),
    # ---- long quotas: the lane
    _words(_QUOTA, "429", r"^Rate limit exceeded: free-models-per-day", "OpenRouter; Gitlawb/openclaude#936"),
    _words(_QUOTA, "429", r"^Too many tokens per day", "Amazon Bedrock; Ivy-Interactive/Ivy-Tendril#1756"),
    _words(_QUOTA, "429", r"^Usage limit reached for \d+ hours?|^(?:Daily|Weekly|Monthly)(?:/Monthly)? limit exhausted", "Z.ai docs"),
    _words(_QUOTA, "429", r"^Rate limit of \d+ per 86400 ?s exceeded", "GitHub Models docs"),
    _words(_QUOTA, "429", r"key, which is limited to \d+ API calls / month", "Cohere docs: trial keys"),
    _words(_QUOTA, "429", r"^(?:Tokens|Requests) per (?:day|month) limit exceeded", "Cerebras docs"),
    _words(_QUOTA, "429", r"used up your daily free allocation", "Cloudflare Workers AI docs"),
    _words(_QUOTA, "429", r"(?:exceeded|reached|exhausted|used up) (?:your|the|its) (?:\w+ ){0,2}(?:daily|weekly|monthly) "
           r"(?:\w+ ){0,2}(?:limit|quota|allowance|allocation|credits)", "LLM gateways of no common form"),
)  # fmt: skip
_TOO_LARGE_TEXTS = (
    re.compile(r"^Request too large\b", re.IGNORECASE),  # OpenAI and Groq; Aider-AI/aider#1880, vanderschaarlab/climb#1
    re.compile(r"^Extra usage is required for long context requests", re.IGNORECASE),  # Anthropic; claude-code#44863
)
_BY_CODE: Mapping[str, Finding] = {code: finding for finding, codes, _ in _CODES for code in codes.split()}


def of_status(status: int) -> FaultKind:
    """Return the kind of fault for an HTTP status. One below 400 came without a usable answer: a passing failure."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FaultKind.REJECTED if 400 <= status < 500 else FaultKind.TRANSIENT  # noqa: PLR2004 - HTTP's own bounds


def kind_of_answer(answer: Answer) -> FaultKind | None:
    """Return the kind of fault that an answer is by its body, or else by its status; None if it has neither.

    Without a status no words count.
    """
    finding = _finding_in_body(answer.status, answer.body)
    if finding is not None:
        return finding.kind
    return None if answer.status is None else of_status(answer.status)


def reason_of_answer(answer: Answer, kind: FaultKind) -> FaultReason | None:
    """Return why an answer is a fault of a kind, where its codes, its status or its words say so."""
    finding = _finding_in_body(answer.status, answer.body)
    if finding is None and answer.status == _PAYMENT_REQUIRED:
        finding = _CREDIT
    return finding.reason if finding is not None and finding.kind is kind else None


def _finding_in_body(status: int | None, body: ErrorBody) -> Finding | None:
    if status == _PAYLOAD_TOO_LARGE:
        return _TOO_LARGE
    for word in body.words:
        if status is not None and (status, word) in _CODES_BY_STATUS:
            return _CODES_BY_STATUS[status, word]
        finding = _BY_CODE.get(word) or next((row for start, row, _ in _PREFIXES if word.startswith(start)), None)
        if finding is not None and finding is not _PACE:
            return finding
    rows = [row for row in _TEXTS if status in row.statuses]
    for text in body.messages:
        for row in rows:
            if row.text.search(text[:_LONGEST_SENTENCES]):
                return row.finding
    return _PACE if any(word in _BY_CODE for word in body.words) else None


def says_too_large(answer: Answer) -> bool:
    """Return whether a refusal says, by its status or in words, that the request alone is too large for the limit."""
    if answer.status == _PAYLOAD_TOO_LARGE:
        return True
    messages = answer.body.messages
    return answer.status == _TOO_MANY and any(text.search(each) for text in _TOO_LARGE_TEXTS for each in messages)
