"""How the laws of pace are searched: no deadline for an example, as a slow machine is no fault of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("pace", deadline=None, max_examples=200, report_multiple_bugs=False)
settings.load_profile("pace")
