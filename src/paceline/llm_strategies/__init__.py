"""Strategies that are ready to use; those for a provider are in modules of their own, as they need its package."""

from .callable import CallableStrategy as CallableStrategy
from .feedback import ValidationFeedback as ValidationFeedback
from .headers import quota_hint as quota_hint
from .typed import OutputType as OutputType

__all__ = ["CallableStrategy", "OutputType", "ValidationFeedback", "quota_hint"]
