"""Middleware: hooks around every item. `Middleware` has the contract; raise `Skip` to settle an item without a call."""

from ._core.exceptions import Skip as Skip
from .abc import Middleware as Middleware

__all__ = ["Middleware", "Skip"]
