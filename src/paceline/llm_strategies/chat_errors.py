"""How OpenAI and Anthropic, and those who speak as they do, say no by an exception of their packages.

Rules owned here:

1. An error is what its HTTP status says, unless a code in its body says more.
2. A refusal for what the input says is the item's own, whatever its status: it must not stop a batch, as a bad key does.
"""

from __future__ import annotations

from .._core.classify import attribute, hinted, of_status
from .._core.fault import Fault, FaultKind
from .classifier import ProviderErrorClassifier
from .replies import kind_of, mapping

WORDS = {
    "account_deactivated": FaultKind.DENIED,
    "authentication_error": FaultKind.DENIED,
    "billing_error": FaultKind.EXHAUSTED,
    "billing_hard_limit_reached": FaultKind.EXHAUSTED,
    "billing_not_active": FaultKind.EXHAUSTED,
    "content_filter": FaultKind.REFUSED,
    "content_policy_violation": FaultKind.REFUSED,
    "contract_spend_limit_reached": FaultKind.EXHAUSTED,
    "enforced_spend_limit_reached": FaultKind.EXHAUSTED,
    "insufficient_quota": FaultKind.EXHAUSTED,
    "invalid_api_key": FaultKind.DENIED,
    "linked_organization_spend_limit_reached": FaultKind.EXHAUSTED,
    "organization_on_hold": FaultKind.DENIED,
    "overloaded_error": FaultKind.OVERLOADED,
    "ramp_limit_exceeded": FaultKind.THROTTLED,
    "rate_limit_error": FaultKind.THROTTLED,
    "rate_limit_exceeded": FaultKind.THROTTLED,
    "slow_down": FaultKind.THROTTLED,
    "timeout_error": FaultKind.TIMEOUT,
}


def _read(error: BaseException, *, wall_time: float) -> Fault | None:
    status = attribute(error, "status_code")
    if not isinstance(status, int) or attribute(error, "response") is None:
        return None
    body = mapping(attribute(error, "body"))
    if "flagged_input" in mapping(body.get("metadata")):  # OpenRouter's moderation, as a 403
        kind = FaultKind.REFUSED
    else:
        said = (attribute(error, name) for name in ("error_code", "code", "type"))
        kind = kind_of(WORDS, *said) or of_status(status)
    return hinted(error, kind, wall_time=wall_time)


class ChatErrorClassifier(ProviderErrorClassifier):
    """Understands the exceptions of the openai and the anthropic package, and all that the default classifier does.

    Args:
        secret: the key, which a gateway may echo; it is blanked in every message.
    """

    reading = staticmethod(_read)
