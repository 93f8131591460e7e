"""Canaries: a key and a prompt put through every path of a run appear only where they belong: the key nowhere, the prompt nowhere either.

The server's answers do not quote the prompt; where a provider quotes it in an error, that is the provider's message.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from contextlib import closing
from urllib.parse import quote

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from paceline import LLMWorkItem, ParallelBatchProcessor, process_prompts, run_prompts
from paceline.abc import BaseObserver
from paceline.exceptions import SourceError
from paceline.llm_strategies.openai import OpenAIStrategy
from paceline.runs import ReportOptions, report, status, write_report
from paceline.telemetry import Telemetry

from ..strategies.chat_service import openai_error, openai_reply
from ..strategies.gemini.service import Answer, Service

KEY = "sk-proj-CANARYCANARY1234567890"
PROMPT = "CANARY-PROMPT never to be seen again"
ANSWERS = {
    "answered": Answer(openai_reply("yes")),
    "rejected": Answer(openai_error(f"bad request by {KEY}"), 400),
    "unauthorized": Answer(openai_error(f"Incorrect API key provided: {KEY}", code="invalid_api_key"), 401),
    "broken": Answer(f'{{"error": "{KEY}'.encode(), 200),
    "page": Answer(f"<html>{KEY}</html>".encode(), 404, {"Content-Type": "text/html"}),
}
HANDS_OVER = "make_call:"
"""The frame of the engine that hands a prompt to its strategy."""
FORMS = (KEY, KEY[:20], quote(KEY, safe=""))


class Seen(BaseObserver):
    """Keeps every event as text."""

    def __init__(self):
        self.texts = []

    async def on_event(self, event, data):
        self.texts.append(repr((event, data)))


@pytest.fixture
def service():
    with Service() as running:
        yield running


@pytest.fixture
def paceline(service, monkeypatch, capfd):
    from paceline.cli import main  # noqa: PLC0415 - only here

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", service.url)

    def run(*arguments):
        main([str(argument) for argument in arguments])
        return "\n".join(capfd.readouterr())

    return run


def strategy_at(service):
    return OpenAIStrategy("m", api_key=KEY, base_url=service.url)


def logged(caplog):
    """Return what paceline logged, with the local variables of its own code in each traceback."""
    texts = []
    for record in caplog.records:
        if record.name.startswith("paceline"):
            texts.append(logging.Formatter().format(record))
            if record.exc_info and record.exc_info[1] is not None:
                texts.append(locals_of(record.exc_info[1]))
    return "\n".join(texts)


def locals_of(error):
    """Return the variables of paceline's own frames in the traceback of an error, of its causes and of its group, as text."""
    found, texts = [traceback.TracebackException.from_exception(error, capture_locals=True)], []
    while found:
        one = found.pop()
        found += [each for each in (one.__cause__, one.__context__, *(one.exceptions or ())) if each is not None]
        texts += [f"{frame.name}: {frame.locals}" for frame in one.stack if "/src/paceline/" in frame.filename]
    return "\n".join(texts)


def is_hidden(text):
    return [form for form in (*FORMS, PROMPT) if form in text] == []


@pytest.mark.parametrize("way", ANSWERS)
def test_they_are_in_no_event_span_log_progress_journal_and_report_of_a_program(service, way, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    service.says(ANSWERS[way])
    seen, exporter, reader, shown = Seen(), InMemorySpanExporter(), InMemoryMetricReader(), []
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(tracer_provider=tracers, meter_provider=MeterProvider([reader]))
    batch = run_prompts(
        strategy_at(service),
        [PROMPT],
        journal=tmp_path / "run.journal",
        observers=[seen, telemetry],
        progress=shown.append,
    )
    assert batch.total_items == 1
    spans = exporter.get_finished_spans()
    assert len(spans) >= 3
    assert len(seen.texts) >= 3
    write_report(tmp_path / "run.journal", ReportOptions(output=str(tmp_path / "report.html")))
    with closing(sqlite3.connect(tmp_path / "run.journal")) as db:
        stored = "\n".join(db.iterdump())
    texts = {
        "events": "\n".join(seen.texts),
        "spans": "\n".join(span.to_json() for span in spans),
        "metrics": reader.get_metrics_data().to_json(),
        "progress": "\n".join(map(repr, shown)),
        "journal": stored,
        "file": (tmp_path / "run.journal").read_bytes().decode("utf-8", "replace"),
        "report": (tmp_path / "report.html").read_text("utf-8") + repr(report(tmp_path / "run.journal")),
        "status": repr(status(tmp_path / "run.journal")),
        "batch": "\n".join(
            [repr(batch), repr(batch.results), batch.summary(), batch._repr_html_(), repr(batch.to_dicts())]
        ),
        "log": logged(caplog),
    }
    assert {name for name, text in texts.items() if not is_hidden(text)} == set()


@pytest.mark.parametrize("way", ["answered", "rejected", "unauthorized"])
def test_they_are_in_nothing_that_the_program_prints(service, paceline, way, tmp_path):
    service.says(ANSWERS[way])
    source, journal = tmp_path / "in.jsonl", tmp_path / "out.jsonl.journal"
    source.write_text(json.dumps({"id": "a", "prompt": PROMPT}) + "\n")
    run = ("run", source, "-o", tmp_path / "out.jsonl", "-m", "openai:m")
    printed = {"dry run": paceline(*run, "--dry-run", "--json"), "run": paceline(*run, "--verbose", "--json")}
    for verb in ("status", "report"):
        printed[verb] = paceline(verb, journal, "--json")
    printed |= {
        "status for people": paceline("status", journal),
        "explain": paceline("explain", journal, "--csv"),
        "results": paceline("results", journal, "-o", "-"),
        "resume": paceline("resume", journal, "--json", "--verbose"),
        "output": (tmp_path / "out.jsonl").read_text("utf-8"),
    }
    assert "{" in printed["run"]
    assert {name for name, text in printed.items() if not is_hidden(text)} == set()


def interrupted():
    yield PROMPT
    raise RuntimeError("the source broke")


def test_the_key_is_in_no_variable_of_a_traceback_and_the_prompt_in_none_of_the_engine_s(service, caplog):
    caplog.set_level(logging.DEBUG)
    service.says(ANSWERS["rejected"])
    with pytest.raises(SourceError) as caught:
        run_prompts(strategy_at(service), interrupted())
    text = locals_of(caught.value)
    assert "run_prompts" in text
    assert not [form for form in FORMS if form in text]
    assert not [line for line in text.splitlines() if PROMPT in line]
    assert is_hidden(logged(caplog))


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_crash_in_a_call_shows_the_prompt_only_where_it_is_handed_to_the_strategy(service, backend):
    class Interrupted(OpenAIStrategy):
        async def execute(self, prompt, attempt, timeout):
            raise KeyboardInterrupt

    async def main():
        async with ParallelBatchProcessor() as processor:
            await processor.add_work(LLMWorkItem("a", Interrupted("m", api_key=KEY, base_url=service.url), PROMPT))
            await processor.process_all()

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group, or the interrupt itself
        anyio.run(main, backend=backend)
    text = locals_of(caught.value)
    assert "process_all" in text
    assert not [form for form in FORMS if form in text]
    assert is_hidden("\n".join(line for line in text.splitlines() if not line.startswith(HANDS_OVER)))


def test_a_wrong_prompt_is_named_by_its_type_only(service):
    async def main():
        await process_prompts(strategy_at(service), [PROMPT, 7])

    with pytest.raises(Exception, match="int") as caught:
        anyio.run(main)
    assert PROMPT not in str(caught.value)
