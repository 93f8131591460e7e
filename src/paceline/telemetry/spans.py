"""Spans of batches, items and calls, and the observer that makes them."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from .._core.exceptions import MissingExtraError
from .._core.fault import Fault, FaultKind
from .._core.pace import PaceChange
from .._core.results import BatchResult, WorkItemResult
from .._core.usage import NO_USAGE, TokenUsage
from .._engine.tracing import BatchTrace, ItemTrace, Tracer
from ..abc import LLMCallStrategy, LLMWorkItem
from . import names
from .metrics import Metrics, error_type

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
except ImportError:
    raise MissingExtraError("Telemetry", "otel") from None

_NOBODY = ("ProxyTracerProvider", "NoOpTracerProvider", "_ProxyMeterProvider", "NoOpMeterProvider")
"""Providers of an API without an SDK."""
_CANCELLED = "cancelled"
_YES = frozenset({"true", "1", "span", "span_only", "span_and_event"})


class Telemetry(Tracer):
    """An observer that makes spans and metrics: one for any number of batches and pools.

    The SDK must be set up before a pool or a batch starts; without one nothing is made. Names follow OTEL_SEMCONV_STABILITY_OPT_IN.

    Args:
        tracer_provider: Where spans go; None: the global provider.
        meter_provider: Where metrics go; None: the global provider.

    Raises:
        MissingExtraError: opentelemetry-api is not installed; raised on import.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._given = tracer_provider, meter_provider
        opted = [value.strip() for value in os.environ.get(names.OPT_IN, "").split(",")]
        self._names = names.LATEST if names.LATEST_VALUE in opted else names.STABLE
        self._has_content = os.environ.get(names.CAPTURE, "").strip().lower() in _YES
        self._submitted: dict[int, Context] = {}
        self._tracer: trace.Tracer | None = None
        self._metrics: Metrics | None = None

    @property
    def is_on(self) -> bool:
        """Whether an SDK receives spans or metrics."""
        tracers = self._given[0] or trace.get_tracer_provider()
        meters = self._given[1] or metrics.get_meter_provider()
        has_spans, has_metrics = (type(each).__name__ not in _NOBODY for each in (tracers, meters))
        self._tracer = tracers.get_tracer("paceline") if has_spans else None
        if has_metrics and self._metrics is None:
            self._metrics = Metrics(meters.get_meter("paceline"), self._names)
        return has_spans or has_metrics

    def submit(self, item: LLMWorkItem[Any]) -> None:
        """Keep the context in which an item is submitted."""
        self._submitted[id(item)] = context.get_current()

    def start_batch(self) -> BatchTrace:
        """Start the span of a batch."""
        return _Batch(self, is_batch=True)

    def single_calls(self) -> BatchTrace:
        """Return what single calls are reported to: they have no span together."""
        return _Batch(self, is_batch=False)

    def change_pace(self, quota: str, change: PaceChange) -> None:
        """Set a gauge."""
        if self._metrics is not None:
            self._metrics.change_pace(quota, change)

    def take_context(self, item: LLMWorkItem[Any]) -> Context:
        """Return the context in which an item was submitted."""
        return self._submitted.pop(id(item), None) or context.get_current()

    def start_span(
        self, name: str, parent: Context, kind: SpanKind, attributes: dict[str, Any], links: list[Link] | None = None
    ) -> Span:
        """Start a span that is not current."""
        if self._tracer is None:
            return trace.INVALID_SPAN
        return self._tracer.start_span(name, parent, kind, attributes, links)

    def record_call(self, call: _Call, usage: TokenUsage, cost: float | None, fault: str | None) -> None:
        """End the span of a call, and record its metrics."""
        if self._metrics is not None:
            seconds = time.perf_counter() - call.started if call.seconds is None else call.seconds
            self._metrics.record_call(call.attributes, seconds, usage, cost, fault, call.quota)
        span = call.span
        if span.is_recording():
            found: dict[str, Any] = {}
            if usage is not NO_USAGE:
                found[names.INPUT_TOKENS] = usage.input_tokens
                found[names.OUTPUT_TOKENS] = usage.output_tokens
                if usage.cached_input_tokens:
                    found[names.CACHED_TOKENS] = usage.cached_input_tokens
                if usage.cache_written_tokens:
                    found[self._names.written_tokens] = usage.cache_written_tokens
            if cost is not None:
                found[names.COST] = cost
            span.set_attributes(found)
            _fail(span, fault)
        span.end(call.ended)

    def input_of(self, prompt: Any) -> str | None:
        """Return a prompt as messages, if that is asked for."""
        if not self._has_content:
            return None
        parts = [prompt] if isinstance(prompt, str) else prompt if isinstance(prompt, (list, tuple)) else [prompt]
        texts = [part for part in parts if isinstance(part, str)]
        return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text} for text in texts]}])

    def output_of(self, output: Any) -> str | None:
        """Return an answer as messages, if that is asked for."""
        if not self._has_content:
            return None
        text = output if isinstance(output, str) else json.dumps(output, default=repr)
        return json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}])


class _Call:
    """A call in flight, or one whose outcome is not known yet."""

    __slots__ = ("attributes", "ended", "quota", "seconds", "span", "started", "token")

    def __init__(self, span: Span, attributes: dict[str, Any], quota: str, token: Any) -> None:
        self.span: Span = span
        self.attributes: dict[str, Any] = attributes
        self.quota: str = quota
        self.token: Any = token
        self.started: float = time.perf_counter()
        self.seconds: float | None = None
        self.ended: int | None = None
        """When it ended, in nanoseconds since 1970."""


class _Item(ItemTrace):
    """The span of one item."""

    __slots__ = ("_call", "_context", "_is_cancelled", "_owner", "_span")

    def __init__(self, owner: Telemetry, item: LLMWorkItem[Any], parent: Context, links: list[Link]) -> None:
        self._owner = owner
        self._span = owner.start_span(names.ITEM, parent, SpanKind.INTERNAL, {names.ITEM_ID: item.item_id}, links)
        self._context = (
            trace.set_span_in_context(self._span, parent) if self._span is not trace.INVALID_SPAN else parent
        )
        self._call: _Call | None = None
        self._is_cancelled = False

    def start_call(self, strategy: LLMCallStrategy[Any], quota: str, number: int, prompt: Any) -> None:
        """Start the span of a call, and make it current in this task."""
        self._end_open_call()
        provider, operation, model = described(strategy)
        attributes = {names.OPERATION: operation, names.PROVIDER: provider}
        if model is not None:
            attributes[names.MODEL] = model
        more: dict[str, Any] = {**attributes, names.ATTEMPT: number, names.QUOTA: quota}
        content = self._owner.input_of(prompt)
        if content is not None:
            more[names.INPUT_MESSAGES] = content
        name = operation if model is None else f"{operation} {model}"
        span = self._owner.start_span(name, self._context, SpanKind.CLIENT, more)
        inside = self._context if span is trace.INVALID_SPAN else trace.set_span_in_context(span, self._context)
        self._call = _Call(span, attributes, quota, context.attach(inside))

    def leave_call(self, *, is_cancelled: bool) -> None:
        """Let the span of the call be current no more."""
        call = self._call
        if call is None or call.token is None:
            return
        context.detach(call.token)
        call.token, call.seconds, call.ended = None, time.perf_counter() - call.started, time.time_ns()
        if is_cancelled:
            self._is_cancelled = True
            self._end_open_call()

    def end_call(self, usage: TokenUsage, cost: float | None, fault: Fault | None) -> None:
        """End the span of the call."""
        call, self._call = self._call, None
        if call is not None:
            self._owner.record_call(call, usage, cost, error_type(fault))

    def settle(self, result: WorkItemResult[Any]) -> None:
        """End the span of the item."""
        self._end_open_call()
        span = self._span
        if span.is_recording():
            span.set_attribute(names.ATTEMPTS, len(result.attempts))
            error = error_type(result.error)
            if error != FaultKind.PENDING:
                _fail(span, error)
            elif self._is_cancelled:
                _fail(span, _CANCELLED)
            content = self._owner.output_of(result.output) if result.error is None else None
            if content is not None:
                span.set_attribute(names.OUTPUT_MESSAGES, content)
        span.end()

    def _end_open_call(self) -> None:
        """End the span of a call that nothing became of."""
        call, self._call = self._call, None
        if call is not None:
            self._owner.record_call(call, NO_USAGE, None, _CANCELLED)


class _Batch(BatchTrace):
    """The span of one batch; single calls have none."""

    def __init__(self, owner: Telemetry, *, is_batch: bool) -> None:
        self._owner = owner
        self._outside = context.get_current()
        self._inside = self._outside
        self._span: Span = trace.INVALID_SPAN
        self._is_batch = is_batch
        if is_batch:
            self._span = owner.start_span(names.BATCH, self._outside, SpanKind.INTERNAL, {})
            if self._span is not trace.INVALID_SPAN:
                self._inside = trace.set_span_in_context(self._span, self._outside)

    def accept(self, item: LLMWorkItem[Any]) -> ItemTrace:
        """Start the span of an item, under rule 1."""
        submitted = self._owner.take_context(item)
        if not self._is_batch:
            return _Item(self._owner, item, submitted, [])
        current = trace.get_current_span(submitted)
        if current is trace.get_current_span(self._outside) or not current.get_span_context().is_valid:
            return _Item(self._owner, item, self._inside, [])
        return _Item(self._owner, item, submitted, [Link(self._span.get_span_context())])

    def end(self, result: BatchResult[Any] | None) -> None:
        """End the span of the batch."""
        if result is None:
            _fail(self._span, _CANCELLED)
        else:
            self._span.set_attributes({names.ITEMS: result.total_items, names.SUCCEEDED: result.succeeded})
            _fail(self._span, error_type(result.stopped))
        self._span.end()


def described(strategy: LLMCallStrategy[Any]) -> tuple[str, str, str | None]:
    """Return the name of a strategy's provider, its operation, and its model."""
    model: object = getattr(strategy, "model", None)
    for kind in type(strategy).__mro__:
        known = names.PROVIDERS.get(kind.__name__)
        if known is not None:
            return *known, model if isinstance(model, str) else None
    return type(strategy).__name__, "chat", model if isinstance(model, str) else None


def _fail(span: Span, error: str | None) -> None:
    """Mark a span as failed; without a message, as it may quote a prompt."""
    if error is not None:
        span.set_attribute(names.ERROR, error)
        span.set_status(Status(StatusCode.ERROR))
