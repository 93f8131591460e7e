"""Telemetry: which spans and metrics a batch makes, whose children they are, and what is never in them."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import start_http_server

from paceline import CallError, FaultKind, LLMWorkItem, ParallelBatchProcessor, Price, TokenUsage, process_prompts
from paceline.abc import LLMCallStrategy
from paceline.exceptions import RateLimitError
from paceline.pool import open_pool
from paceline.telemetry import Telemetry, names

pytestmark = pytest.mark.anyio
CANARY = "CANARY-of-a-prompt"
DASHBOARD = json.loads((Path(__file__).parents[1] / "docs" / "how-to" / "grafana-dashboard.json").read_text("utf-8"))


class Answers(LLMCallStrategy):
    """Answers with a text that has the prompt's, or fails once in the order given."""

    model = "m"
    price = Price(1, 2)

    def __init__(self, *failures):
        self.failures = list(failures)
        self.current = []

    def __copy__(self):
        return self

    async def execute(self, prompt, attempt, timeout):
        self.current.append(trace.get_current_span())
        await anyio.sleep(0.5)
        if self.failures:
            raise self.failures.pop(0)
        return f"answer to {prompt}", TokenUsage(10, 5)


class Seen:
    def __init__(self):
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self.reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=self.meters)
        self.mine = self.tracers.get_tracer("mine")

    def spans(self, name):
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def metrics(self):
        data = self.reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = list(metric.data.data_points)
        return found


@pytest.fixture
def seen():
    return Seen()


def parent_of(span):
    return span.parent.span_id


async def test_a_batch_an_item_and_each_of_its_calls_have_spans_below_one_another(seen):
    strategy = Answers(CallError("no", kind=FaultKind.TRANSIENT), RateLimitError("slow down"))
    with seen.mine.start_as_current_span("caller") as caller:
        await process_prompts(strategy, ["a"], observers=[seen.telemetry])
        assert trace.get_current_span() is caller
    (batch,), (item,), calls = seen.spans(names.BATCH), seen.spans(names.ITEM), seen.spans("chat m")
    assert parent_of(batch) == caller.get_span_context().span_id
    assert parent_of(item) == batch.context.span_id
    assert [parent_of(call) for call in calls] == [item.context.span_id] * 3
    assert [call.attributes.get(names.ERROR) for call in calls] == ["transient", "throttled", None]
    assert [span.get_span_context().span_id for span in strategy.current] == [call.context.span_id for call in calls]
    assert calls[2].attributes[names.INPUT_TOKENS] == 10
    assert calls[2].attributes[names.OUTPUT_TOKENS] == 5
    assert calls[2].attributes[names.COST] == pytest.approx(20e-6)
    assert batch.attributes[names.SUCCEEDED] == 1
    assert item.attributes[names.ATTEMPTS] == 2


async def test_the_span_of_an_item_that_was_not_reached_is_not_an_error(seen):
    async with ParallelBatchProcessor(observers=[seen.telemetry]) as processor:
        for name in "abc":
            await processor.add_work(LLMWorkItem(name, Answers(), name))
        processor.config.max_workers = 1
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(0.2)
            processor.drain()
    left = [span for span in seen.spans(names.ITEM) if not span.attributes[names.ATTEMPTS]]
    assert (len(left), processor.batch.pending) == (2, 2)
    assert all(span.status.is_ok and names.ERROR not in span.attributes for span in left)


async def test_an_item_is_the_child_of_the_span_in_which_it_was_submitted(seen):
    async with ParallelBatchProcessor(observers=[seen.telemetry]) as processor:
        with seen.mine.start_as_current_span("request") as request:
            await processor.add_work(LLMWorkItem("a", Answers(), "a"))
        await processor.add_work(LLMWorkItem("b", Answers(), "b"))
        await processor.process_all()
    (batch,), items = seen.spans(names.BATCH), {s.attributes[names.ITEM_ID]: s for s in seen.spans(names.ITEM)}
    assert parent_of(items["a"]) == request.get_span_context().span_id
    assert [link.context.span_id for link in items["a"].links] == [batch.context.span_id]
    assert parent_of(items["b"]) == batch.context.span_id


async def test_single_calls_are_children_of_the_spans_of_their_tasks(seen):
    asked = {}

    async def request(name):
        with seen.mine.start_as_current_span(name) as span:
            asked[name] = span.get_span_context().span_id
            await pool.call(strategy, name, item_id=name)

    strategy = Answers()
    async with open_pool(observers=[seen.telemetry]) as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(request, "x")
        nursery.start_soon(request, "y")
    assert {s.attributes[names.ITEM_ID]: parent_of(s) for s in seen.spans(names.ITEM)} == asked
    assert not seen.spans(names.BATCH)


async def test_what_is_cancelled_says_so(seen):
    with anyio.move_on_after(0.25):
        await process_prompts(Answers(), ["a"], observers=[seen.telemetry])
    for name in ("chat m", names.ITEM, names.BATCH):
        (span,) = seen.spans(name)
        assert span.attributes[names.ERROR] == "cancelled"
        assert not span.status.is_ok


async def test_metrics_have_duration_tokens_cost_refusals_and_pace(seen):
    strategy = Answers(RateLimitError("slow down"))
    await process_prompts(strategy, [f"{index}" for index in range(400)], observers=[seen.telemetry])
    found = seen.metrics()
    durations = found["gen_ai.client.operation.duration"]
    assert sum(point.count for point in durations) == 401
    assert {point.attributes.get(names.ERROR) for point in durations} == {None, "throttled"}
    assert all(point.sum > 0 for point in durations)
    tokens = {point.attributes[names.TOKEN_TYPE]: point.sum for point in found["gen_ai.client.token.usage"]}
    assert tokens == {"input": 4000, "output": 2000}
    assert found[names.COST][0].value == pytest.approx(8000e-6)
    assert found[names.REFUSALS][0].value == 1
    assert {point.attributes[names.QUOTA] for point in found[names.WORKERS]} == {strategy.quota}


async def test_the_latest_names_are_used_where_they_are_asked_for(monkeypatch):
    monkeypatch.setenv(names.OPT_IN, f"http, {names.LATEST_VALUE}")
    seen = Seen()
    await process_prompts(Answers(), ["a"], observers=[seen.telemetry])
    found = seen.metrics()
    assert not {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} & set(found)
    assert found["gen_ai.client.inference.duration"][0].count == 1
    assert found["gen_ai.client.inference.usage.input_tokens"][0].value == 10
    assert found["gen_ai.client.inference.usage.output_tokens"][0].attributes[names.TOKEN_MODALITY] == "unknown"
    assert found["gen_ai.client.inference.operation.output_tokens"][0].sum == 5


@pytest.mark.parametrize("asked", ["", "false", "true", "span_only"])
async def test_prompts_answers_and_messages_are_in_no_span_unless_asked_for(monkeypatch, asked):
    monkeypatch.setenv(names.CAPTURE, asked)
    seen = Seen()
    failure = CallError(f"rejected {CANARY}", kind=FaultKind.TRANSIENT)
    await process_prompts(Answers(failure), [CANARY], observers=[seen.telemetry])
    text = "".join(span.to_json() for span in seen.exporter.get_finished_spans())
    assert (CANARY in text) is (asked in {"true", "span_only"})
    assert CANARY not in str(seen.metrics())
    if asked == "true":
        (item,) = seen.spans(names.ITEM)
        assert json.loads(item.attributes[names.OUTPUT_MESSAGES])[0]["parts"][0]["content"] == f"answer to {CANARY}"


async def test_without_an_sdk_nothing_is_made(monkeypatch):
    strategy, telemetry = Answers(), Telemetry()
    assert not telemetry.is_on
    batch = await process_prompts(strategy, ["a"], observers=[telemetry])
    assert batch.succeeded == 1
    assert strategy.current == [trace.INVALID_SPAN]


async def test_prometheus_can_scrape_each_metric_that_the_dashboard_asks_for():
    reader = PrometheusMetricReader()
    meters = MeterProvider([reader])
    server, thread = start_http_server(0, "127.0.0.1")
    try:
        telemetry = Telemetry(meter_provider=meters)
        strategy = Answers(RateLimitError("slow down"))
        await process_prompts(strategy, [f"{index}" for index in range(400)], observers=[telemetry])
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=30) as answer:  # noqa: ASYNC210 - a local server
            page = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        meters.shutdown()
    series = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    counts = [one for one in series if one.startswith("gen_ai_client_operation_duration_seconds_count")]
    assert len(counts) == 2  # answered, and throttled
    assert all('gen_ai_request_model="m"' in one for one in counts)
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    for metric in {
        name for text in expressions for name in re.findall(r"\b(?:gen_ai_client|paceline)_\w+(?=[\[{ ]|$)", text)
    }:
        assert any(re.match(rf"{metric}\b", one) for one in series), metric
    for label in {name for text in expressions for name in re.findall(r"by \((\w+)\)", text)}:
        assert any(f'{label}="' in one for one in series), label
