"""What a reply's headers say of quotas, for strategies that see them."""

from __future__ import annotations

import time
from typing import Any

from .._core.classify import lowered
from .._core.headers import quota_of
from .._core.quota import QuotaHint


def quota_hint(headers: Any) -> QuotaHint | None:
    """Return what a good reply's headers say of the provider's quotas; None: nothing.

        self.quota_hint = quota_hint(response.headers)          # in `execute`

    OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*` are understood. Takes what any HTTP client has as headers:
    a mapping or pairs, of text or bytes; never raises.
    """
    return quota_of(lowered(headers), wall_time=time.time())
