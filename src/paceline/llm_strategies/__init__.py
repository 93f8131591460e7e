"""Strategies that are ready to use; those for a provider are in modules of their own, as they need its package."""

from .._core.escalation import EscalationPolicy as EscalationPolicy
from .._core.exceptions import Problem as Problem
from .._core.quota import QuotaHint as QuotaHint
from .._core.quota import QuotaLimit as QuotaLimit
from .callable import CallableStrategy as CallableStrategy
from .common import quota_hint as quota_hint
from .escalation import ModelEscalation as ModelEscalation
from .feedback import ValidationFeedback as ValidationFeedback
from .output_types.output_type import OutputType as OutputType
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
    "model",
    "quota_hint",
]
