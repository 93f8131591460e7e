"""Strategies that are ready to use; those for a provider are in modules of their own, as they need its package."""

from .callable import CallableStrategy as CallableStrategy
from .escalation import ModelEscalation as ModelEscalation
from .feedback import ValidationFeedback as ValidationFeedback
from .headers import quota_hint as quota_hint
from .registry import model as model
from .typed import OutputType as OutputType

__all__ = ["CallableStrategy", "ModelEscalation", "OutputType", "ValidationFeedback", "model", "quota_hint"]
