"""Typed answers: from a Python type to a schema, and from a reply to a value of that type."""

from .output_type import OutputType

__all__ = ["OutputType"]
