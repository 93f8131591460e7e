"""Metrics: duration, tokens, cost and refusals of calls, and the pace of lanes, as instruments of OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.fault import Fault, FaultKind
from .._core.pace import PaceChange
from .._core.usage import TokenUsage
from . import names

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

Attributes = dict[str, Any]

_INPUT, _OUTPUT = {names.TOKEN_TYPE: "input"}, {names.TOKEN_TYPE: "output"}
_UNKNOWN = {names.TOKEN_MODALITY: "unknown"}


class Metrics:
    """The instruments of a meter.

    Args:
        meter: Meter that makes them.
        named: The convention's names.
    """

    def __init__(self, meter: Meter, named: names.Names) -> None:
        self._duration = meter.create_histogram(
            named.duration, "s", "Duration of calls", explicit_bucket_boundaries_advisory=names.SECONDS
        )
        self._is_typed = len(named.tokens) == 1
        """Whether one histogram has input and output tokens, which an attribute tells apart."""
        self._tokens = [
            meter.create_histogram(name, "{token}", "Tokens of calls", explicit_bucket_boundaries_advisory=names.TOKENS)
            for name in named.tokens
        ]
        self._totals = [meter.create_counter(name, "{token}", "Tokens of all calls") for name in named.totals]
        self._cost = meter.create_counter(names.COST, "USD", "Cost of all calls whose price is known")
        self._refusals = meter.create_counter(names.REFUSALS, "{call}", "Calls that a limit of the provider refused")
        self._pace = {
            "workers": meter.create_gauge(names.WORKERS, "{call}", "Calls that may be in flight"),
            "calls a second": meter.create_gauge(names.CALL_RATE, "{call}/s", "Limit on calls a second; 0: none"),
            "tokens a second": meter.create_gauge(names.TOKEN_RATE, "{token}/s", "Limit on tokens a second; 0: none"),
        }

    def record_call(  # noqa: PLR0913, PLR0917 - what a call came to
        self,
        attributes: Attributes,
        seconds: float,
        usage: TokenUsage,
        cost: float | None,
        fault: str | None,
        quota: str,
    ) -> None:
        """Record a call that has ended, `fault` being its error type."""
        self._duration.record(seconds, attributes if fault is None else attributes | {names.ERROR: fault})
        counts = usage.input_tokens, usage.output_tokens
        if usage.total_tokens:
            if self._is_typed:
                self._tokens[0].record(counts[0], attributes | _INPUT)
                self._tokens[0].record(counts[1], attributes | _OUTPUT)
            else:
                for histogram, count in zip(self._tokens, counts, strict=True):
                    histogram.record(count, attributes)
        for counter, count in zip(self._totals, counts, strict=False):
            counter.add(count, attributes | _UNKNOWN)
        if cost:
            self._cost.add(cost, attributes)
        if fault == FaultKind.THROTTLED:
            self._refusals.add(1, {names.QUOTA: quota})

    def change_pace(self, quota: str, change: PaceChange) -> None:
        """Set the gauge of what has changed; the breaker has none."""
        gauge = self._pace.get(change.handle)
        if gauge is not None:
            gauge.set(change.new if change.new < float("inf") else 0, {names.QUOTA: quota})


def error_type(fault: Fault | None) -> str | None:
    """Return the `error.type` of a fault."""
    return None if fault is None else str(fault.kind)
