"""Telemetry: spans and metrics of OpenTelemetry for batches, items and calls. Requires `paceline[otel]`.

    run_prompts(strategy, prompts, observers=[Telemetry()])

Rules owned here:

1. The span of a call is the child of its item's; that of an item the child of the span that was current where the item was submitted. Where
   that is also where its batch was started, it is the child of the batch.
2. A call is made inside its span: spans of HTTP clients are its children. No span is current while anything else runs.
3. No prompt, answer or message of a fault is in a span or a metric, unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for
   prompts and answers in the spans of calls.
4. A span that was cancelled has the `error.type` "cancelled".
5. Without an SDK that receives them, nothing is made.
"""

from __future__ import annotations

from .spans import Telemetry

__all__ = ["Telemetry"]
