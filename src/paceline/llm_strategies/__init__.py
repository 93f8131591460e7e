"""Strategies that are ready to use; those for a provider are in modules of their own, as they need its package."""

from .callable import CallableStrategy as CallableStrategy
from .common import quota_hint as quota_hint
from .escalation import ModelEscalation as ModelEscalation
from .feedback import ValidationFeedback as ValidationFeedback
from .output_types.output_type import OutputType as OutputType
from .registry import model as model

__all__ = ["CallableStrategy", "ModelEscalation", "OutputType", "ValidationFeedback", "model", "quota_hint"]
