"""How the laws of pace are searched: the same examples each time where a law is about a measured share, else new ones."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("pace", deadline=None, max_examples=100, report_multiple_bugs=False)
settings.load_profile("pace")
# A world of ten thousand calls is no small example, and shrinking it is minutes: what fails is told as it was drawn.
settings.register_profile(
    "worlds",
    deadline=None,
    derandomize=True,
    max_examples=10,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
