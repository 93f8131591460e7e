"""NeMo Data Designer's own AdaptiveRequestAdmissionController, with the behaviour of its executor and transport.

A refused request gives up its lease and its row is repeated later; the transport repeats 503s three times, with the lease held.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import anyio
from data_designer.engine.models.request_admission import (  # type: ignore[import-not-found]  # not in this environment
    controller,
)
from data_designer.engine.models.request_admission.config import (  # type: ignore[import-not-found]  # as above
    RequestAdmissionConfig,
)
from data_designer.engine.models.request_admission.outcomes import (  # type: ignore[import-not-found]  # as above
    RequestReleaseOutcome,
)
from data_designer.engine.models.request_admission.resources import (  # type: ignore[import-not-found]  # as above
    RequestAdmissionItem,
    RequestDomain,
    RequestGroupSpec,
    RequestResourceKey,
)

from ..world import Client, Drive, Gauge
from .admission import driven_by
from .calls import Ending, Item

_RETRIES, _FACTOR, _JITTER = 3, 2.0, 0.2  # its RetryConfig


class _Executor:
    def __init__(self, client: Client, most: int, config: RequestAdmissionConfig) -> None:
        self._resource = RequestResourceKey("simulated", "simulated", RequestDomain.CHAT)
        self._item = RequestAdmissionItem(resource=self._resource, group=RequestGroupSpec(key=self._resource))
        self._controller = controller.AdaptiveRequestAdmissionController(config)
        self._controller.register(
            provider_name="simulated", model_id="simulated", alias="simulated", max_parallel_requests=most
        )
        self._ramp = config.startup_ramp_seconds
        self._chance = client.chance

    def admit(self, now: float) -> Any | float:
        decision = self._controller.try_acquire(self._item)
        if isinstance(decision, controller.RequestAdmissionLease):
            return decision
        if decision.available_after_monotonic is not None:
            return float(decision.available_after_monotonic)
        return now + 0.05 if self._ramp and now <= self._ramp else math.inf  # it polls, which the ramp needs

    def settle(self, admitted: Any, now: float, ending: Ending, hint: float | None) -> None:
        outcome = {
            Ending.SERVED: RequestReleaseOutcome(kind="success"),
            Ending.REFUSED: RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=hint),
            Ending.FAILED: RequestReleaseOutcome(kind="provider_failure"),
        }
        self._controller.release(admitted, outcome[ending])

    def keeps(self, ending: Ending, item: Item) -> float | None:
        if ending is Ending.REFUSED or item.failures % (_RETRIES + 1) == 0:
            return None
        wait = _FACTOR * 2.0 ** (item.failures % (_RETRIES + 1) - 1)
        return wait * self._chance.uniform(1 - _JITTER, 1)

    def returns(self, ending: Ending, item: Item, hint: float | None) -> float:
        return 0.0

    def gauge(self) -> Gauge:
        snapshot = self._controller.snapshot(self._resource)
        return Gauge(snapshot.current_limit if snapshot is not None else math.nan, math.inf)


def drive(most: int, **config: float) -> Drive:
    """Return it as a contender: `most` requests in parallel, and fields of its RequestAdmissionConfig."""
    controller.time = SimpleNamespace(monotonic=anyio.current_time)
    return driven_by(lambda client: _Executor(client, most, RequestAdmissionConfig(**config)))
