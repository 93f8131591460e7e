"""The benchmark against real servers, as far as it needs none of them."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
import trio
from benchmarks.live.cases import CASES
from benchmarks.live.measure import Run, Sample, drive
from benchmarks.live.processes import StartError, running, unused_port, wait_for
from benchmarks.live.programs import PROGRAMS, Program
from benchmarks.live.report import find, section, write
from benchmarks.live.servers import TEMPLATES, configure
from trio.testing import MockClock

from paceline import CallableStrategy, CallError, FaultKind, RateLimitError

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]


def is_running(pid):
    return subprocess.run(["ps", "-o", "pid=", "-p", str(pid)], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_server_ends_however_its_block_is_left(tmp_path, end):
    found = []

    def leave():
        with running(SLEEPING, tmp_path) as process:
            found.append(process.pid)
            assert is_running(process.pid)
            raise end

    with pytest.raises(end):
        leave()
    assert not is_running(found[0])


def test_a_servers_children_end_with_it(tmp_path):
    code = (
        "import subprocess, sys, time; "
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True); time.sleep(600)"
    )
    with running([sys.executable, "-c", code], tmp_path, stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
    give_up = time.monotonic() + 10
    while is_running(child) and time.monotonic() < give_up:
        time.sleep(0.01)  # init collects it
    assert not is_running(child)


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path):
    failing = [sys.executable, "-c", "import sys; sys.exit('no such directive')"]
    with running(failing, tmp_path) as process, pytest.raises(StartError, match="exit code 1: no such directive"):
        wait_for(unused_port(), process, tmp_path)


def test_every_missing_server_has_a_way_to_get_it():
    assert all("gets it from" in program.how or "apt-get install" in program.how for program in PROGRAMS.values())
    assert Program(name="none", command="no-such-program", debian="none").find() is None


def test_a_configuration_has_every_value_that_its_template_wants(tmp_path):
    for template in TEMPLATES.glob("*.*"):
        wanted = {part for part in template.read_text("utf-8").split("@")[1::2] if part.isidentifier()}
        file = configure(template.name, tmp_path, **dict.fromkeys(wanted, "1"))
        assert not [name for name in wanted if f"@{name}@" in file.read_text("utf-8")]


def log_of(served, refused=(), failed=(), latencies=(0.5,)):
    return SimpleNamespace(served=served, refused=refused, failed=failed, latencies=latencies)


def test_the_figures_of_a_run_relate_to_what_the_server_allows():
    log = log_of([number / 10 for number in range(100)], [1.0, 9.0], [(2.0, "overloaded")], [0.5, 1.0, 1.5])
    samples = tuple(Sample(float(second), 10 - second, 4, (16,), (9.5,)) for second in range(11))
    figures = Run(batches=(), samples=samples, logs=(log,), lost=0, load=1.0).figures(20.0)
    assert figures["served"] == pytest.approx(0.5)
    assert figures["served_later"] == pytest.approx(0.5, abs=0.05)
    assert (figures["refusals"], figures["failed"]) == (0.02, 0.01)
    assert (figures["limit"], figures["rate"], figures["in_flight"], figures["latency"]) == (16, 9.5, 4, 1.0)
    assert figures["t90"] is None  # never 90 % of twenty a second


def test_the_section_has_a_row_and_a_line_for_each_case():
    samples = (Sample(0.0, 1, 1, (5,), (float("inf"),)), Sample(1.0, 0, 0, (), ()))
    figures = Run(batches=(), samples=samples, logs=(log_of([0.5]),), lost=0, load=1.0).figures(1.0)
    found = [
        {"case": name, "about": case.about, "version": "1.0", "cap": case.cap, **figures}
        for name, case in CASES.items()
    ]
    text = section(found)
    assert text.startswith("## On real servers\n")
    assert all(f"| {name} " in text and f"- **{name}**: " in text for name in CASES)


def test_the_section_of_a_page_is_added_before_the_costs_and_replaced_later(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# The pace\n\n## What a controller costs\n\nLittle.\n", "utf-8")
    write(page, "## On real servers\n\nOld.\n")
    write(page, "## On real servers\n\nNew.\n")
    text = page.read_text("utf-8")
    assert text == "# The pace\n\n## On real servers\n\nNew.\n\n## What a controller costs\n\nLittle.\n"
    assert find(text) == "## On real servers\n\nNew."


def test_programs_that_share_a_server_are_compared_while_all_of_them_have_items():
    fast, slow = log_of([0.1, 0.2, 0.3, 0.4]), log_of([0.2, 0.4, 5.0, 6.0])
    samples = (Sample(0.0, 8, 2, (4, 4), (9.0, 9.0)), Sample(6.0, 0, 0, (), ()))
    figures = Run(batches=(), samples=samples, logs=(fast, slow), lost=0, load=1.0).figures(1.0)
    assert figures["jain"] == pytest.approx((4 + 2) ** 2 / (2 * (4**2 + 2**2)))
    assert (figures["limit"], figures["rate"]) == (8, 18.0)


def test_a_run_counts_what_its_calls_came_to_and_every_item_once():
    async def call(prompt):
        await trio.sleep(0.5)
        if prompt.startswith("Question q3:") and next(refusals):
            raise RateLimitError("too many", retry_after=1.0)
        if prompt.startswith("Question q5:"):
            raise CallError("no such model", kind=FaultKind.REJECTED)
        return "good", {"input_tokens": 1}

    refusals = iter([True, False, False])
    run = trio.run(partial(drive, [CallableStrategy(call)], items=20), clock=MockClock(autojump_threshold=0))
    assert (len(run.served), len(run.refused), len(run.failed)) == (19, 1, 1)
    assert (run.lost, dict(run.unsuccessful)) == (0, {"rejected": 1})
    assert run.seconds >= 1.5  # the call, the wait and the call again
    assert run.course().count("\n") >= 1
