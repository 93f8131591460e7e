"""A run from file to file, called from Python: records in, records out, and nothing is printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial

import anyio
import pytest

from paceline import FaultKind, runs
from paceline.exceptions import ConfigurationError, JournalChangedError
from paceline.runs import ExportFormat, ExportOptions, FailedOptions, ResumeOptions, RunControl, RunOptions

from ..cli.conftest import FAST, rows_of

DENYING = f"{FAST},faults=denied:1"
SLOW = "sim:rate=none,latency=60,sigma=0"


@pytest.fixture
def options(jsonl):
    """Make options of a run of so many prompts."""

    def make(number=20, **changes):
        return RunOptions(**{"input": jsonl(number), "model": FAST} | changes)

    return make


@pytest.fixture(autouse=True)
def nothing_is_printed_and_no_signal_is_handled(capfd):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert capfd.readouterr() == ("", "")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    """Time is real, as files are read and written in threads."""
    return request.param


def test_a_run_returns_a_report_and_writes_beside_its_input(options, tmp_path):
    messages, snapshots = [], []
    report = runs.run(options(), on_message=messages.append, on_progress=snapshots.append)
    assert report.is_complete
    assert (report.batch.succeeded, report.saved, report.bad_lines) == (20, 20, 0)
    assert report.output == str(tmp_path / "in.jsonl.results.jsonl")
    assert report.journal.path == f"{report.output}.journal"
    assert report.journal.counts.succeeded == len(rows_of(tmp_path / "in.jsonl.results.jsonl")) == 20
    assert messages == []
    assert (snapshots[-1].is_finished, snapshots[-1].done, snapshots[-1].total) == (True, 20, 20)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_ends_before_it_calls_a_text_that_was_edited_in_place(options, tmp_path, resumed):
    path, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    path.write_text("".join(f"{n}" + "x" * 2_000 + "\n" for n in range(1_000)))
    os.utime(path, (0, 0))
    settings = options(input=path, output=out, max_workers=2)
    if resumed:
        control = RunControl()
        runs.run(settings, on_progress=lambda _: control.stop(), progress_period=0.1, control=control)
    edits = iter([b"!"])

    def edit(_):
        for text in edits:
            with path.open("r+b") as file:
                file.seek(-2, os.SEEK_END)
                file.write(text)

    report = runs.run(settings, on_progress=edit, progress_period=0.1)
    assert str(report.source_error.__cause__) == (
        f"{path}: has changed since it was checked; nothing more is called; run it again"
    )
    assert not report.is_complete
    assert not any("!" in str(row["output"]) for row in rows_of(out))


def test_a_run_without_a_journal_has_a_row_for_each_prompt(options, tmp_path):
    report = runs.run(options(no_journal=True, output=tmp_path / "out.jsonl", model=DENYING))
    assert (report.journal, report.saved, report.is_complete) == (None, 20, False)
    assert report.unfinished == 20
    assert len(rows_of(tmp_path / "out.jsonl")) == 20


def test_invalid_lines_are_messages_and_are_counted(options, tmp_path):
    messages = []
    with (tmp_path / "in.jsonl").open("w") as file:
        file.write('{"id": "a", "prompt": "b"}\nbroken\n')
    report = runs.run(RunOptions(input=tmp_path / "in.jsonl", model=FAST), on_message=messages.append)
    assert (report.bad_lines, report.is_complete) == (1, False)
    assert messages == [f"skipped: {tmp_path}/in.jsonl:2: not JSON: Expecting value at column 1"]


def test_options_are_checked_when_they_are_made(tmp_path):
    for wrong, words in (
        ({"model": "sim", "max_workers": 0}, "--max-workers: must be 1 or more"),
        ({"model": "sim", "output_format": "xml"}, "--output-format: must be one of own, openai"),
        ({"model": "sim", "input_format": "xml"}, "--input-format: must be one of jsonl"),
        ({"model": "sim", "durability": "half"}, "--durability: must be one of normal, full"),
        ({"model": "sim", "retry": "passing"}, "--retry: passing is now called transient"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            RunOptions(input="in.jsonl", **wrong)
    with pytest.raises(ConfigurationError, match="--output: is required when the input is stdin"):
        RunOptions(input="-", model="sim")


def test_kinds_and_formats_may_be_given_as_strings(options):
    made = options(retry="timeout,bug", output_format="gemini", escalate=["sim", "sim:rate=5"], model=None)
    assert made.retry == {FaultKind.TIMEOUT, FaultKind.BUG}
    assert made.output_format == "gemini"
    assert made.models == ("sim", "sim:rate=5")


def test_a_plan_counts_the_calls_and_leaves_nothing_behind(options, tmp_path):
    planned = runs.plan(options(7))
    assert (planned.prompts, planned.calls, planned.output_state, planned.journal_state) == (7, 7, "new", None)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_run_that_failed_is_resumed_planned_and_reported(options, tmp_path):
    first = runs.run(options(model=DENYING))
    assert first.batch.failures.keys() <= {FaultKind.DENIED, FaultKind.PENDING}
    journal = first.journal.path
    with pytest.raises(JournalChangedError):
        runs.resume(journal, ResumeOptions(model=FAST))
    changes = ResumeOptions(model=FAST, allow_changes=True)
    planned = runs.plan(runs.resumed_options(journal, changes))
    assert planned.wanted == 20
    second = runs.resume(journal, changes)
    assert second.is_complete
    assert second.journal.counts.succeeded == 20
    assert {row["id"] for row in rows_of(tmp_path / "in.jsonl.results.jsonl")} == {f"q{i}" for i in range(20)}
    found = runs.status(first.output)
    assert [run.state for run in found.runs] == ["ended", "ended"]
    assert (found.counts.total, found.counts.pending, found.writer, found.can_resume) == (20, 0, None, True)
    assert found.options.model == FAST
    assert found.output.is_at(first.output)


def test_results_are_exported_and_failed_prompts_extracted(options, tmp_path):
    report = runs.run(options(40, model=f"{FAST},faults=rejected:0.5"))
    lost = report.unfinished
    assert 0 < lost < 40
    table = runs.export(report.journal.path, ExportOptions(output=tmp_path / "all.csv"))
    assert (table.rows, table.file_format) == (40, ExportFormat.CSV)
    good = runs.export(report.output, ExportOptions(output=tmp_path / "good.jsonl", only="succeeded", in_order=True))
    assert good.rows == 40 - lost == len(rows_of(tmp_path / "good.jsonl"))
    extract = runs.failed(report.output, FailedOptions(output=tmp_path / "again.jsonl"))
    assert (extract.prompts, extract.total, extract.input_format, extract.has_ids) == (lost, 40, "jsonl", True)
    assert len(rows_of(tmp_path / "again.jsonl")) == lost


def test_an_output_that_cannot_be_written_is_an_exception_of_an_export_and_a_fact_of_a_run(options):
    report = runs.run(options(3, output="/dev/full"))
    assert "No space left" in str(report.output_error)
    assert (report.error, report.is_complete) == (report.output_error, False)
    journal = runs.run(options(3, model=DENYING)).journal.path
    with pytest.raises(OSError, match="No space left"):
        runs.export(journal, ExportOptions(output="/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        runs.failed(journal, FailedOptions(output="/dev/full", pending=True))


@pytest.mark.anyio
async def test_a_run_within_an_application_can_be_stopped_and_resumed_there(options, tmp_path):
    control, journal = RunControl(), tmp_path / "in.jsonl.results.jsonl.journal"

    def cancel(progress):
        if progress.in_flight:
            control.cancel("enough")

    report = await runs.run_async(options(model=SLOW), control=control, on_progress=cancel, progress_period=0.01)
    assert (report.is_stopped, report.batch.succeeded, report.journal.counts.pending) == (True, 0, 20)
    assert {result.error.message for result in report.batch.results} <= {"enough"}
    report = await runs.resume_async(journal, ResumeOptions(model=FAST, allow_changes=True))
    assert report.is_complete


@pytest.mark.anyio
async def test_the_tasks_of_an_application_go_on_during_a_run_and_may_cancel_it(options, tmp_path):
    is_busy = anyio.Event()

    def watch(progress):
        if progress.in_flight:
            is_busy.set()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(partial(runs.run_async, options(model=SLOW), on_progress=watch, progress_period=0.01))
        await is_busy.wait()
        nursery.cancel_scope.cancel()
    found = await anyio.to_thread.run_sync(runs.status, tmp_path / "in.jsonl.results.jsonl")
    assert (found.writer, found.counts.total) == (None, 20)
    assert (await runs.resume_async(found.journal, ResumeOptions(model=FAST, allow_changes=True))).is_complete


@pytest.mark.anyio
async def test_a_run_from_code_that_is_not_async_works_inside_an_event_loop_too(options):
    assert runs.run(options(3)).is_complete


def test_a_stop_from_another_thread_is_obeyed(options):
    control = RunControl()
    first = []

    def stop(progress):
        if progress.in_flight and not first:
            first.append(progress)
            subprocess.run([sys.executable, "-c", ""], check=True)  # time passes
            control.cancel()

    report = runs.run(options(model=SLOW), control=control, on_progress=stop, progress_period=0.01)
    assert report.is_stopped


def test_the_public_names_load_what_they_need_when_they_are_used():
    ask = (
        "import sys, json, paceline.runs as runs; "
        "early = {'sqlite3', 'jsonschema', 'pyarrow', 'rich', 'cyclopts'} & {*sys.modules}; "
        "names = [getattr(runs, name) for name in runs.__all__]; "
        "late = {'jsonschema', 'pyarrow', 'rich', 'cyclopts', 'paceline.cli'} & {*sys.modules}; "
        "print(json.dumps([sorted(early), sorted(late), len(names)]))"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    early, late, number = json.loads(done.stdout)
    assert (early, late, number) == ([], [], len(runs.__all__))
