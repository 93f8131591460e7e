"""`--otel`: spans and metrics of a run reach the collector that the environment names."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ..conftest import FAST


class Collector(ThreadingHTTPServer):
    """A collector that keeps what it receives."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, content))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def collector(monkeypatch):
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        yield server
        server.shutdown()
        thread.join()


def test_a_run_sends_a_span_of_the_batch_and_of_each_item_and_call(paceline, jsonl, tmp_path, collector):
    run = paceline("run", jsonl(3), "-o", tmp_path / "out.jsonl", "-m", FAST, "--otel")
    assert run.code == 0, run.err
    requests = [
        ExportTraceServiceRequest.FromString(content) for path, content in collector.received if path == "/v1/traces"
    ]
    resources = [each for request in requests for each in request.resource_spans]
    names = [span.name for each in resources for scope in each.scope_spans for span in scope.spans]
    assert (names.count("paceline.batch"), names.count("paceline.item"), names.count("chat sim")) == (1, 3, 3)
    services = {
        pair.value.string_value for each in resources for pair in each.resource.attributes if pair.key == "service.name"
    }
    assert services == {"paceline"}
    metrics = [
        ExportMetricsServiceRequest.FromString(content) for path, content in collector.received if path == "/v1/metrics"
    ]
    found = {
        metric.name
        for request in metrics
        for each in request.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
    }
    assert "gen_ai.client.operation.duration" in found


def test_without_it_nothing_is_sent(paceline, jsonl, tmp_path, collector):
    assert paceline("run", jsonl(1), "-o", tmp_path / "out.jsonl", "-m", FAST).code == 0
    assert collector.received == []


def test_a_collector_that_does_not_answer_costs_no_result(paceline, jsonl, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    run = paceline("run", jsonl(2), "-o", tmp_path / "out.jsonl", "-m", FAST, "--otel")
    assert run.code == 0
    assert "2 succeeded" in run.err


def test_without_the_packages_it_is_one_sentence_before_any_call(paceline, jsonl, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    run = paceline("run", jsonl(1), "-o", tmp_path / "out.jsonl", "-m", FAST, "--otel")
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in run.err
    assert not (tmp_path / "out.jsonl").exists()


def test_it_is_there_for_prompts_of_any_verb_that_calls(paceline):
    for verb in (["run"], ["resume"], ["suite", "run"]):
        assert "--otel" in paceline(*verb, "--help").out


def test_the_options_of_the_batch_do_not_have_it(paceline, jsonl, tmp_path, collector):
    paceline("run", jsonl(1), "-o", tmp_path / "out.jsonl", "-m", FAST, "--otel", "-q")
    (data,) = paceline("status", tmp_path / "out.jsonl", "--json").rows
    assert "otel" not in data["options"]
