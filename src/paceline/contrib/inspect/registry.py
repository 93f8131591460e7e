"""Registry: what inspect_ai loads by the entry point `inspect_ai`, whichever model it runs. It imports nothing else of paceline."""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
from __future__ import annotations

from inspect_ai.model import ModelAPI, modelapi


@modelapi(name="paceline")
def paceline() -> type[ModelAPI]:
    """Return the provider, which is loaded when a model of it is first asked for."""
    from ._provider import PacelineAPI  # noqa: PLC0415 - inspect loads this module for other models too

    return PacelineAPI
