"""How the core's properties are searched: no deadline for an example, as a slow machine is no fault of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("core", deadline=None, max_examples=60)
settings.load_profile("core")
