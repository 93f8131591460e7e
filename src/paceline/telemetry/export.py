"""Export: spans and metrics of a program that has set up no SDK, sent where the environment says. For the command line.

Rules owned here:

1. An SDK that is set up already, as `opentelemetry-instrument` does, is used as it is, and ended by whoever set it up.
2. Otherwise OTLP over HTTP is used, configured by the variables of OpenTelemetry, such as OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_SERVICE_NAME.
   What is left is sent at the end, for a bounded time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._core.exceptions import ConfigurationError
from .spans import Telemetry

_PACKAGES = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
_NAME = "paceline"
_LAST = 10_000  # milliseconds for what is left at the end


@contextmanager
def exporting() -> Iterator[Telemetry]:
    """Yield an observer whose spans and metrics are sent; at the end of the block the rest is.

    Raises:
        ConfigurationError: No SDK is set up, and its packages are not installed.
    """
    telemetry = Telemetry()
    if telemetry.is_on:
        yield telemetry
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - all of them take half a second
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            f"telemetry needs an SDK and an exporter; install them with: pip install {_PACKAGES}"
        ) from None
    resource = Resource.create({} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": _NAME})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    try:
        yield Telemetry(tracer_provider=tracers, meter_provider=meters)
    finally:
        tracers.force_flush(_LAST)
        tracers.shutdown()
        meters.shutdown(timeout_millis=_LAST)
