"""Strategies that are ready to use; those for a provider are in modules of their own, as they need its package."""

from .callable import CallableStrategy as CallableStrategy
from .headers import quota_hint as quota_hint

__all__ = ["CallableStrategy", "quota_hint"]
