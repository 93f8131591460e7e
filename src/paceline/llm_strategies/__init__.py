"""Strategies that need no provider package, and what they are configured with.

The strategies of providers are in modules of their own: `gemini`, `openai`, `anthropic`. Importing this package imports no
provider package, jsonschema or sqlite3.
"""

from .._core.escalation import EscalationPolicy as EscalationPolicy
from .._core.exceptions import Problem as Problem
from .._core.quota import QuotaHint as QuotaHint
from .._core.quota import QuotaLimit as QuotaLimit
from .callable import CallableStrategy as CallableStrategy
from .common import quota_hint as quota_hint
from .escalation import ModelEscalation as ModelEscalation
from .feedback import ValidationFeedback as ValidationFeedback
from .output_types import OutputType as OutputType
from .prices import listed_price as listed_price
from .registry import model as model

__all__ = [
    "CallableStrategy",
    "EscalationPolicy",
    "ModelEscalation",
    "OutputType",
    "Problem",
    "QuotaHint",
    "QuotaLimit",
    "ValidationFeedback",
    "listed_price",
    "model",
    "quota_hint",
]
