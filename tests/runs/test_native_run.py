"""Runs through a provider's batch API, against a server that has three of them and counts what it bills."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from paceline.cli.commands.status import render_status, status_data
from paceline.exceptions import ConfigurationError, MisuseError
from paceline.llm_strategies.native import rows
from paceline.runs import ResumeOptions, RunControl, RunOptions, resume, run, status
from paceline.testing import NativeServer, NativeService


@pytest.fixture(params=["openai", "anthropic", "gemini"])
def provider(request):
    """Return the name of a provider."""
    return request.param


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that writes prompts and runs them through a server's batch API."""
    monkeypatch.setenv("PACELINE_BATCH_GRACE", "0.5")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "key")

    def run_prompts(server, *prompts, provider="openai", hooks=None, **options):
        path = tmp_path / "prompts.jsonl"
        if not path.exists():
            rows = [json.dumps({"id": f"q{number}", "prompt": prompt}) for number, prompt in enumerate(prompts)]
            path.write_text("\n".join(rows))
        url = server.openai_url if provider == "openai" else server.url
        given = {"native": True, "price": "in=1,out=2"} | options
        return run(RunOptions(input=path, model=f"{provider}:m@{url}", **given), **(hooks or {}))

    return run_prompts


def rows_of(report):
    return {row["id"]: row for row in map(json.loads, Path(report.output).read_text().splitlines())}


def prompts(number):
    return [f"prompt {index}" for index in range(number)]


def jobs_in(report):
    with closing(sqlite3.connect(report.journal.path)) as db:
        return [state for (state,) in db.execute("SELECT state FROM native_jobs ORDER BY job")]


def test_every_prompt_is_answered_by_one_job_at_half_the_price(start, provider):
    with NativeServer(NativeService(seconds=0.1)) as server:
        report = start(server, *prompts(30), provider=provider)
        counted = server.statistics()
    rows = rows_of(report)
    assert {name: row["output"] for name, row in rows.items()} == {f"q{n}": f"answer to prompt {n}" for n in range(30)}
    assert report.batch.cost == pytest.approx(30 * (10 * 1 + 10 * 2) / 1e6 / 2)
    assert (counted.jobs, counted.billed_in_jobs, counted.billed_online) == (1, 30, 0)
    assert jobs_in(report) == ["rescued"]


def test_what_a_job_has_not_answered_before_the_deadline_is_called_online_and_nothing_is_billed_twice(start, provider):
    with NativeServer(NativeService(seconds=20.0, cancel_seconds=0.2)) as server:
        report = start(server, *prompts(40), provider=provider, native=False, by=time.time() + 5.0)
        counted = server.statistics()
    assert len(rows_of(report)) == report.journal.counts.succeeded == 40
    assert counted.billed == dict.fromkeys(prompts(40), 1)
    assert 0 < counted.billed_in_jobs < 40
    assert counted.billed_online == 40 - counted.billed_in_jobs
    cost = counted.billed_in_jobs * 15e-6 + counted.billed_online * 30e-6
    assert report.batch.cost == pytest.approx(cost)


def test_a_run_that_is_stopped_leaves_its_job_and_the_next_one_collects_it(start):
    control, messages = RunControl(), []

    def on_message(text):
        messages.append(text)
        if " is at " in text:
            control.stop()

    with NativeServer(NativeService(seconds=1.5)) as server:
        report = start(server, *prompts(5), hooks={"control": control, "on_message": on_message})
        assert report.journal.counts.pending == 5
        assert messages[-1].startswith("1 batch job goes on at OpenAI: batch-")
        assert f"paceline resume {report.journal.path}" in messages[-1]
        (left,) = status(report.journal.path).native_jobs
        assert render_status(status(report.journal.path)).count(f"{left.state.id} at the provider: ") == 1
        again = resume(report.journal.path, ResumeOptions())
        data = status_data(status(report.journal.path))["native_jobs"]
        assert [(job["id"], job["state"], job["answered"]) for job in data] == [(left.state.id, "Rescued", 5)]
        assert again.journal.counts.succeeded == 5
        assert server.statistics().jobs == 1


def test_without_a_deadline_expired_rows_go_into_another_job_and_nothing_is_called_online(start):
    with NativeServer(NativeService(seconds=0.4, expires_after=0.2)) as server:
        report = start(server, *prompts(16))
        counted = server.statistics()
        assert (counted.jobs, counted.billed_online) == (3, 0)
        assert report.journal.counts.pending == 2
        assert report.journal.counts.succeeded == 14
        server.jobs.service = NativeService(seconds=0.0)
        again = resume(report.journal.path)
        assert again.journal.counts.succeeded == 16
        assert server.statistics().billed == dict.fromkeys(prompts(16), 1)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_job_whose_creation_was_not_answered_is_not_created_again(start, provider):
    with NativeServer(NativeService(seconds=0.3, lost_creates=1)) as server:
        report = start(server, *prompts(4), provider=provider)
        assert server.statistics().jobs == 1
    assert report.journal.counts.succeeded == 4


def test_equal_prompts_are_one_row(start):
    with NativeServer(NativeService(seconds=0.1)) as server:
        report = start(server, "same", "other", "same", "same")
        assert server.statistics().billed == {"same": 1, "other": 1}
    rows = rows_of(report)
    assert [rows[name]["output"] for name in ("q0", "q2", "q3")] == ["answer to same"] * 3
    assert report.batch.cost == pytest.approx(2 * 15e-6)


def test_equal_prompts_of_a_run_that_was_stopped_get_the_answer_of_the_job_too(start):
    control = RunControl()
    hooks = {"control": control, "on_message": lambda text: control.stop() if " is at " in text else None}
    with NativeServer(NativeService(seconds=1.0)) as server:
        report = start(server, "same", "same", hooks=hooks)
        again = resume(report.journal.path)
        assert again.journal.counts.succeeded == 2
        assert server.statistics().billed == {"same": 1}


def test_only_rows_that_the_budget_has_room_for_are_put_into_a_job(start):
    messages = []
    with NativeServer(NativeService(seconds=0.1)) as server:
        report = start(server, *prompts(10), max_tokens=100, max_cost=0.0006, hooks={"on_message": messages.append})
        assert 0 < server.statistics().billed_in_jobs < 10
    assert report.journal.counts.pending == 10 - report.journal.counts.succeeded > 0
    assert any("the budget of $0.0006 has no room for more rows" in text for text in messages)


def test_a_cap_on_tokens_holds_for_jobs_too(start):
    messages = []
    with NativeServer(NativeService(seconds=0.1)) as server:
        report = start(
            server, *prompts(10), max_tokens=100, max_total_tokens=500, hooks={"on_message": messages.append}
        )
        assert 0 < server.statistics().billed_in_jobs < 5
    assert report.journal.counts.pending == 10 - report.journal.counts.succeeded > 0
    assert any("the budget of 500 tokens has no room for more rows" in text for text in messages)


def test_a_row_that_the_provider_rejects_is_a_failed_item(start):
    def answer(prompt):
        return (400, "it is too long") if prompt == "prompt 1" else (200, "good")

    with NativeServer(NativeService(seconds=0.1, answer=answer)) as server:
        report = start(server, *prompts(3))
    row = rows_of(report)["q1"]
    assert (row["success"], row["error"]["kind"]) == (False, "rejected")
    assert "too long" in row["error"]["message"]


def test_a_row_that_failed_in_passing_goes_into_another_job(start):
    seen = []

    def answer(prompt):
        return (500, "try again") if prompt == "prompt 1" and len(seen) < 1 else (200, "good")

    with NativeServer(NativeService(seconds=0.1, answer=answer)) as server:
        hooks = {"on_message": lambda text: seen.append(text) if "2 of 3 rows answered" in text else None}
        report = start(server, *prompts(3), hooks=hooks)
        assert server.statistics().jobs == 2
    assert report.journal.counts.succeeded == 3


@pytest.fixture
def unwritable(monkeypatch):
    """Return a function after which the request of one prompt raises an error when it is written for a job."""
    written = rows.recorded_request

    def fail(prompt, error):
        async def recorded_request(strategy, other):
            if other == prompt:
                raise error
            return await written(strategy, other)

        monkeypatch.setattr(rows, "recorded_request", recorded_request)

    return fail


def test_a_row_that_cannot_be_written_for_a_job_is_called_online_with_a_deadline_only(start, unwritable):
    unwritable("prompt 1", ValueError("no such request"))
    seen = []
    with NativeServer(NativeService(seconds=0.1)) as server:
        report = start(server, *prompts(3), hooks={"on_message": seen.append})
        assert (report.journal.counts.succeeded, report.journal.counts.pending) == (2, 1)
        assert server.statistics().billed_online == 0
        assert "q1: cannot be put into a batch job (ValueError), and stays pending" in seen
        report = start(server, native=False, by=time.time() + 60.0)
        assert report.journal.counts.succeeded == 3
        assert server.statistics().billed == dict.fromkeys(prompts(3), 1)


def test_a_client_whose_requests_cannot_be_recorded_ends_the_run_at_the_first_row(start, unwritable):
    unwritable("prompt 0", MisuseError("it makes its calls through a client of its own"))
    with NativeServer(NativeService(seconds=0.1)) as server:
        report = start(server, *prompts(3))
        assert "a client of its own" in str(report.error)
        assert report.journal.counts.pending == 3
        assert server.statistics().billed == {}


def test_a_job_that_fails_as_a_whole_leaves_its_rows_pending_and_with_a_deadline_they_are_called_online(start):
    with NativeServer(NativeService(seconds=0.1, failed_jobs=1)) as server:
        report = start(server, *prompts(3))
        assert report.journal.counts.pending == 3
        assert server.statistics().jobs == 1
    with NativeServer(NativeService(seconds=0.1, failed_jobs=1)) as server:
        report = start(server, by=time.time() + 60, allow_changes=True)
        assert report.journal.counts.succeeded == 3
        assert server.statistics().billed_online == 3


def test_an_answer_that_does_not_match_the_schema_is_called_again_online_with_a_deadline_only(start, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text(
        '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false}'
    )

    def answer(prompt):
        return 200, '{"n": 1}' if "not valid" in prompt else "no JSON"

    with NativeServer(NativeService(seconds=0.1, answer=answer)) as server:
        report = start(server, "prompt", schema=schema)
        assert rows_of(report)["q0"]["error"]["kind"] == "invalid"
        assert server.statistics().billed_online == 0
        again = start(server, schema=schema, by=time.time() + 60, retry="failed", overwrite=True)
        assert rows_of(again)["q0"]["output"] == {"n": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"no_journal": True}, "--native: needs a journal"),
        ({"escalate": ("a", "b")}, "--native and --escalate: a batch job has one model"),
        ({"input": "-", "output": "x", "model": "m"}, "--native: needs an input file"),
        ({"by": "soon"}, "--by: must be a time such as 06:00"),
        ({"by": time.time() + 1e9}, "--by: must be within 30 days"),
        ({"by": True}, "--by: must be a time such as"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        RunOptions(**{"input": "a.jsonl", "native": True, **options})


def test_a_model_without_a_batch_api_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello\n")
    with pytest.raises(ConfigurationError, match="has no batch API that can be used here"):
        run(RunOptions(input=path, model="sim:latency=0", native=True))
    assert [*tmp_path.iterdir()] == [path]


def test_a_time_of_day_is_the_next_one():
    earlier = datetime.now().astimezone() - timedelta(minutes=2)
    at = RunOptions(input="a", by=f"{earlier:%H:%M}").by
    assert 23.5 * 3600 < at - time.time() < 24.5 * 3600 + 3600
    assert RunOptions(input="a", by=datetime.fromtimestamp(at).astimezone()).by == at
